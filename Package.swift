// swift-tools-version: 6.2
import PackageDescription

/// One list of settings for every Swift target. `Lifetimes` is the one experimental feature, and there are
/// no unsafe flags: a package with unsafe flags cannot be depended upon (Docs/ADR/0001).
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "ally",
  products: [
    .library(name: "AllyHW", targets: ["AllyHW"]),
    .library(name: "AllyPacket", targets: ["AllyPacket"]),
    .library(name: "AllyRings", targets: ["AllyRings"]),
    .library(name: "AllyDrivers", targets: ["AllyDrivers"]),
    .library(name: "AllyDPI", targets: ["AllyDPI"]),
    .library(name: "AllyFirewall", targets: ["AllyFirewall"]),
    .library(name: "AllyDeviceModels", targets: ["AllyDeviceModels"]),
    .library(name: "AllyAppliance", targets: ["AllyAppliance"]),
    .library(name: "AllySimulator", targets: ["AllySimulator"]),
    .library(name: "AllyDriverTesting", targets: ["AllyDriverTesting"]),
    .library(name: "AllyHost", targets: ["AllyHost"]),
    .executable(name: "ally", targets: ["ally"]),
    .executable(name: "ids", targets: ["ids"]),
    .executable(name: "firewall", targets: ["firewall"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
  ],
  targets: [
    // The C libraries: module maps only, each imported by the one target that wraps it.
    .systemLibrary(name: "CHyperscan", pkgConfig: "libhs", providers: [.apt(["libhyperscan-dev"])]),
    .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CBrotli", pkgConfig: "libbrotlidec", providers: [.apt(["libbrotli-dev"])]),
    .systemLibrary(name: "CLZMA", pkgConfig: "liblzma", providers: [.apt(["liblzma-dev"])]),
    .systemLibrary(name: "CMagic", pkgConfig: "libmagic", providers: [.apt(["libmagic-dev"])]),
    .systemLibrary(name: "CPcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"])]),

    // The core. AllyHW, AllyPacket, AllyRings and AllyDrivers also compile as Embedded Swift.
    .target(name: "AllyHW", swiftSettings: settings),
    .target(name: "AllyPacket", swiftSettings: settings),
    .target(name: "AllyRings", dependencies: ["AllyHW", "AllyPacket"], swiftSettings: settings),
    .target(name: "AllyDrivers", dependencies: ["AllyRings", "AllyHW", "AllyPacket"], swiftSettings: settings),
    .target(
      name: "AllyDPI",
      dependencies: [
        "AllyPacket", "CHyperscan", "CPCRE2", "CZlib", "CBrotli", "CLZMA", "CMagic",
        .product(name: "Crypto", package: "swift-crypto"), .product(name: "CryptoExtras", package: "swift-crypto"),
      ],
      swiftSettings: settings),
    .target(name: "AllyFirewall", dependencies: ["AllyPacket"], swiftSettings: settings),
    .target(name: "AllyDeviceModels", dependencies: ["AllyHW"], swiftSettings: settings),
    .target(name: "AllyAppliance", dependencies: ["AllyRings", "AllyHW", "AllyPacket"], swiftSettings: settings),
    .target(
      name: "AllySimulator",
      dependencies: ["AllyAppliance", "AllyDeviceModels", "AllyRings", "AllyHW", "AllyPacket"],
      swiftSettings: settings),

    // The machine as it is today. CAllyLinux is what Swift cannot import of Linux.
    .target(name: "CAllyLinux"),
    .target(
      name: "AllyHost",
      dependencies: ["AllyAppliance", "AllyDeviceModels", "AllyRings", "AllyHW", "AllyPacket", "CAllyLinux"],
      swiftSettings: settings),

    // The conformance kit. CRuntimeCalls stands in front of the allocator and counts, in tests alone.
    .target(name: "CRuntimeCalls"),
    .target(
      name: "AllyDriverTesting",
      dependencies: [
        "AllySimulator", "AllyDeviceModels", "AllyAppliance", "AllyRings", "AllyHW", "AllyPacket", "CRuntimeCalls",
      ],
      swiftSettings: settings),

    // The leaves: what the command lines share, and the command lines.
    .target(
      name: "AllyTools",
      dependencies: [
        "AllyHost", "AllySimulator", "AllyDeviceModels", "AllyAppliance", "AllyDrivers", "AllyRings", "AllyHW",
        "AllyPacket", "CPcap", argumentParser,
      ],
      swiftSettings: settings),
    .target(
      name: "AllyDPITools",
      dependencies: ["AllyTools", "AllyDPI", "AllyPacket", argumentParser, yams],
      swiftSettings: settings),
    .executableTarget(
      name: "ally", dependencies: ["AllyDPITools", "AllyTools", "AllyDPI", "AllyPacket", argumentParser],
      swiftSettings: settings),
    .executableTarget(
      name: "ids", dependencies: ["AllyDPITools", "AllyTools", "AllyDPI", "AllyPacket", argumentParser],
      path: "Examples/IDS", swiftSettings: settings),
    .executableTarget(
      name: "firewall", dependencies: ["AllyTools", "AllyFirewall", "AllyPacket", argumentParser],
      path: "Examples/Firewall", swiftSettings: settings),

    .executableTarget(
      name: "compose", dependencies: ["AllySimulator", "AllyDeviceModels", "AllyDrivers", "AllyRings", "AllyPacket"],
      path: "Examples/Compose", swiftSettings: settings),
    .executableTarget(
      name: "table2",
      dependencies: [
        "AllySimulator", "AllyDeviceModels", "AllyAppliance", "AllyDrivers", "AllyRings", "AllyPacket",
      ],
      path: "Examples/Table2", swiftSettings: settings),

    .testTarget(name: "AllyPacketTests", dependencies: ["AllyPacket"], swiftSettings: settings),
    .testTarget(name: "AllyHWTests", dependencies: ["AllyHW"], swiftSettings: settings),
    .testTarget(
      name: "AllyRingsTests", dependencies: ["AllyRings", "AllyDrivers", "AllyHW", "AllyPacket"],
      swiftSettings: settings),
    .testTarget(
      name: "AllyDeviceModelsTests", dependencies: ["AllyDeviceModels", "AllyHW"], swiftSettings: settings),
    .testTarget(name: "AllyDPITests", dependencies: ["AllyDPI", "AllyPacket"], swiftSettings: settings),
    // The reader of HTTP against another one. No pkgConfig: whoever does not run these tests needs no libhtp.
    .systemLibrary(name: "CHTP", path: "Tests/CHTP"),
    .testTarget(
      name: "HTTPDifferentialTests", dependencies: ["AllyDPI", "AllyPacket", "CHTP"], swiftSettings: settings),
    .testTarget(name: "AllyFirewallTests", dependencies: ["AllyFirewall", "AllyPacket"], swiftSettings: settings),
    .testTarget(
      name: "AllyApplianceTests",
      dependencies: [
        "AllyAppliance", "AllySimulator", "AllyDeviceModels", "AllyDrivers", "AllyRings", "AllyHW", "AllyPacket",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "PaperTests",
      dependencies: [
        "AllySimulator", "AllyDeviceModels", "AllyAppliance", "AllyDrivers", "AllyRings", "AllyHW", "AllyPacket",
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "AllyToolsTests",
      dependencies: [
        "AllyDPITools", "AllyTools", "AllyFirewall", "AllyDPI", "AllySimulator", "AllyHW", "AllyPacket", "ally",
        "ids", "firewall", yams,
      ],
      swiftSettings: settings),
    .testTarget(
      name: "AllyHostTests",
      dependencies: [
        "AllyHost", "AllyFirewall", "AllyDPI", "AllyDeviceModels", "AllyDrivers", "AllyRings", "AllyHW", "AllyPacket",
        "CAllyLinux",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "DriverConformanceTests",
      dependencies: [
        "AllyHost", "AllySimulator", "AllyDeviceModels", "AllyAppliance", "AllyDrivers", "AllyRings", "AllyHW",
        "AllyPacket",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "AllyDriverTestingTests",
      dependencies: [
        "AllyDriverTesting", "AllySimulator", "AllyDeviceModels", "AllyDrivers", "AllyRings", "AllyHW", "AllyPacket",
      ],
      swiftSettings: settings),
    .testTarget(name: "ArchitectureTests", swiftSettings: settings),
  ]
)

// What the command lines share is no product. Fuzzing/, which is never used but from a checkout, feeds its readers.
if Context.environment["ALLY_FUZZING"] != nil {
  for name in ["AllyTools", "AllyDPITools"] { package.products.append(.library(name: name, targets: [name])) }
}

// While working on one part: `ALLY_TESTS=AllyDPITests,ArchitectureTests swift test` builds these test targets and no other.
if let wanted = Context.environment["ALLY_TESTS"]?.split(separator: ",").map(String.init) {
  package.targets.removeAll { $0.type == .test && !wanted.contains($0.name) }
}
