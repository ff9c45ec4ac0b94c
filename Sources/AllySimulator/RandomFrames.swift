/// Ethernet frames that follow from a seed: most of them short, some as long as may be; a quarter are TCP segments with right
/// checksums, which OS drivers leave to the NIC.
struct RandomFrames {
  let longest: Int
  private var state: UInt64

  init(longest: Int, seed: UInt64) {
    self.longest = longest
    state = seed
  }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  mutating func makeFrame() -> [UInt8] {
    let limit = next() % 8 == 0 ? longest : min(200, longest)
    let length = 60 + Int(next() % UInt64(max(1, limit - 59)))
    let isTCP = next() % 4 == 0
    var frame: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1]
    frame += isTCP ? [0x08, 0x00] : [0x88, 0xB5]
    if isTCP { frame += headers(length: length) }
    var content = next()
    while frame.count < length {
      frame.append(UInt8(truncatingIfNeeded: content))
      content = content >> 8 | content << 56
      if frame.count % 64 == 0 { content = content &* 0x9E37_79B9_7F4A_7C15 | 1 }
    }
    if isTCP { Self.setChecksums(&frame) }
    return frame
  }

  /// IPv4 without options and TCP without options, of a frame of `length` bytes: one of 256 flows.
  private mutating func headers(length: Int) -> [UInt8] {
    let flow = next()
    let total = length - 14
    let ip: [UInt8] = [
      0x45, 0, UInt8(truncatingIfNeeded: total >> 8), UInt8(truncatingIfNeeded: total),
      UInt8(truncatingIfNeeded: flow >> 8),
      UInt8(truncatingIfNeeded: flow >> 16), 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]
    return ip + [0x80, UInt8(truncatingIfNeeded: flow), 0, 80, 0, 0, 1, 0, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]
  }

  private static func setChecksums(_ frame: inout [UInt8]) {
    store(~sum(frame[14..<34]), at: 24, of: &frame)
    let length = frame.count - 34
    let pseudo: [UInt8] = [0, 6, UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length)]
    store(~sum(frame[26..<34] + pseudo + frame[34...]), at: 50, of: &frame)
  }

  private static func store(_ value: UInt16, at place: Int, of frame: inout [UInt8]) {
    frame[place] = UInt8(value >> 8)
    frame[place + 1] = UInt8(value & 0xFF)
  }

  /// The sum of 16-bit words of RFC 1071.
  private static func sum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var total: UInt64 = 0
    var isHigh = true
    for byte in bytes {
      total += isHigh ? UInt64(byte) << 8 : UInt64(byte)
      isHigh.toggle()
    }
    while total >> 16 != 0 { total = total & 0xFFFF + total >> 16 }
    return UInt16(total)
  }

  /// What tells flows apart: addresses and ports, or nothing for what is not TCP.
  static func flow(of frame: [UInt8]) -> [UInt8] {
    frame.count >= 38 && frame[12] == 8 && frame[13] == 0 ? Array(frame[26..<38]) : []
  }
}
