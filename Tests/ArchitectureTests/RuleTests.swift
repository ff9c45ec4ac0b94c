import Foundation
import Testing

/// The rules themselves: each finds the violation it is there for, and only that.
@Suite struct RuleTests {
  static let table = """
    Some text.

    | target | depends on | outside products | system modules | what it is |
    |---|---|---|---|---|
    | `Base` | – | – | `Synchronization` | the ground |
    | `Rings` | `Base` | – | – | on top |
    | `Tool` | `Rings`, `CWire` | `ArgumentParser` | `Foundation` | a leaf |

    | `Other` | `Base` | – | – | a table that is none of ours |
    """

  /// The manifest that obeys the table.
  static func manifest() -> Manifest {
    func target(_ name: String, _ inside: Set<String> = [], outside: Set<String> = []) -> Manifest.Target {
      Manifest.Target(
        name: name, kind: "regular", path: "Sources/\(name)", inside: inside, outside: outside,
        settings: [
          Manifest.Setting(kind: "swiftLanguageMode", values: ["6"]),
          Manifest.Setting(kind: "strictMemorySafety", values: []),
          Manifest.Setting(kind: "enableUpcomingFeature", values: ["ExistentialAny"]),
          Manifest.Setting(kind: "enableUpcomingFeature", values: ["InternalImportsByDefault"]),
          Manifest.Setting(kind: "enableUpcomingFeature", values: ["MemberImportVisibility"]),
          Manifest.Setting(kind: "enableExperimentalFeature", values: ["Lifetimes"]),
        ])
    }
    return Manifest(
      targets: [
        target("Base"), target("Rings", ["Base"]), target("Tool", ["Rings", "CWire"], outside: ["ArgumentParser"]),
      ],
      products: [])
  }

  @Test func whatObeysIsFoundInOrder() throws {
    let table = try TargetTable(markdown: Self.table)
    #expect(table.rows.count == 3)
    #expect(ArchitectureRules.edges(of: Self.manifest(), allowedBy: table) == [])
    #expect(ArchitectureRules.settings(of: Self.manifest()) == [])
  }

  @Test func anEdgeTooManyIsNamed() throws {
    var manifest = Self.manifest()
    manifest.targets[0].inside.insert("Rings")
    manifest.targets[1].outside.insert("Yams")
    #expect(
      try ArchitectureRules.edges(of: manifest, allowedBy: TargetTable(markdown: Self.table))
        == ["Base may not depend on Rings", "Rings may not depend on Yams"])
  }

  @Test func aStaleRowIsNamed() throws {
    var manifest = Self.manifest()
    manifest.targets[1].inside = []
    manifest.targets.remove(at: 2)
    #expect(
      try ArchitectureRules.edges(of: manifest, allowedBy: TargetTable(markdown: Self.table)) == [
        "the table lets Rings depend on Base, which it does not", "the table has a row for Tool, which is no target",
      ])
  }

  @Test func aTargetWithoutRowIsNamed() throws {
    var manifest = Self.manifest()
    manifest.targets[1].name = "Wheels"
    #expect(
      try ArchitectureRules.edges(of: manifest, allowedBy: TargetTable(markdown: Self.table))
        .contains("Wheels has no row in the table of targets"))
  }

  @Test func unsafeFlagsAndExperimentalFeaturesAreNamed() {
    var manifest = Self.manifest()
    manifest.targets[0].settings.append(Manifest.Setting(kind: "unsafeFlags", values: ["-Ounchecked"]))
    manifest.targets[1].settings.append(Manifest.Setting(kind: "enableExperimentalFeature", values: ["Extern"]))
    manifest.targets[2].settings.removeFirst()
    #expect(
      ArchitectureRules.settings(of: manifest) == [
        "Base has unsafe flags: -Ounchecked", "Rings has the experimental feature Extern",
        "Tool lacks swiftLanguageMode 6",
      ])
  }

  @Test func everyFormOfImportIsSeen() {
    let source = """
      import Foundation
      public import AllyPacket
      @testable import Rings
        internal import struct Glibc.stat
      @_spi(Engine) private import Matcher
      // import Commented
      let important = "import Text"
      """
    #expect(
      ArchitectureRules.importedModules(in: source) == ["Foundation", "AllyPacket", "Rings", "Glibc", "Matcher"])
  }

  @Test func aForbiddenImportIsNamed() throws {
    let row = try #require(try TargetTable(markdown: Self.table).rows["Base"])
    #expect(
      ArchitectureRules.imports(in: "import Synchronization\nimport Foundation\n", of: "Base", allowedBy: row)
        == ["Base may not import Foundation"])
  }

  /// The JSON of the package manager, with each form that a dependency and a setting take in it.
  @Test func theManifestIsRead() throws {
    let json = """
      {"products": [{"name": "Rings", "targets": ["Rings"], "type": {"library": ["automatic"]}}],
       "targets": [{"name": "Rings", "type": "executable", "path": "Examples/Rings",
         "dependencies": [{"byName": ["Base", null]}, {"target": ["CWire", null]},
                          {"product": ["Yams", "Yams", null, null]}],
         "settings": [{"tool": "swift", "kind": {"strictMemorySafety": {}}},
                      {"tool": "swift", "kind": {"unsafeFlags": {"_0": ["-Ounchecked"]}}}]}]}
      """
    let manifest = try Manifest(json: Data(json.utf8))
    let target = try #require(manifest.targets.first)
    #expect(target.path == "Examples/Rings")
    #expect(target.inside == ["Base", "CWire"])
    #expect(target.outside == ["Yams"])
    #expect(
      target.settings == [
        Manifest.Setting(kind: "strictMemorySafety", values: []),
        Manifest.Setting(kind: "unsafeFlags", values: ["-Ounchecked"]),
      ])
    #expect(manifest.products.first?.kind == "library")
  }
}
