internal import AllyPacket

/// What kind of number a match compares. Every value is a range of integers, so that addresses, ports, protocols and
/// types share one way from text to program.
enum ValueType: Sendable {
  case ipv4Address
  case ipv6Address
  case service
  case ipProtocol
  case icmpType
  case icmpv6Type
  case icmpCode
  case icmpv6Code

  /// The name in a set's `type` statement; nil for what nft keeps no set of.
  var setTypeName: String? {
    switch self {
    case .ipv4Address: "ipv4_addr"
    case .ipv6Address: "ipv6_addr"
    case .service: "inet_service"
    case .ipProtocol: "inet_proto"
    case .icmpType: "icmp_type"
    case .icmpv6Type: "icmpv6_type"
    case .icmpCode, .icmpv6Code: nil
    }
  }

  static let ofSets: [ValueType] = [.ipv4Address, .ipv6Address, .service, .ipProtocol, .icmpType, .icmpv6Type]

  var maximum: UInt128 {
    switch self {
    case .ipv4Address: UInt128(UInt32.max)
    case .ipv6Address: .max
    case .service: UInt128(UInt16.max)
    case .ipProtocol, .icmpType, .icmpv6Type, .icmpCode, .icmpv6Code: UInt128(UInt8.max)
    }
  }

  /// How an error names a value.
  var expected: String {
    switch self {
    case .ipv4Address: "an IPv4 address, prefix or range"
    case .ipv6Address: "an IPv6 address, prefix or range"
    case .service: "a port (0 to 65535), a range of ports or a service name"
    case .ipProtocol: "a protocol's name or number (0 to 255)"
    case .icmpType: "an ICMP type's name or number (0 to 255)"
    case .icmpv6Type: "an ICMPv6 type's name or number (0 to 255)"
    case .icmpCode: "an ICMP code's name or number (0 to 255)"
    case .icmpv6Code: "an ICMPv6 code's name or number (0 to 255)"
    }
  }

  /// One value without range or prefix.
  func single(_ text: Substring) -> UInt128? {
    switch self {
    case .ipv4Address:
      guard !text.utf8.contains(UInt8(ascii: ":")), let address = IPAddress(String(text)) else { return nil }
      return UInt128(address.v4Bits)
    case .ipv6Address:
      guard text.utf8.contains(UInt8(ascii: ":")), let address = IPAddress(String(text)) else { return nil }
      return UInt128(address.high) << 64 | UInt128(address.low)
    case .service: return number(text) ?? Names.services[String(text)].map { UInt128($0) }
    case .ipProtocol: return number(text) ?? Names.protocols[String(text)].map { UInt128($0) }
    case .icmpType: return number(text) ?? Names.icmpTypes[String(text)].map { UInt128($0) }
    case .icmpv6Type: return number(text) ?? Names.icmpv6Types[String(text)].map { UInt128($0) }
    case .icmpCode: return number(text) ?? Names.icmpCodes[String(text)].map { UInt128($0) }
    case .icmpv6Code: return number(text) ?? Names.icmpv6Codes[String(text)].map { UInt128($0) }
    }
  }

  private func number(_ text: Substring) -> UInt128? {
    guard let value = Number.parse(text), UInt128(value) <= maximum else { return nil }
    return UInt128(value)
  }

  /// Bits of an address; 0 for what has no prefixes.
  var addressBits: Int {
    switch self {
    case .ipv4Address: 32
    case .ipv6Address: 128
    default: 0
    }
  }

  /// The addresses under a prefix such as `10.0.0.0/8`; bits behind the prefix are ignored.
  func prefix(_ text: Substring) -> ValueRange? {
    guard addressBits > 0, let slash = text.firstIndex(of: "/"), let address = single(text[..<slash]),
      let length = Number.parse(text[text.index(after: slash)...]), length <= UInt64(addressBits)
    else { return nil }
    let host: UInt128 = length == 0 ? maximum : maximum >> UInt128(length)
    return ValueRange(lower: address & ~host, upper: address | host)
  }
}

/// Decimal and hexadecimal numbers.
enum Number {
  static func parse(_ text: Substring) -> UInt64? {
    // `UInt64(_:)` would accept a sign.
    guard let first = text.utf8.first, (0x30...0x39).contains(first) else { return nil }
    return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }
}

/// Both ends belong to it.
struct ValueRange: Sendable, Equatable {
  var lower: UInt128
  var upper: UInt128
}

extension [ValueRange] {
  /// The same values as ranges that ascend and neither overlap nor touch.
  var merged: [ValueRange] {
    var result: [ValueRange] = []
    for range in sorted(by: { $0.lower < $1.lower }) {
      if let last = result.last, range.lower <= last.upper || range.lower == last.upper &+ 1 {
        result[result.count - 1].upper = Swift.max(last.upper, range.upper)
      } else {
        result.append(range)
      }
    }
    return result
  }

  /// The values as a set of bytes; ranges that leave 0 to 255 are left out.
  var bytes: ByteSet {
    var set = ByteSet()
    for range in self where range.upper <= 255 {
      for value in range.lower...range.upper { set.insert(UInt8(truncatingIfNeeded: value)) }
    }
    return set
  }
}

/// A set of values from 0 to 255, one bit each.
struct ByteSet: Sendable, BitwiseCopyable, Equatable {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init() {}

  init(_ values: UInt8...) { for value in values { insert(value) } }

  static var all: ByteSet {
    var set = ByteSet()
    set.words = (.max, .max, .max, .max)
    return set
  }

  var isEmpty: Bool { words.0 | words.1 | words.2 | words.3 == 0 }

  mutating func insert(_ value: UInt8) {
    let bit: UInt64 = 1 << UInt64(value & 63)
    switch value >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    default: words.3 |= bit
    }
  }

  @inline(__always)
  func contains(_ value: UInt8) -> Bool {
    let word =
      value < 128 ? (value < 64 ? words.0 : words.1) : (value < 192 ? words.2 : words.3)
    return word &>> UInt64(value & 63) & 1 != 0
  }

  func intersection(_ other: ByteSet) -> ByteSet {
    var set = ByteSet()
    set.words = (
      words.0 & other.words.0, words.1 & other.words.1, words.2 & other.words.2, words.3 & other.words.3
    )
    return set
  }

  var inverted: ByteSet {
    var set = ByteSet()
    set.words = (~words.0, ~words.1, ~words.2, ~words.3)
    return set
  }

  static func == (left: ByteSet, right: ByteSet) -> Bool { left.words == right.words }
}
