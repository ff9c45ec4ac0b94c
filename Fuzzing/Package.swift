// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// Coverage-guided fuzzing of every reader of foreign bytes. A package of its own, because nobody who depends on Ally
// wants it.
//
// Build it with scripts/fuzz.sh, not by hand: it instruments this package and the SDK by flags on the command line. They
// do not stand here because a package's own (unsafe) flags would reach its own targets only, while it is the SDK that is
// to be instrumented. ALLY_FUZZING makes the SDK's manifest offer AllyTools and AllyDPITools, which are no products.
let package = Package(
  name: "ally-fuzzing",
  dependencies: [
    .package(name: "ally", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    // Damaged captures for scripts/mutated-captures.sh; neither instrumented nor linked with the SDK.
    .executableTarget(name: "MutateCaptures", swiftSettings: settings),
    .systemLibrary(name: "CLibFuzzer"),
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "CLibFuzzer",
        .product(name: "AllyHW", package: "ally"),
        .product(name: "AllyPacket", package: "ally"),
        .product(name: "AllyRings", package: "ally"),
        .product(name: "AllyDrivers", package: "ally"),
        .product(name: "AllyDPI", package: "ally"),
        .product(name: "AllyFirewall", package: "ally"),
        .product(name: "AllyDeviceModels", package: "ally"),
        .product(name: "AllyAppliance", package: "ally"),
        .product(name: "AllySimulator", package: "ally"),
        .product(name: "AllyHost", package: "ally"),
        .product(name: "AllyTools", package: "ally"),
        .product(name: "AllyDPITools", package: "ally"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
  ]
)
