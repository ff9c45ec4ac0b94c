internal import AllyPacket

/// Addresses while a list is being read.
struct AddressSet: NegatableSet, Sendable {
  var intervals: IntervalSet<IPAddress>
  var containsNegation = false

  init(_ ranges: [AddressList.Range]) {
    intervals = IntervalSet(
      ranges.map { .init(first: $0.first, last: $0.last) }, successor: \.successor, predecessor: \.predecessor)
  }

  static var everything: AddressSet { AddressSet([.everything]) }
  var isEmpty: Bool { intervals.isEmpty }

  func union(_ other: AddressSet) -> AddressSet {
    var result = self
    result.intervals = intervals.union(other.intervals)
    result.containsNegation = containsNegation || other.containsNegation
    return result
  }

  func subtracting(_ other: AddressSet) -> AddressSet {
    var result = self
    result.intervals = intervals.subtracting(other.intervals)
    return result
  }

  var list: AddressList {
    let included = intervals.intervals.map { AddressList.Range(first: $0.first, last: $0.last) }
    return AddressList(
      included: included, isAny: included == [.everything], containsNegation: containsNegation)
  }
}

extension IPAddress {
  /// The next address; nil after the last one.
  var successor: IPAddress? {
    if low != .max { return IPAddress(high: high, low: low + 1) }
    return high == .max ? nil : IPAddress(high: high + 1, low: 0)
  }

  fileprivate var predecessor: IPAddress? {
    if low != 0 { return IPAddress(high: high, low: low - 1) }
    return high == 0 ? nil : IPAddress(high: high - 1, low: .max)
  }
}

/// Reads a rule's addresses: single ones, prefixes `a/24`, masks `a/255.255.255.0`, ranges `a-b`, `any`, lists and
/// variables.
struct AddressReader {
  let variables: RuleVariables
  private static let what = "addresses"

  func read(_ field: RuleSlice) throws(RuleSyntaxError) -> AddressList {
    if field.string == "any" { return .any }
    let variables = variables
    let parts = try Self.parts(field) { name throws(RuleSyntaxError) in try variables.addresses(name) }
    return try parts.set(at: field, of: Self.what).list
  }

  static func parts(
    _ field: RuleSlice, lookUp: @escaping RuleVariables.LookUp<ListParts<AddressSet>>
  ) throws(RuleSyntaxError) -> ListParts<AddressSet> {
    try ListReader(item: item, lookUp: lookUp, what: Self.what).read(field)
  }

  private static func item(_ text: RuleSlice) throws(RuleSyntaxError) -> AddressSet {
    if text.lowercased == "any" { return .everything }
    let bytes = text.text.bytes
    if let slash = text.range.first(where: { bytes[$0] == UInt8(ascii: "/") }) {
      return try prefix(
        text.slice(text.range.lowerBound..<slash), length: text.slice(slash + 1..<text.range.upperBound))
    }
    if let dash = text.range.first(where: { bytes[$0] == UInt8(ascii: "-") }) {
      let first = try address(text.slice(text.range.lowerBound..<dash))
      let last = try address(text.slice(dash + 1..<text.range.upperBound))
      guard first.isIPv4 == last.isIPv4 else { throw text.error("expected a range within one family") }
      guard first <= last else { throw text.error("expected the lower address first, found \(text.quoted)") }
      return family(first, last)
    }
    let single = try address(text)
    return AddressSet([.init(first: single, last: single)])
  }

  private static func prefix(_ text: RuleSlice, length: RuleSlice) throws(RuleSyntaxError) -> AddressSet {
    let address = try address(text)
    let bits: Int
    if address.isIPv4, length.bytes.contains(UInt8(ascii: ".")) {
      guard let mask = IPAddressText.ipv4(length.bytes), (~mask &+ 1) & ~mask == 0 else {
        throw length.expected("a network mask such as 255.255.255.0")
      }
      bits = 96 + (~mask).leadingZeroBitCount
    } else {
      bits = try length.number(in: 0...(address.isIPv4 ? 32 : 128)) + (address.isIPv4 ? 96 : 0)
    }
    // The bits that the prefix leaves open.
    let openHigh: UInt64 = bits >= 64 ? 0 : .max >> UInt64(bits)
    let openLow: UInt64 = bits >= 128 ? 0 : bits <= 64 ? .max : .max >> UInt64(bits - 64)
    return family(
      IPAddress(high: address.high & ~openHigh, low: address.low & ~openLow),
      IPAddress(high: address.high | openHigh, low: address.low | openLow))
  }

  /// An IPv6 range leaves out the IPv4 addresses, which stand in the IPv4-mapped range.
  private static func family(_ first: IPAddress, _ last: IPAddress) -> AddressSet {
    let set = AddressSet([.init(first: first, last: last)])
    return first.isIPv4 && last.isIPv4 ? set : set.subtracting(AddressSet([.everyIPv4]))
  }

  private static func address(_ text: RuleSlice) throws(RuleSyntaxError) -> IPAddress {
    if let bits = IPAddressText.ipv4(text.bytes) { return IPAddress(v4: bits) }
    if let address = IPAddressText.ipv6(text.bytes) { return address }
    throw text.expected("an IPv4 or IPv6 address, a prefix, a range, a variable or 'any'")
  }
}
