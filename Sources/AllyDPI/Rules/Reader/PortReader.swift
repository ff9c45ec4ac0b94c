/// Ports while a list is being read.
struct PortSet: NegatableSet, Sendable {
  var intervals: IntervalSet<UInt16>
  var containsNegation = false

  init(_ ranges: [ClosedRange<UInt16>]) {
    intervals = IntervalSet(
      ranges.map { .init(first: $0.lowerBound, last: $0.upperBound) },
      successor: { $0 == .max ? nil : $0 + 1 }, predecessor: { $0 == 0 ? nil : $0 - 1 })
  }

  static var everything: PortSet { PortSet([0...UInt16.max]) }
  var isEmpty: Bool { intervals.isEmpty }

  func union(_ other: PortSet) -> PortSet {
    var result = self
    result.intervals = intervals.union(other.intervals)
    result.containsNegation = containsNegation || other.containsNegation
    return result
  }

  func subtracting(_ other: PortSet) -> PortSet {
    var result = self
    result.intervals = intervals.subtracting(other.intervals)
    return result
  }

  var list: PortList {
    let included = intervals.intervals.map { $0.first...$0.last }
    return PortList(included: included, isAny: included == [0...UInt16.max])
  }
}

/// Reads a rule's ports: numbers, ranges `a:b`, `a:`, `:b`, `any`, lists and variables.
struct PortReader {
  let variables: RuleVariables
  private static let what = "ports"

  func read(_ field: RuleSlice) throws(RuleSyntaxError) -> PortList {
    let variables = variables
    let parts = try Self.parts(field) { name throws(RuleSyntaxError) in try variables.ports(name) }
    return try parts.set(at: field, of: Self.what).list
  }

  static func parts(
    _ field: RuleSlice, lookUp: @escaping RuleVariables.LookUp<ListParts<PortSet>>
  ) throws(RuleSyntaxError) -> ListParts<PortSet> {
    try ListReader(item: item, lookUp: lookUp, what: Self.what).read(field)
  }

  private static func item(_ text: RuleSlice) throws(RuleSyntaxError) -> PortSet {
    if text.lowercased == "any" { return .everything }
    let bounds = text.separated(by: UInt8(ascii: ":"))
    switch bounds.count {
    case 1:
      let port = try port(bounds[0])
      return PortSet([port...port])
    case 2:
      let first = bounds[0].isEmpty ? 0 : try port(bounds[0])
      let last = bounds[1].isEmpty ? .max : try port(bounds[1])
      guard first <= last else { throw text.error("expected the lower port first, found \(text.quoted)") }
      return PortSet([first...last])
    default:
      throw text.expected("a port, a range of ports or 'any'")
    }
  }

  private static func port(_ text: RuleSlice) throws(RuleSyntaxError) -> UInt16 {
    guard text.first?.isDigit == true, let value = try? text.number(in: 0...Int(UInt16.max)) else {
      throw text.expected("a port from 0 to 65535")
    }
    return UInt16(value)
  }
}
