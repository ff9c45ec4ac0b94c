import Testing

@testable import AllyDPI

/// `asn1` over datagrams; what fires and what does not is Suricata 7.0.10's answer to the same bytes.
@Suite struct ASN1Tests {
  /// A tag, a length and a content.
  private static func object(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    let count = content.count
    if count < 128 { return [tag, UInt8(count)] + content }
    return [tag, 0x82, UInt8(count >> 8), UInt8(truncatingIfNeeded: count)] + content
  }

  private static func nested(_ depth: Int) -> [UInt8] {
    (0..<depth).reduce(object(3, [0x20, 1])) { inner, _ in object(0x30, inner) }
  }

  private static let long = object(4, [UInt8](repeating: 0x61, count: 1200))
  private static let overflow = object(3, [0x20, 1])

  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var payload: [UInt8]
    /// Of bits, of reals, of lengths: 1, 2 and 3.
    var fires: [Int]
    var testDescription: String { name }
  }

  static let cases: [Case] = [
    Case(name: "unused bits beyond the string", payload: object(3, [0x20, 1, 2]), fires: [1]),
    Case(name: "seven unused bits", payload: object(3, [7, 1]), fires: []),
    Case(name: "as many as the content has", payload: object(3, [0x10, 1]), fires: []),
    Case(name: "in a sequence", payload: object(0x30, object(2, [1]) + object(3, [0x40, 1, 2])), fires: [1]),
    Case(name: "in a set", payload: object(0x31, overflow), fires: [1]),
    Case(name: "in a context of the application", payload: object(0xA0, overflow), fires: []),
    Case(name: "a long decimal real", payload: object(9, [UInt8](repeating: 0, count: 257)), fires: [2]),
    Case(name: "a real of 256 bytes", payload: object(9, [UInt8](repeating: 0, count: 256)), fires: []),
    Case(name: "a long binary real", payload: object(9, [0x80] + [UInt8](repeating: 0, count: 299)), fires: []),
    Case(name: "a long string", payload: long, fires: [3]),
    Case(
      name: "a length beyond the data", payload: [4, 0x82, 7, 0xD0] + [UInt8](repeating: 0x61, count: 30), fires: []),
    Case(name: "what came before counts", payload: long + [4, 0x82, 7, 0xD0, 0x61], fires: [3]),
    Case(name: "nothing counts behind a fault", payload: object(1, [1, 1]) + overflow, fires: []),
    Case(name: "an indefinite length", payload: [0x30, 0x80] + long + [0, 0], fires: [3]),
    Case(name: "without its end", payload: [0x30, 0x80] + long, fires: []),
    Case(name: "a tag of several bytes", payload: [0x1F, 0x81, 1, 2, 0x61, 0x62] + long, fires: [3]),
    Case(name: "no UTF-8", payload: object(12, [UInt8](repeating: 0xFF, count: 1200)), fires: []),
    Case(name: "a month that there is not", payload: object(0x17, Array("991301000000Z".utf8)) + long, fires: []),
    Case(name: "a time", payload: object(0x17, Array("990101000000Z".utf8)) + long, fires: [3]),
    Case(name: "a generalized time", payload: object(0x18, Array("19990101000000.5Z".utf8)) + long, fires: [3]),
    Case(name: "no printable string", payload: object(0x13, [0x40]) + long, fires: []),
    Case(name: "half a character", payload: object(0x1E, [0x61]) + long, fires: []),
    Case(name: "a bit string without any", payload: object(3, []) + long, fires: []),
    Case(name: "28 within each other", payload: nested(28), fires: [1]),
    Case(name: "29 within each other", payload: nested(29), fires: [1]),
    Case(name: "30 within each other", payload: nested(30), fires: []),
    Case(name: "30 objects", payload: overflow + (0..<29).flatMap { _ in object(2, [1]) }, fires: [1]),
    Case(name: "31 objects", payload: overflow + (0..<30).flatMap { _ in object(2, [1]) }, fires: []),
    Case(name: "nothing", payload: [], fires: []),
  ]

  @Test(arguments: cases) func fault(_ test: Case) throws {
    let rules = """
      alert udp any any -> any any (asn1:bitstring_overflow; sid:1;)
      alert udp any any -> any any (asn1:double_overflow; sid:2;)
      alert udp any any -> any any (asn1:oversize_length 1100; sid:3;)
      """
    let engine = try Exchange.datagrams((.toServer, test.payload)).run(rules)
    #expect(engine.alerts == test.fires)
  }

  @Test func offsetsCountFromTheStartOrTheMatch() throws {
    let rules = """
      alert udp any any -> any any (content:"ab"; asn1:bitstring_overflow, relative_offset 1; sid:1;)
      alert udp any any -> any any (content:"ab"; asn1:bitstring_overflow, relative_offset 0; sid:2;)
      alert udp any any -> any any (asn1:bitstring_overflow, absolute_offset 4; sid:3;)
      alert udp any any -> any any (asn1:bitstring_overflow, absolute_offset 400; sid:4;)
      """
    let engine = try Exchange.datagrams((.toServer, [0x78, 0x61, 0x62, 0xFF] + Self.overflow)).run(rules)
    #expect(engine.alerts == [1, 3])
  }

  @Test func theDepthIsTheOperators() throws {
    let rules = "alert udp any any -> any any (asn1:bitstring_overflow; sid:1;)"
    let deep = Exchange.datagrams((.toServer, Self.nested(40)))
    #expect(try deep.run(rules).alerts == [])
    #expect(try deep.run(rules) { $0.asn1Depth = 256 }.alerts == [1])
  }
}
