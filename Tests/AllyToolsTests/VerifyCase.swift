import Foundation
import Yams

/// A case of a corpus of captures, rules and expected events: `test.yaml` with its rules and settings.
///
/// What counts is the checks named `filter`: that exactly `count` events of `eve.json` match. Those that ask for another
/// version than the one that the expectations hold for, or read another file, do not apply.
struct VerifyCase {
  /// The version of the peer whose behaviour is expected.
  static let version = [7, 0, 10]

  let folder: String
  let capture: String
  let arguments: [String]
  let filters: [Filter]

  struct Filter {
    var count: Int
    var match: [String: Any]
  }

  struct Malformed: Error { var path: String }

  init(name: String, capture: String, corpus: String) throws {
    folder = corpus + "/verify/tests/" + name
    self.capture = corpus + "/verify/pcap/" + capture
    let path = folder + "/test.yaml"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    guard let settings = try Yams.load(yaml: text) as? [String: Any] else { throw Malformed(path: path) }
    arguments = (settings["args"] as? [Any] ?? []).flatMap { "\($0)".split(separator: " ").map(String.init) }
    filters = (settings["checks"] as? [[String: Any]] ?? []).compactMap { check in
      guard let filter = check["filter"] as? [String: Any], let count = filter["count"] as? Int,
        Self.applies(filter)
      else { return nil }
      return Filter(count: count, match: filter["match"] as? [String: Any] ?? [:])
    }
  }

  /// A file of the case, if it has it.
  func file(_ name: String) -> String? {
    FileManager.default.fileExists(atPath: folder + "/" + name) ? folder + "/" + name : nil
  }

  private static func applies(_ filter: [String: Any]) -> Bool {
    if let name = filter["filename"] as? String, name != "eve.json" { return false }
    guard let requires = filter["requires"] as? [String: Any] else { return true }
    for (key, value) in requires {
      let wanted = "\(value)".split(separator: ".").compactMap { Int($0) }
      let padded = wanted + [Int](repeating: 0, count: max(0, 3 - wanted.count))
      switch key {
      case "min-version": if version.lexicographicallyPrecedes(padded) { return false }
      case "lt-version": if !version.lexicographicallyPrecedes(padded) { return false }
      case "version": if Array(version.prefix(wanted.count)) != wanted { return false }
      default: return false
      }
    }
    return true
  }
}

extension VerifyCase.Filter {
  /// Whether an event meets every condition.
  func matches(_ event: [String: Any]) -> Bool {
    match.allSatisfy { key, wanted in
      let paths = (wanted as? [Any] ?? [wanted]).map { "\($0)" }
      switch key {
      case "has-key": return paths.allSatisfy { Self.value(in: event, at: $0) != nil }
      case "not-has-key": return paths.allSatisfy { Self.value(in: event, at: $0) == nil }
      default: return Self.compare(event, key, wanted)
      }
    }
  }

  private static let suffixes: Set<String> = [
    "__find", "__contains", "__startswith", "__endswith", "__len", "__gt", "__gte", "__lt", "__lte",
  ]

  private static func compare(_ event: [String: Any], _ key: String, _ wanted: Any) -> Bool {
    var parts = key.split(separator: ".").map(String.init)
    guard let last = parts.last, suffixes.contains(last) else { return isEqual(value(in: event, at: key), wanted) }
    parts.removeLast()
    guard let found = value(in: event, at: parts.joined(separator: ".")) else { return false }
    let text = found as? String
    switch last {
    case "__find": return text?.contains("\(wanted)") ?? false
    case "__startswith": return text?.hasPrefix("\(wanted)") ?? false
    case "__endswith": return text?.hasSuffix("\(wanted)") ?? false
    case "__contains":
      return text?.contains("\(wanted)") ?? (found as? [Any])?.contains { isEqual($0, wanted) } ?? false
    case "__len": return (text?.count ?? (found as? [Any])?.count) == wanted as? Int
    default:
      guard let left = (found as? NSNumber)?.doubleValue, let right = (wanted as? NSNumber)?.doubleValue else {
        return false
      }
      return last == "__gt"
        ? left > right : last == "__gte" ? left >= right : last == "__lt" ? left < right : left <= right
    }
  }

  private static func isEqual(_ found: Any?, _ wanted: Any) -> Bool {
    switch (found, wanted) {
    case (nil, is NSNull): true
    case (nil, _): false
    case (let left as [Any], let right as [Any]):
      left.count == right.count && zip(left, right).allSatisfy { isEqual($0, $1) }
    case (let left as [String: Any], let right as [String: Any]):
      left.count == right.count && right.allSatisfy { isEqual(left[$0.key], $0.value) }
    case (let left as String, let right): left == "\(right)"
    case (let left as NSNumber, let right as Bool): isBoolean(left) && left.boolValue == right
    case (let left as NSNumber, let right as NSNumber): !isBoolean(left) && left == right
    default: false
    }
  }

  // The type's name is a C string that lives as long as the number.
  private static func isBoolean(_ number: NSNumber) -> Bool { unsafe String(cString: number.objCType) == "c" }

  /// What a dotted path such as `dns.answers[0].rdata` leads to.
  private static func value(in event: [String: Any], at path: String) -> Any? {
    var node: Any = event
    for part in path.split(separator: ".") {
      let name = part.prefix { $0 != "[" }
      guard let next = (node as? [String: Any])?[String(name)] else { return nil }
      node = next
      for index in part.dropFirst(name.count).split(whereSeparator: { $0 == "[" || $0 == "]" }) {
        guard let list = node as? [Any], let place = Int(index), list.indices.contains(place) else { return nil }
        node = list[place]
      }
    }
    return node is NSNull ? nil : node
  }
}
