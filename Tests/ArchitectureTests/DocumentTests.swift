import Foundation
import Testing

/// What the documents and the sources point to is there.
@Suite struct DocumentTests {
  @Test func everyRelativeLinkOfTheDocumentsLeadsSomewhere() throws {
    let manager = FileManager.default
    let root = PackageTests.root
    var documents = try manager.contentsOfDirectory(atPath: root.path).filter { $0.hasSuffix(".md") }
    for folder in ["Docs", "Examples", "Benchmarks"] where manager.fileExists(atPath: root.appending(path: folder).path)
    {
      documents += try PackageTests.files(under: folder, withExtension: "md").map {
        String($0.path.dropFirst(root.path.count + 1))
      }
    }
    #expect(documents.contains("README.md"))
    var broken: [String] = []
    for document in documents where !document.contains("/.build") {
      let file = root.appending(path: document)
      // Code is no prose: its brackets are no links.
      let prose = try String(contentsOf: file, encoding: .utf8).replacing(#/(?s)```.*?```/#, with: "")
      for link in prose.matches(of: /\]\(([^)#\s]+)[^)]*\)/) {
        let target = String(link.output.1)
        if target.contains("://") || target.hasPrefix("mailto:") { continue }
        if !manager.fileExists(atPath: file.deletingLastPathComponent().appending(path: target).path) {
          broken.append("\(document) -> \(target)")
        }
      }
    }
    #expect(broken == [])
  }

  /// The appliance in the README is the one that is built.
  @Test func theComposedApplianceOfTheReadmeIsTheExample() throws {
    let example = try String(
      contentsOf: PackageTests.root.appending(path: "Examples/Compose/main.swift"), encoding: .utf8)
    #expect(try Self.document("README.md").contains("```swift\n\(example)```"))
  }

  /// Sources cite decisions by number: a page in Docs/ADR, or an item of Docs/Architecture.md.
  @Test func everyDecisionThatIsCitedIsThere() throws {
    let pages = try FileManager.default
      .contentsOfDirectory(atPath: PackageTests.root.appending(path: "Docs/ADR").path).map { String($0.prefix(4)) }
    let items = try Self.document("Docs/Architecture.md").matches(of: #/(?m)^([0-9]+)\. /#).map { String($0.output.1) }
    #expect(!pages.isEmpty && !items.isEmpty)
    var missing: [String] = []
    for (name, text) in try Self.sources() {
      for citation in text.matches(of: /ADR\/([0-9]{4})/) where !pages.contains(String(citation.output.1)) {
        missing.append("\(name) cites \(citation.output.0)")
      }
      for citation in text.matches(of: /decision ([0-9]+) of Docs\/Architecture/)
      where !items.contains(String(citation.output.1)) {
        missing.append("\(name) cites \(citation.output.0)")
      }
    }
    #expect(missing == [])
  }

  /// The glossary leads from the paper's words to types that exist.
  @Test func everyTypeOfTheGlossaryIsDeclared() throws {
    let glossary = try Self.document("Docs/Glossary.md")
    let named = Set(glossary.matches(of: #/(?m)\| `(\w+)` \|$/#).map { String($0.output.1) })
    var declared: Set<String> = []
    for (_, text) in try Self.sources() {
      declared.formUnion(text.matches(of: /(?:struct|class|enum|protocol|typealias) (\w+)/).map { String($0.output.1) })
    }
    #expect(named.count > 20)
    #expect(named.subtracting(declared).sorted() == [])
  }

  /// Each library has a DocC catalog: its front page, and what scripts/documentation.sh builds.
  @Test func everyLibraryHasACatalog() throws {
    let manifest = try PackageTests.manifest.get()
    for product in manifest.products where product.kind == "library" {
      let page = try Self.document("Sources/\(product.name)/\(product.name).docc/\(product.name).md")
      #expect(page.hasPrefix("# ``\(product.name)``\n"))
    }
  }

  static func document(_ path: String) throws -> String {
    try String(contentsOf: PackageTests.root.appending(path: path), encoding: .utf8)
  }

  /// The package's Swift files: name and text.
  static func sources() throws -> [(name: String, text: String)] {
    var files = [PackageTests.root.appending(path: "Package.swift")]
    for folder in ["Sources", "Examples", "Tests"] {
      files += try PackageTests.files(under: folder, withExtension: "swift")
    }
    return try files.map { ($0.lastPathComponent, try String(contentsOf: $0, encoding: .utf8)) }
  }
}
