import Foundation

/// The package's manifest as the package manager itself reads it (`swift package dump-package`): only what the rules
/// of the architecture speak of.
struct Manifest: Sendable {
  struct Target: Sendable {
    var name: String
    /// `regular`, `executable`, `test`, `system`, …
    var kind: String
    /// The folder of its sources, relative to the package.
    var path: String
    /// Targets and C libraries of this package.
    var inside: Set<String>
    /// Products of other packages.
    var outside: Set<String>
    var settings: [Setting]
  }

  /// One build setting: its kind (`enableExperimentalFeature`) and what follows it.
  struct Setting: Hashable, Sendable {
    var kind: String
    var values: [String]
  }

  struct Product: Sendable {
    var name: String
    /// `library`, `executable`, `plugin`.
    var kind: String
    var targets: [String]
  }

  var targets: [Target]
  var products: [Product]

  /// All targets that `name` needs, itself included.
  func closure(of name: String) -> Set<String> {
    var reached: Set<String> = []
    var waiting = [name]
    while let next = waiting.popLast() {
      guard reached.insert(next).inserted, let target = targets.first(where: { $0.name == next }) else { continue }
      waiting.append(contentsOf: target.inside)
    }
    return reached
  }
}

/// Why the manifest cannot be read.
struct ManifestError: Error, CustomStringConvertible {
  var description: String
}

extension Manifest {
  /// Asks the package manager. `dump-package` reads the manifest alone: it resolves nothing, needs no network, and
  /// does not touch the build folder, which a running `swift test` keeps locked.
  static func ofPackage(at root: URL) throws -> Manifest {
    let scratch = FileManager.default.temporaryDirectory.appending(path: "architecture-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: scratch) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [
      "swift", "package", "--package-path", root.path, "--scratch-path", scratch.path, "dump-package",
    ]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw ManifestError(description: "swift package dump-package ended with status \(process.terminationStatus)")
    }
    return try Manifest(json: text)
  }

  init(json: Data) throws {
    guard let root = try JSONSerialization.jsonObject(with: json) as? [String: Any],
      let targetList = root["targets"] as? [[String: Any]], let productList = root["products"] as? [[String: Any]]
    else { throw ManifestError(description: "the manifest's JSON has no list of targets and products") }
    targets = try targetList.map(Target.init(json:))
    products = productList.map { product in
      Product(
        name: product["name"] as? String ?? "",
        kind: (product["type"] as? [String: Any])?.keys.first ?? "",
        targets: product["targets"] as? [String] ?? [])
    }
  }
}

extension Manifest.Target {
  init(json: [String: Any]) throws {
    guard let name = json["name"] as? String, let kind = json["type"] as? String,
      let dependencies = json["dependencies"] as? [[String: Any]]
    else { throw ManifestError(description: "a target without name, type or dependencies: \(json)") }
    self.name = name
    self.kind = kind
    path = json["path"] as? String ?? (kind == "test" ? "Tests/\(name)" : "Sources/\(name)")
    inside = []
    outside = []
    for dependency in dependencies {
      // One key, `byName`, `target` or `product`; the dependency's name comes first in its list.
      guard let (form, details) = dependency.first, let name = (details as? [Any])?.first as? String else {
        throw ManifestError(description: "an unknown form of dependency in \(name): \(dependency)")
      }
      if form == "product" { outside.insert(name) } else { inside.insert(name) }
    }
    settings = (json["settings"] as? [[String: Any]] ?? []).compactMap { setting in
      guard let (kind, details) = (setting["kind"] as? [String: Any])?.first else { return nil }
      let values = (details as? [String: Any])?["_0"]
      return Manifest.Setting(kind: kind, values: values as? [String] ?? (values as? String).map { [$0] } ?? [])
    }
  }
}
