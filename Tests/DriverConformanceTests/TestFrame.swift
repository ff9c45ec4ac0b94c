import AllyPacket

/// Frames that tell their number and their content: whatever is lost, doubled, swapped or changed shows.
enum TestFrame {
  /// 52:54:00:12:34:56, the first byte in the low bits.
  static let station: UInt64 = 0x5634_1200_5452

  /// Bytes before the number: addresses, and the local experimental EtherType.
  private static let header = 14

  /// A frame to the station.
  ///
  /// - Parameters:
  ///   - number: what ``number(of:)`` gives back.
  ///   - length: bytes, at least 60.
  static func make(_ number: UInt32, length: Int) -> [UInt8] {
    var frame: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xB5]
    for shift in [24, 16, 8, 0] as [UInt32] { frame.append(UInt8(truncatingIfNeeded: number >> shift)) }
    var state = number &* 2_654_435_761
    while frame.count < length {
      state = state &* 1_664_525 &+ 1_013_904_223
      frame.append(UInt8(truncatingIfNeeded: state >> 24))
    }
    return frame
  }

  static func number(of bytes: RawSpan) -> UInt32? {
    guard bytes.byteCount >= header + 4 else { return nil }
    var number: UInt32 = 0
    for index in header..<(header + 4) { number = number << 8 | UInt32(bytes.byte(at: index)) }
    return number
  }

  static func number(in frame: [UInt8]) -> UInt32? { unsafe number(of: frame.span.bytes) }

  /// Mixed lengths: mostly up to the standard MTU, and now and then a jumbo frame.
  static func length(_ number: UInt32, jumbo: Bool) -> Int {
    let hash = Int((number &* 2_246_822_519) >> 8)
    return jumbo && number % 16 == 7 ? 1515 + hash % 7500 : 60 + hash % 1455
  }
}

/// An appliance that drops the frames of some numbers, and counts what it saw.
struct MarkedFrames: PacketInspector {
  /// Of ten numbers, how many are dropped.
  var droppedOfTen: UInt32 = 0
  var received = 0
  var transmitted = 0

  func drops(_ number: UInt32) -> Bool { (number &* 2_654_435_761) >> 16 % 10 < droppedOfTen }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    if packet.direction == .receive { received += 1 } else { transmitted += 1 }
    guard let number = TestFrame.number(of: packet.bytes) else { return .accept }
    return drops(number) ? .drop : .accept
  }
}
