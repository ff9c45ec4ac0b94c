import AllyPacket

/// Frames for tests: bytes that tell which frame they are.
enum Frames {
  /// An Ethernet frame of `length` bytes whose content follows from `number`.
  static func numbered(_ number: Int, length: Int = 64) -> [UInt8] {
    precondition(length >= 18)
    var bytes: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x88, 0xB5]
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
    var state = UInt32(truncatingIfNeeded: number) &* 2_654_435_761 | 1
    while bytes.count < length {
      state = state &* 1_664_525 &+ 1_013_904_223
      bytes.append(UInt8(truncatingIfNeeded: state >> 24))
    }
    return bytes
  }
}

/// Drops the frames whose ordinal says so, and remembers what it saw.
struct ScriptedInspector: PacketInspector {
  var drops: (UInt64) -> Bool
  var seen: [(ordinal: UInt64, direction: Direction, bytes: [UInt8])] = []

  init(drops: @escaping (UInt64) -> Bool = { _ in false }) { self.drops = drops }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    seen.append((packet.stamp.ordinal, packet.direction, packet.bytes.array))
    return drops(packet.stamp.ordinal) ? .drop : .accept
  }
}

extension RawSpan {
  /// The bytes, copied.
  var array: [UInt8] { unsafe withUnsafeBytes { unsafe [UInt8]($0) } }
}
