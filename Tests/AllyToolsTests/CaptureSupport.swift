import Foundation

/// Bytes of captures, made by hand.
struct CaptureBytes {
  var bytes: [UInt8] = []
  var isBigEndian = false
  var countsNanoseconds = false

  init(linkType: UInt32 = 1, isBigEndian: Bool = false, countsNanoseconds: Bool = false, snapLength: UInt32 = 262_144) {
    self.isBigEndian = isBigEndian
    self.countsNanoseconds = countsNanoseconds
    append(countsNanoseconds ? 0xA1B2_3C4D : 0xA1B2_C3D4)
    append16(2)
    append16(4)
    append(0)
    append(0)
    append(snapLength)
    append(linkType)
  }

  mutating func append(_ number: UInt32) {
    let ordered = isBigEndian ? number.bigEndian : number.littleEndian
    for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: ordered >> (8 * shift))) }
  }

  mutating func append16(_ number: UInt16) {
    let ordered = isBigEndian ? number.bigEndian : number.littleEndian
    bytes.append(UInt8(truncatingIfNeeded: ordered))
    bytes.append(UInt8(truncatingIfNeeded: ordered >> 8))
  }

  /// - Parameter fraction: micro- or nanoseconds, as the capture counts.
  mutating func addFrame(
    _ frame: [UInt8], seconds: UInt32 = 1_700_000_000, fraction: UInt32 = 0, lengthOnWire: Int? = nil
  ) {
    append(seconds)
    append(fraction)
    append(UInt32(frame.count))
    append(UInt32(lengthOnWire ?? frame.count))
    bytes += frame
  }

  /// Ethernet, IPv4, UDP with right checksums from 192.0.2.1:1024+`flow` to 10.0.0.1:53.
  static func udpFrame(payload: String, flow: UInt8 = 0) -> [UInt8] {
    let payload = Array(payload.utf8)
    let udpLength = UInt16(8 + payload.count)
    var udp: [UInt8] = [4, flow, 0, 53, UInt8(udpLength >> 8), UInt8(udpLength & 0xFF), 0, 0]
    // A UDP checksum of zero says that there is none (RFC 768).
    udp += payload
    let total = UInt16(20 + udp.count)
    var ip: [UInt8] = [
      0x45, 0, UInt8(total >> 8), UInt8(total & 0xFF), 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 10, 0, 0, 1,
    ]
    var sum: UInt32 = 0
    for i in stride(from: 0, to: 20, by: 2) { sum += UInt32(ip[i]) << 8 | UInt32(ip[i + 1]) }
    while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
    ip[10] = UInt8(~sum >> 8 & 0xFF)
    ip[11] = UInt8(~sum & 0xFF)
    return [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0] + ip + udp
  }

  /// A capture of `count` UDP frames.
  static func udp(count: Int, payload: String = "hello") -> CaptureBytes {
    var capture = CaptureBytes()
    for i in 0..<count {
      capture.addFrame(udpFrame(payload: payload, flow: UInt8(i & 0xFF)), fraction: UInt32(i))
    }
    return capture
  }
}

/// A folder that goes away with its owner.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/ally-tests-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and gives its path.
  @discardableResult
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

  func bytes(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: path + "/" + name)))
  }

  func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}

/// Random numbers that come again with the same seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// Changes a few bytes, cuts, or doubles a part.
func mutated(_ bytes: [UInt8], using generator: inout SeededGenerator) -> [UInt8] {
  var bytes = bytes
  for _ in 0..<Int.random(in: 1...8, using: &generator) where !bytes.isEmpty {
    let place = Int.random(in: 0..<bytes.count, using: &generator)
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &generator)))
    default:
      let part = bytes[place..<min(bytes.count, place + Int.random(in: 1...40, using: &generator))]
      bytes.insert(contentsOf: part, at: Int.random(in: 0...bytes.count, using: &generator))
    }
  }
  return bytes
}
