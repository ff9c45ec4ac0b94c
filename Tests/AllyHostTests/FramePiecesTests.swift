@testable import AllyHost
import AllyPacket
import Testing

/// Frames of a packet socket as they would be on a cable.
@Suite struct FramePiecesTests {
  private func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }

  /// The frame up to its transport header, for `payload` bytes behind that header's `header` bytes.
  private func frame(isIPv6: Bool, carrying kind: UInt8, header: [UInt8], payload: Int) -> [UInt8] {
    let ethernet: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2] + (isIPv6 ? [0x86, 0xDD] : [8, 0])
    let length = header.count + payload
    let ip: [UInt8] =
      isIPv6
      ? [0x60, 0, 0, 0] + word(length) + [kind, 64] + Array(repeating: 0x20, count: 32)
      : [0x45, 0] + word(20 + length) + [0xFF, 0xFE, 0x40, 0, 64, kind, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
    return ethernet + ip + header + (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
  }

  private func tcp(sequence: UInt32, flags: UInt8) -> [UInt8] {
    [0x30, 0x39, 0, 80] + word(Int(sequence >> 16)) + word(Int(sequence & 0xFFFF)) + [0, 0, 0, 9, 0x50, flags, 1, 0]
      + [0xAB, 0xCD, 0, 0]
  }

  private func pieces(_ frame: [UInt8], _ offloads: PendingOffloads) -> [[UInt8]] {
    var pieces = FramePieces(frame.span, offloads)
    var found: [[UInt8]] = []
    var bytes = [UInt8](repeating: 0, count: Uplink.longestFrame)
    while true {
      var span = bytes.mutableSpan
      guard let count = pieces.next(of: frame.span, into: &span) else { return found }
      found.append(Array(bytes[..<count]))
    }
  }

  /// The one's complement sum of RFC 1071, written for the test: 0xFFFF when a checksum is right.
  private func sum(_ bytes: some Collection<UInt8>) -> UInt32 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() { sum += UInt32(byte) << (index % 2 == 0 ? 8 : 0) }
    while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
    return sum
  }

  private func checksumsAreRight(_ frame: [UInt8]) -> Bool {
    // The span is of plain bytes, all of which are initialized.
    let layers = unsafe PacketLayers(of: frame.span.bytes, linkType: .ethernet)
    let isIPv6 = layers.network == .ipv6
    let transport = Array(frame[Int(layers.transportOffset)..<Int(layers.endOffset)])
    let addresses = isIPv6 ? frame[22..<54] : frame[26..<34]
    let pseudo = Array(addresses) + [0, layers.ipProtocol.rawValue] + word(transport.count)
    guard layers.defect == nil, Int(layers.endOffset) == frame.count else { return false }
    return sum(pseudo + transport) == 0xFFFF && (isIPv6 || sum(frame[14..<34]) == 0xFFFF)
  }

  private func segmenting(_ kind: PendingOffloads.Segmentation, _ size: Int) -> PendingOffloads {
    var offloads = PendingOffloads()
    offloads.segmentation = kind
    offloads.segmentSize = size
    return offloads
  }

  @Test(arguments: [false, true], [1, 999, 1000, 1001, 2000, 40_001])
  func `A large segment becomes those that a NIC would have sent`(isIPv6: Bool, payload: Int) {
    let whole = frame(
      isIPv6: isIPv6, carrying: 6, header: tcp(sequence: 0xFFFF_FF00, flags: 0x99), payload: payload)
    let header = whole.count - payload
    let found = pieces(whole, segmenting(isIPv6 ? .tcp6 : .tcp4, 1000))
    #expect(found.count == (payload + 999) / 1000)
    #expect(found.flatMap { $0[header...] } == Array(whole[header...]))
    for (index, piece) in found.enumerated() {
      #expect(checksumsAreRight(piece))
      let at = header - 20
      let sequence = piece[(at + 4)..<(at + 8)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      #expect(sequence == 0xFFFF_FF00 &+ UInt32(index * 1000))
      // CWR, ACK, PSH, FIN: the first in the first segment alone, the last two in the last.
      let isLast = index == found.count - 1
      #expect(piece[at + 13] == 0x10 | (index == 0 ? 0x80 : 0) | (isLast ? 0x09 : 0))
      if !isIPv6 { #expect(UInt16(piece[18]) << 8 | UInt16(piece[19]) == 0xFFFE &+ UInt16(index)) }
    }
  }

  @Test func `Datagrams are cut too`() {
    let whole = frame(isIPv6: false, carrying: 17, header: [0, 53, 0, 53] + word(8 + 2500) + [0, 0], payload: 2500)
    let found = pieces(whole, segmenting(.udp, 1200))
    #expect(found.map(\.count) == [1242, 1242, 142])
    #expect(found.allSatisfy { checksumsAreRight($0) })
    #expect(found.flatMap { $0[42...] } == Array(whole[42...]))
  }

  @Test func `A checksum that was left to the NIC is put in`() {
    var whole = frame(isIPv6: true, carrying: 6, header: tcp(sequence: 1, flags: 0x10), payload: 33)
    // The sum of the pseudo header, as the kernel leaves it.
    let pseudo = sum(Array(whole[22..<54]) + [0, 6] + word(53))
    whole.replaceSubrange(70..<72, with: word(Int(pseudo)))
    var offloads = PendingOffloads()
    offloads.checksumStart = 54
    offloads.checksumOffset = 16
    let found = pieces(whole, offloads)
    #expect(found.count == 1)
    #expect(checksumsAreRight(found[0]))
    #expect(pieces(whole, PendingOffloads()) == [whole])
  }

  @Test func `The kernel's header is read`() {
    let offloads = PendingOffloads([1, 0x84, 66, 0, 0xA8, 5, 54, 0, 16, 0])
    #expect(offloads.checksumStart == 54)
    #expect(offloads.checksumOffset == 16)
    #expect(offloads.segmentation == .tcp6)
    #expect(offloads.segmentSize == 1448)
    #expect(PendingOffloads([0, 0, 0]) == PendingOffloads())
  }

  /// No header and no frame makes it give too much, or trap.
  @Test func `Whatever comes, every byte of payload is given once at most`() {
    var generator = SystemRandomNumberGenerator()
    let seed = generator.next()
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      var whole = frame(
        isIPv6: random.next() & 1 == 0, carrying: 6, header: tcp(sequence: 1, flags: 0x18),
        payload: Int(random.next() % 5000))
      for _ in 0..<(random.next() % 4) {
        whole[Int(random.next() % UInt64(min(60, whole.count)))] = UInt8(truncatingIfNeeded: random.next())
      }
      whole = Array(whole.prefix(Int(random.next() % UInt64(whole.count)) + 1))
      let header = (0..<10).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let found = pieces(whole, PendingOffloads(header[...]))
      #expect(found.allSatisfy { $0.count <= whole.count }, "seed \(seed)")
      #expect(found.count <= whole.count, "seed \(seed)")
    }
  }
}

/// A generator whose numbers a seed repeats (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
