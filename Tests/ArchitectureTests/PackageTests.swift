import Foundation
import Testing

/// The package as it is, held against Docs/Architecture.md.
@Suite struct PackageTests {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Read once for all tests: the package manager takes a moment.
  static let manifest = Result { try Manifest.ofPackage(at: root) }

  let manifest: Manifest
  let table: TargetTable

  init() throws {
    manifest = try Self.manifest.get()
    table = try TargetTable(
      markdown: String(contentsOf: Self.root.appending(path: "Docs/Architecture.md"), encoding: .utf8))
  }

  @Test func dependenciesAreThoseOfTheTable() {
    #expect(manifest.targets.count > 10, "the manifest was read")
    #expect(ArchitectureRules.edges(of: manifest, allowedBy: table) == [])
  }

  @Test func sourcesImportOnlyWhatTheirRowAllows() throws {
    var problems: [String] = []
    // C sources (C…) import nothing.
    for target in manifest.targets where table.rows[target.name] != nil && !target.name.hasPrefix("C") {
      let row = try #require(table.rows[target.name])
      let sources = try Self.files(under: target.path, withExtension: "swift")
      #expect(!sources.isEmpty, "\(target.name) has sources in \(target.path)")
      for source in sources {
        let text = try String(contentsOf: source, encoding: .utf8)
        problems += ArchitectureRules.imports(in: text, of: target.name, allowedBy: row).map {
          "\(source.lastPathComponent): \($0)"
        }
      }
    }
    #expect(problems == [])
  }

  /// The four that are meant to run without an operating system.
  @Test(arguments: ["AllyHW", "AllyPacket", "AllyRings", "AllyDrivers"])
  func runsWithoutAnOperatingSystem(target: String) throws {
    let row = try #require(table.rows[target])
    #expect(row.outside == [])
    #expect(row.system.isSubset(of: ["Synchronization"]))
  }

  @Test func settingsAreTheSameEverywhereAndNoneIsUnsafe() {
    #expect(ArchitectureRules.settings(of: manifest) == [])
  }

  @Test func everyLibraryProductIsOneTargetOfItsName() {
    let libraries = manifest.products.filter { $0.kind == "library" }
    #expect(!libraries.isEmpty)
    for product in libraries { #expect(product.targets == [product.name]) }
  }

  /// A firewall builds without Hyperscan, and a driver author without either engine.
  @Test(arguments: ["firewall", "AllyFirewall", "AllyRings", "AllyDrivers", "AllyAppliance", "AllySimulator"])
  func needsNoPatternMatcher(target: String) {
    let closure = manifest.closure(of: target)
    #expect(closure.count > 1)
    #expect(closure.isDisjoint(with: ["AllyDPI", "CHyperscan", "CPCRE2"]))
  }

  /// The NIC models are written from the datasheet apart from the drivers, so that a shared mistake cannot cancel out.
  @Test func deviceModelsAndDriversShareNoCode() {
    #expect(!manifest.closure(of: "AllyDeviceModels").contains("AllyDrivers"))
    #expect(!manifest.closure(of: "AllyDrivers").contains("AllyDeviceModels"))
  }

  static func files(under folder: String, withExtension wanted: String) throws -> [URL] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path)
    return names.filter { $0.hasSuffix(".\(wanted)") }.sorted().map { root.appending(path: folder).appending(path: $0) }
  }
}
