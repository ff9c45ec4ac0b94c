// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that what it measures is what a dependent gets: release code across module borders.
let package = Package(
  name: "ally-benchmarks",
  dependencies: [.package(name: "ally", path: "..")],
  targets: [
    .executableTarget(
      name: "RingBenchmark",
      dependencies: [
        .product(name: "AllyHW", package: "ally"),
        .product(name: "AllyPacket", package: "ally"),
        .product(name: "AllyRings", package: "ally"),
        .product(name: "AllyDrivers", package: "ally"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6), .strictMemorySafety()])
  ]
)
