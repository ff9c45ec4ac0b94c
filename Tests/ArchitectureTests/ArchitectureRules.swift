import Foundation

/// The rules, as functions from what is to what is wrong with it: one line for each violation.
enum ArchitectureRules {
  /// Each target depends on what its row names, no more and no less. Tests may depend on anything.
  static func edges(of manifest: Manifest, allowedBy table: TargetTable) -> [String] {
    var problems: [String] = []
    let targets = manifest.targets.filter { $0.kind != "test" && $0.kind != "system" }
    for target in targets {
      guard let row = table.rows[target.name] else {
        problems.append("\(target.name) has no row in the table of targets")
        continue
      }
      for (found, allowed) in [(target.inside, row.inside), (target.outside, row.outside)] {
        for name in found.subtracting(allowed).sorted() { problems.append("\(target.name) may not depend on \(name)") }
        for name in allowed.subtracting(found).sorted() {
          problems.append("the table lets \(target.name) depend on \(name), which it does not")
        }
      }
    }
    for name in table.rows.keys.sorted() where !targets.contains(where: { $0.name == name }) {
      problems.append("the table has a row for \(name), which is no target")
    }
    return problems
  }

  /// A source file imports modules of its target's row only.
  static func imports(in source: String, of target: String, allowedBy row: TargetTable.Row) -> [String] {
    // `ArgumentParser` and the like are modules named as their products.
    let allowed = row.inside.union(row.outside).union(row.system)
    return importedModules(in: source).subtracting(allowed).sorted().map { "\(target) may not import \($0)" }
  }

  /// The modules that a source file's import declarations name.
  static func importedModules(in source: String) -> Set<String> {
    let declaration =
      /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+)/
    return Set(
      source.split(separator: "\n").compactMap { line in
        (try? declaration.prefixMatch(in: line)).map { String($0.output.1) }
      })
  }

  /// Every Swift target is compiled with the same settings, none of which keeps others from depending on the package.
  static func settings(of manifest: Manifest) -> [String] {
    let required: [Manifest.Setting] = [
      Manifest.Setting(kind: "swiftLanguageMode", values: ["6"]),
      Manifest.Setting(kind: "strictMemorySafety", values: []),
      Manifest.Setting(kind: "enableUpcomingFeature", values: ["ExistentialAny"]),
      Manifest.Setting(kind: "enableUpcomingFeature", values: ["InternalImportsByDefault"]),
      Manifest.Setting(kind: "enableUpcomingFeature", values: ["MemberImportVisibility"]),
    ]
    let lifetimes = Manifest.Setting(kind: "enableExperimentalFeature", values: ["Lifetimes"])
    var problems: [String] = []
    for target in manifest.targets where target.kind != "system" && !target.name.hasPrefix("C") {
      for setting in required where !target.settings.contains(setting) {
        problems.append("\(target.name) lacks \(setting.kind) \(setting.values.joined())")
      }
      for setting in target.settings where setting.kind == "unsafeFlags" {
        problems.append("\(target.name) has unsafe flags: \(setting.values.joined(separator: " "))")
      }
      for setting in target.settings where setting.kind == "enableExperimentalFeature" && setting != lifetimes {
        problems.append("\(target.name) has the experimental feature \(setting.values.joined())")
      }
    }
    return problems
  }
}
