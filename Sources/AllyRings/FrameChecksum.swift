/// The checksum with which a NIC and the DPI core tell each other which bytes a frame has (paper §4.3: "write checksum values to
/// the receive descriptor queue, and verify DPI-computed checksum values that it reads from the transmit descriptor queue").
///
/// Whoever may change a frame could put the checksum of the Internet right with two bytes of it, and a CRC with four. So this
/// one has a key that OS cores do not know: SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) of
/// the frame's bytes as they lie in its buffers, a frame check sequence included when there is one.
public enum FrameChecksum {
  /// The checksum of `bytes`; any core.
  public static func of(_ bytes: RawSpan, key: ChecksumKey) -> UInt64 {
    var state = State(key)
    let count = bytes.byteCount
    let whole = count & ~7
    var offset = 0
    while offset < whole {
      // Invariant of both loads: their bytes end before the span does.
      state.add(UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)))
      offset &+= 8
    }
    var last = UInt64(truncatingIfNeeded: count) &<< 56
    while offset < count {
      last |= UInt64(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)) &<< UInt64(8 &* (offset &- whole))
      offset &+= 1
    }
    state.add(last)
    return state.finish()
  }

  private struct State {
    var v0, v1, v2, v3: UInt64

    init(_ key: ChecksumKey) {
      v0 = key.low ^ 0x736F_6D65_7073_6575
      v1 = key.high ^ 0x646F_7261_6E64_6F6D
      v2 = key.low ^ 0x6C79_6765_6E65_7261
      v3 = key.high ^ 0x7465_6462_7974_6573
    }

    mutating func add(_ word: UInt64) {
      v3 ^= word
      round()
      round()
      v0 ^= word
    }

    mutating func finish() -> UInt64 {
      v2 ^= 0xFF
      for _ in 0..<4 { round() }
      return v0 ^ v1 ^ v2 ^ v3
    }

    @inline(__always)
    private mutating func round() {
      v0 = v0 &+ v1
      v1 = rotated(v1, 13) ^ v0
      v0 = rotated(v0, 32)
      v2 = v2 &+ v3
      v3 = rotated(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = rotated(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = rotated(v1, 17) ^ v2
      v2 = rotated(v2, 32)
    }

    @inline(__always)
    private func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 { value &<< bits | value &>> (64 &- bits) }
  }
}

/// The key of a NIC's frame checksums, 128 bits that DPI cores and the NIC know.
@frozen
public struct ChecksumKey: Sendable, BitwiseCopyable, Equatable {
  /// Its first eight bytes, least significant first.
  public var low: UInt64
  /// Its last eight bytes.
  public var high: UInt64

  @inlinable
  public init(low: UInt64 = 0, high: UInt64 = 0) {
    self.low = low
    self.high = high
  }
}
