/// The fields of `threshold`, `detection_filter` and of the lines of a threshold file: `type limit, track by_src, …`.
struct ThresholdText {
  private var fields: [String: RuleSlice] = [:]

  /// - Parameter parts: a name and its value each, in any order; an empty one is passed over.
  init(_ parts: [RuleSlice]) throws(RuleSyntaxError) {
    for part in parts where !part.isEmpty {
      let (name, value) = part.firstWord
      guard !value.isEmpty else { throw part.expected("a name and its value, such as 'count 5'") }
      guard fields.updateValue(value, forKey: name.string) == nil else {
        throw name.error("expected \(name.quoted) only once")
      }
    }
  }

  func threshold(at place: RuleSlice) throws(RuleSyntaxError) -> Threshold {
    let type = try required("type", place)
    let kind: Threshold.Kind
    switch type.string {
    case "limit": kind = .limit
    case "threshold": kind = .threshold
    case "both": kind = .both
    default: throw type.expected("limit, threshold or both")
    }
    return Threshold(
      kind: kind, track: try track(place), count: try number("count", place), seconds: try number("seconds", place))
  }

  func detectionFilter(at place: RuleSlice) throws(RuleSyntaxError) -> Threshold {
    try allow(["track", "count", "seconds"])
    let count = try number("count", place)
    let seconds = try number("seconds", place)
    guard count > 0 else { throw try required("count", place).error("expected a count of at least 1") }
    guard seconds > 0 else { throw try required("seconds", place).error("expected at least 1 second") }
    return Threshold(kind: .detectionFilter, track: try track(place), count: count, seconds: seconds)
  }

  func allow(_ names: [String]) throws(RuleSyntaxError) {
    // In the order of the text, so that the first mistake is the one reported.
    let unknown = fields.filter { !names.contains($0.key) }.min {
      $0.value.range.lowerBound < $1.value.range.lowerBound
    }
    if let unknown {
      throw unknown.value.error("expected only \(names.joined(separator: ", ")), found '\(unknown.key)'")
    }
  }

  func optional(_ name: String) -> RuleSlice? { fields[name] }

  func required(_ name: String, _ place: RuleSlice) throws(RuleSyntaxError) -> RuleSlice {
    guard let value = fields[name] else { throw place.error("expected '\(name)' and its value") }
    return value
  }

  func number(_ name: String, _ place: RuleSlice) throws(RuleSyntaxError) -> UInt32 {
    UInt32(try required(name, place).number(in: NumberText.long))
  }

  func track(_ place: RuleSlice) throws(RuleSyntaxError) -> Threshold.Track {
    let track = try required("track", place)
    switch track.string {
    case "by_src": return .bySource
    case "by_dst": return .byDestination
    case "by_both": return .byBoth
    case "by_rule": return .byRule
    case "by_flow": return .byFlow
    default: throw track.expected("by_src, by_dst, by_both, by_rule or by_flow")
    }
  }
}
