// swift-tools-version: 6.2
import PackageDescription

// What a third party's package looks like: default settings, no experimental feature, three of Ally's libraries.
let package = Package(
  name: "third-party",
  dependencies: [.package(name: "ally", path: "../..")],
  targets: [
    .executableTarget(
      name: "RingMeter",
      dependencies: [
        .product(name: "AllyHW", package: "ally"),
        .product(name: "AllyPacket", package: "ally"),
        .product(name: "AllyRings", package: "ally"),
      ])
  ]
)
