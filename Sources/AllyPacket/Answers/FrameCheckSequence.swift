/// The frame check sequence of IEEE 802.3 §3.2.9, for frames that an appliance makes and hands to a driver that expects one
/// (CRC-32, sent least significant byte first).
public enum FrameCheckSequence {
  /// The sequence of a whole frame.
  public static func of(_ bytes: RawSpan) -> UInt32 {
    var value = UInt32.max
    for offset in 0..<bytes.byteCount {
      value ^= UInt32(bytes.byte(at: offset))
      for _ in 0..<8 { value = value & 1 == 1 ? value &>> 1 ^ 0xEDB8_8320 : value &>> 1 }
    }
    return ~value
  }
}
