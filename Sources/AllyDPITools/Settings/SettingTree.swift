internal import AllyTools

/// All settings of a run: those of `-c FILE`, then those of `--set NAME=VALUE`, which win.
struct SettingTree {
  private let root = SettingNode(name: "", location: .commandLine)
  /// One line each.
  private(set) var warnings: [String] = []

  /// - Parameters:
  ///   - file: a `suricata.yaml`; nil for none.
  ///   - assignments: `NAME=VALUE` each.
  init(file: String?, assignments: [String]) throws(CommandFailure) {
    if let file {
      var reader = SettingFile()
      try reader.read(file, into: root)
      warnings = reader.warnings
    }
    for assignment in assignments {
      guard let equals = assignment.firstIndex(of: "="), equals != assignment.startIndex else {
        throw CommandFailure(.usage, "--set \(assignment): expected NAME=VALUE, such as stream.midstream=true")
      }
      let path = assignment[..<equals].filter { $0 != " " }
      var node = root
      for part in path.split(separator: ".") {
        node = node.makeChild(String(part), location: .commandLine)
      }
      node.value = String(assignment[assignment.index(after: equals)...].drop { $0 == " " })
      node.location = .commandLine
    }
  }

  /// The node at a dotted path; asking for it counts as reading it.
  func node(_ path: String) -> SettingNode? {
    guard let node = root.node(at: path) else { return nil }
    node.wasRead = true
    return node
  }

  /// The value at a dotted path; nil when there is none or it is empty.
  func text(_ path: String) -> (value: String, location: SettingLocation)? {
    guard let node = node(path), let value = node.value, !value.isEmpty else { return nil }
    return (value, node.location)
  }

  /// A switch, as Suricata takes it: yes, true, on, 1 or no, false, off, 0 in any case.
  func flag(_ path: String) throws(CommandFailure) -> Bool? {
    guard let (value, location) = text(path) else { return nil }
    guard let flag = Self.flag(value) else {
      throw Self.failure(path, location, expected: "yes or no", found: value)
    }
    return flag
  }

  static func flag(_ value: String) -> Bool? {
    switch value.lowercased() {
    case "yes", "true", "on", "1": true
    case "no", "false", "off", "0": false
    default: nil
    }
  }

  /// A number of bytes: `65535`, `64kb`, `1.5 mb`, `2gb`.
  func bytes(_ path: String, in range: ClosedRange<UInt64>) throws(CommandFailure) -> UInt64? {
    guard let (value, location) = text(path) else { return nil }
    guard let bytes = Self.bytes(value), range.contains(bytes) else {
      throw Self.failure(
        path, location, expected: "bytes from \(range.lowerBound) to \(range.upperBound), such as 64mb", found: value)
    }
    return bytes
  }

  static func bytes(_ text: String) -> UInt64? {
    let lower = text.lowercased().filter { $0 != " " }
    let factors: [(unit: String, bytes: Double)] = [("kb", 0x400), ("mb", 0x10_0000), ("gb", 0x4000_0000), ("", 1)]
    for (unit, factor) in factors where lower.hasSuffix(unit) {
      let digits = lower.dropLast(unit.count)
      guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
        let number = Double(digits), number * factor < 1e18
      else { return nil }
      return UInt64(number * factor)
    }
    return nil
  }

  /// A whole number.
  func number(_ path: String, in range: ClosedRange<UInt64>) throws(CommandFailure) -> UInt64? {
    guard let (value, location) = text(path) else { return nil }
    guard let number = UInt64(value), range.contains(number) else {
      throw Self.failure(
        path, location, expected: "a number from \(range.lowerBound) to \(range.upperBound)", found: value)
    }
    return number
  }

  /// The settings that have no effect, in the order in which they stand.
  var ignored: [(path: String, location: SettingLocation)] {
    root.unread().map { ($0.path, $0.node.location) }
  }

  static func failure(
    _ path: String, _ location: SettingLocation, expected: String, found: String
  ) -> CommandFailure {
    location.isCommandLine
      ? CommandFailure(.badConfiguration, "--set \(path)=\(found): expected \(expected)")
      : CommandFailure(.badConfiguration, "\(location): \(path): expected \(expected); found \(found)")
  }
}
