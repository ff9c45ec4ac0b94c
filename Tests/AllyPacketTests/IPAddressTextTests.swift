import AllyPacket
import Glibc
import Testing

@Suite struct IPAddressTextTests {
  @Test(arguments: [
    ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.0.2.1", "192.0.2.1"), ("::", "::"),
    ("::1", "::1"), ("1::", "1::"), ("2001:db8::1", "2001:db8::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:0:8", "1:2:3:4:5:6:0:8"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
  ])
  func `Addresses are read and printed`(text: String, printed: String) throws {
    #expect(try #require(IPAddress(text)).description == printed)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..2.3", "1.2.3.", "-1.2.3.4",
    ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1%eth0",
    "1:", ":1", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1.2.3.4::", "fe80::/10",
  ])
  func `What is no address is refused`(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func `An IPv4-mapped address keeps its IPv6 form for IPv6 headers`() throws {
    #expect(try #require(IPAddress("192.0.2.1")).ipv6Text == "::ffff:192.0.2.1")
  }

  /// The C library reads and prints the same.
  @Test(arguments: [11, 12] as [UInt64])
  func `Random IPv6 addresses are read and printed as the C library does`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for round in 0..<2_000 {
      var groups = (0..<8).map { _ in Bool.random(using: &random) ? 0 : UInt16.random(in: 0...0xFFFF, using: &random) }
      // The C library prints IPv4-compatible addresses with a dotted tail, RFC 5952 does not ask for it.
      if groups[0] == 0 { groups[0] = 0x2001 }
      var address = in6_addr()
      unsafe withUnsafeMutableBytes(of: &address) { bytes in
        for index in 0..<8 {
          unsafe bytes[2 * index] = UInt8(groups[index] >> 8)
          unsafe bytes[2 * index + 1] = UInt8(groups[index] & 255)
        }
      }
      var buffer = [CChar](repeating: 0, count: 64)
      unsafe inet_ntop(AF_INET6, &address, &buffer, 64)
      let expected = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let read = try #require(IPAddress(expected), "seed \(seed), round \(round): \(expected)")
      #expect(read.description == expected, "seed \(seed), round \(round)")
    }
  }
}
