// swift-tools-version: 6.2
import PackageDescription

// A NIC driver module for Ally in a package of its own: default settings, no experimental feature. Copy the folder, give the
// dependency a URL instead of a path, and begin.
let package = Package(
  name: "minimal-driver",
  products: [.library(name: "MinimalDriver", targets: ["MinimalDriver"])],
  dependencies: [.package(name: "ally", path: "../..")],
  targets: [
    .target(
      name: "MinimalDriver",
      dependencies: [.product(name: "AllyHW", package: "ally"), .product(name: "AllyRings", package: "ally")]),
    .testTarget(
      name: "MinimalDriverTests",
      dependencies: [
        "MinimalDriver",
        .product(name: "AllyDriverTesting", package: "ally"),
        .product(name: "AllySimulator", package: "ally"),
        .product(name: "AllyRings", package: "ally"),
      ]),
  ]
)
