/// Where a setting was written: for messages.
struct SettingLocation: Equatable, CustomStringConvertible {
  var file: String
  var line: Int
  var column: Int

  /// A setting given with `--set`.
  static let commandLine = SettingLocation(file: "--set", line: 0, column: 0)

  var isCommandLine: Bool { self == .commandLine }

  var description: String { isCommandLine ? file : "\(file):\(line):\(column)" }
}

/// One node of the settings, as Suricata arranges them: every node has a name and perhaps a value, and nodes below it.
///
/// The items of a list are named `0`, `1`, …; an item that is a mapping has its first key as its value, so that
/// `outputs.1.eve-log.enabled` and "the output whose value is `eve-log`" both find what they mean.
final class SettingNode {
  let name: String
  var value: String?
  var location: SettingLocation
  private(set) var children: [SettingNode] = []
  /// Whether something asked for this node, so that it has an effect.
  var wasRead = false

  init(name: String, value: String? = nil, location: SettingLocation) {
    self.name = name
    self.value = value
    self.location = location
  }

  func child(_ name: String) -> SettingNode? { children.first { $0.name == name } }

  /// The child of this name, made when it is not there.
  func makeChild(_ name: String, location: SettingLocation) -> SettingNode {
    if let child = child(name) { return child }
    let child = SettingNode(name: name, location: location)
    children.append(child)
    return child
  }

  /// The node at a dotted path below this one.
  func node(at path: String) -> SettingNode? {
    var node = self
    for part in path.split(separator: ".") {
      guard let next = node.child(String(part)) else { return nil }
      node = next
    }
    return node
  }

  /// Marks this node and all below it as read.
  func markRead() {
    wasRead = true
    for child in children { child.markRead() }
  }

  /// The nodes with a value that nothing asked for, each with its dotted path.
  func unread(prefix: String = "") -> [(path: String, node: SettingNode)] {
    var result: [(path: String, node: SettingNode)] = []
    for child in children {
      let path = prefix.isEmpty ? child.name : prefix + "." + child.name
      if child.children.isEmpty {
        if !child.wasRead { result.append((path, child)) }
      } else {
        result += child.unread(prefix: path)
      }
    }
    return result
  }
}
