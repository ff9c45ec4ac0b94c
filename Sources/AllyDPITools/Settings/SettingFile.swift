internal import AllyTools
internal import Yams

/// Reads `suricata.yaml` and the files that it includes into a tree of settings.
struct SettingFile {
  /// What could be done without, one line each: includes that are not there.
  private(set) var warnings: [String] = []
  private var nodes = 0

  /// Includes within includes, at most: one that includes itself ends here.
  private static let deepestInclude = 16
  /// Nodes of all files together, at most: aliases of aliases of aliases grow without end.
  private static let mostNodes = 200_000

  /// Reads a file into `root`.
  ///
  /// - Throws: ``ExitStatus/missingInput`` when the file is not there, ``ExitStatus/badConfiguration`` with file, line and
  ///   column when it is no YAML.
  mutating func read(_ path: String, into root: SettingNode) throws(CommandFailure) {
    try read(path, into: root, depth: 0)
  }

  private mutating func read(_ path: String, into root: SettingNode, depth: Int) throws(CommandFailure) {
    let text = String(decoding: try FileSystem.contents(of: path, atMost: 16 << 20), as: UTF8.self)
    let document: Node?
    do {
      document = try Yams.compose(yaml: text)
    } catch {
      throw Self.failure(error, file: path)
    }
    guard let document else { return }
    guard document.mapping != nil || document.string == "" else {
      throw Self.failure(file: path, mark: document.mark, "expected settings as `name: value`")
    }
    try add(document, to: root, file: path, depth: depth)
  }

  private mutating func add(
    _ node: Node, to parent: SettingNode, file: String, depth: Int
  ) throws(CommandFailure) {
    nodes += 1
    if nodes > Self.mostNodes {
      throw Self.failure(file: file, mark: node.mark, "expected at most \(Self.mostNodes) settings")
    }
    switch node {
    case .mapping(let mapping):
      for (key, value) in mapping {
        guard let name = key.string else {
          throw Self.failure(file: file, mark: key.mark, "expected a name before the colon")
        }
        if name == "include" {
          try include(value, into: parent, file: file, depth: depth)
          continue
        }
        let child = parent.makeChild(
          Self.canonical(name, under: parent.name), location: Self.location(key.mark, file: file))
        // A list or a value takes the place of what an earlier file said; a mapping adds to it.
        try add(value, to: child, file: file, depth: depth)
      }
    case .sequence(let sequence):
      for (index, item) in sequence.enumerated() {
        let child = parent.makeChild(String(index), location: Self.location(item.mark, file: file))
        try add(item, to: child, file: file, depth: depth)
        if let first = item.mapping?.first?.key.string { child.value = Self.canonical(first, under: "") }
      }
    case .scalar(let scalar):
      if scalar.tag.description == "!include" {
        try include(node, into: parent, file: file, depth: depth)
      } else {
        parent.value = scalar.string
        parent.location = Self.location(scalar.mark, file: file)
      }
    case .alias:
      // Composing has put the node itself in its place.
      break
    }
  }

  private mutating func include(
    _ node: Node, into parent: SettingNode, file: String, depth: Int
  ) throws(CommandFailure) {
    if case .sequence(let names) = node {
      for name in names { try include(name, into: parent, file: file, depth: depth) }
      return
    }
    guard let name = node.string else {
      throw Self.failure(file: file, mark: node.mark, "expected the name of a file to include")
    }
    guard depth < Self.deepestInclude else {
      throw Self.failure(
        file: file, mark: node.mark, "expected at most \(Self.deepestInclude) includes within each other")
    }
    let path = FileSystem.resolve(name, in: FileSystem.folder(of: file))
    guard FileSystem.exists(path) else {
      let place = Self.location(node.mark, file: file)
      warnings.append("\(place): the file to include, \(path), is not there; its settings are left out")
      return
    }
    try read(path, into: parent, depth: depth + 1)
  }

  /// Suricata takes `_` for `-` in names but those of variables.
  private static func canonical(_ name: String, under parent: String) -> String {
    if parent == "address-groups" || parent == "port-groups" { return name }
    return String(name.map { $0 == "_" ? "-" : $0 })
  }

  private static func location(_ mark: Mark?, file: String) -> SettingLocation {
    SettingLocation(file: file, line: mark?.line ?? 1, column: mark?.column ?? 1)
  }

  private static func location(ofByte offset: Int, in text: String, file: String) -> SettingLocation {
    let before = text.utf8.prefix(offset)
    let line = before.reduce(1) { $0 + ($1 == 0x0A ? 1 : 0) }
    let column = before.reversed().prefix { $0 != 0x0A }.count + 1
    return SettingLocation(file: file, line: line, column: column)
  }

  private static func failure(file: String, mark: Mark?, _ expected: String) -> CommandFailure {
    CommandFailure(.badConfiguration, "\(location(mark, file: file)): \(expected)")
  }

  private static func failure(_ error: any Error, file: String) -> CommandFailure {
    switch error as? YamlError {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      failure(
        file: file, mark: mark, ([context?.text, problem] as [String?]).compactMap(\.self).joined(separator: ": "))
    case .duplicatedKeysInMapping(let names, let context):
      failure(
        file: file, mark: context.mark, "expected every name once; found twice: \(names.joined(separator: ", "))")
    case .reader(let problem, let offset, _, let yaml):
      CommandFailure(
        .badConfiguration, "\(location(ofByte: offset ?? 0, in: yaml, file: file)): \(problem)")
    default:
      failure(file: file, mark: nil, "expected a YAML 1.1 file")
    }
  }
}
