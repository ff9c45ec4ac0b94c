import Foundation

/// The table of targets in Docs/Architecture.md. It is the list of what is allowed: the document cannot say one thing
/// and the package do another.
struct TargetTable {
  struct Row: Equatable {
    /// Targets and C libraries of this package that it depends on.
    var inside: Set<String>
    /// Products of other packages.
    var outside: Set<String>
    /// Modules of the toolchain and the system that its sources may import.
    var system: Set<String>
  }

  var rows: [String: Row]

  /// Reads the first table whose heading begins with `target`: five columns, of which the second names the targets,
  /// the third the outside products, and the fourth the system modules; names stand in backticks.
  init(markdown: String) throws {
    rows = [:]
    let lines = markdown.split(separator: "\n", omittingEmptySubsequences: false)
    guard let heading = lines.firstIndex(where: { $0.hasPrefix("| target |") }) else {
      throw ManifestError(description: "Docs/Architecture.md has no table of targets")
    }
    for line in lines[(heading + 2)...].prefix(while: { $0.hasPrefix("|") }) {
      let cells = line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().map(Self.names)
      guard cells.count >= 5, let name = cells[0].first, cells[0].count == 1 else {
        throw ManifestError(description: "Docs/Architecture.md: not a row of the table of targets: \(line)")
      }
      rows[name] = Row(inside: cells[1], outside: cells[2], system: cells[3])
    }
  }

  private static func names(in cell: Substring) -> Set<String> {
    Set(cell.matches(of: /`([A-Za-z0-9]+)`/).map { String($0.output.1) })
  }
}
