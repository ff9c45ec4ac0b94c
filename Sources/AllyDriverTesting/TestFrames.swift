internal import AllyPacket

/// Frames that tell which they are, and whether the inspector lets them pass.
enum TestFrame {
  /// What the frames carry that the inspector drops: 16 bytes that nothing else has.
  static let secret: [UInt8] = Array("do not let me by".utf8)

  /// Whether a word, of eight bytes as they lie in memory, is from within the secret.
  static func isPartOfSecret(_ word: UInt64) -> Bool { secretWords.contains(word.littleEndian) }

  private static let secretWords: [UInt64] = (0...8).map { first in
    secret[first..<(first + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  static func make(_ number: Int, isSecret: Bool = false, length: Int = 96) -> [UInt8] {
    var bytes: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x88, 0xB5]
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    if isSecret { bytes += secret }
    // Not small, so that a word of which they are only a part is no address of DPI memory.
    while bytes.count < length { bytes.append(0x40 | UInt8(truncatingIfNeeded: bytes.count &* 7 &+ number) & 0x3F) }
    return bytes
  }

  /// The number of a frame; nil when it is none of ours, or changed.
  static func number(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 18 else { return nil }
    let number = bytes[14..<18].reduce(0) { $0 << 8 | Int($1) }
    let isSecret = bytes.count >= 34 && Array(bytes[18..<34]) == secret
    return make(number, isSecret: isSecret, length: bytes.count) == bytes ? number : nil
  }
}

/// Drops the frames that carry the secret, or all.
struct SecretKeeper: PacketInspector {
  var dropsAll = false
  var inspected = 0

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    inspected += 1
    if dropsAll { return .drop }
    let bytes = packet.bytes.array
    return bytes.count >= 34 && Array(bytes[18..<34]) == TestFrame.secret ? .drop : .accept
  }
}

extension RawSpan {
  /// The bytes, copied.
  var array: [UInt8] { unsafe withUnsafeBytes { unsafe [UInt8]($0) } }
}

extension Span where Element == UInt8 {
  var array: [UInt8] { indices.map { self[$0] } }
}

/// A sequence of random numbers that follows from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
