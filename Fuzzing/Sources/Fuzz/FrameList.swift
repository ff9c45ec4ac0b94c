internal import AllyPacket

/// Frames as an input spells them: for each four bytes, then its own.
///
/// | byte | meaning |
/// |---|---|
/// | 0 | bit 0 sent by the OS; bits 1–3 link type, 0 for Ethernet; bit 4 the capture cut the frame |
/// | 1 | n, at most 48: 2^n − 1 ns after the frame before |
/// | 2, 3 | length in bytes, little-endian; cut at the input's end |
struct FrameList {
  static let mostFrames = 64
  private static let linkTypes: [LinkType] = [
    .ethernet, .null, .raw, .ciscoHDLC, .linuxSLL, .ipv4, .ipv6, .linuxSLL2,
  ]

  struct Frame {
    var bytes: [UInt8]
    var stamp: FrameStamp
    var direction: Direction
  }

  private(set) var frames: [Frame] = []

  init(_ input: inout InputReader) {
    // 2023-11-14; far enough from both ends of the clock.
    var time: UInt64 = 1_700_000_000_000_000_000
    while !input.isEmpty, frames.count < Self.mostFrames {
      let flags = input.byte()
      time += 1 << UInt64(min(input.byte(), 48)) - 1
      let bytes = input.take(Int(input.number(UInt16.self)))
      let cut = flags & 16 != 0 ? 100 : 0
      frames.append(
        Frame(
          bytes: bytes,
          stamp: FrameStamp(
            time: time, ordinal: UInt64(frames.count + 1), lengthOnWire: UInt32(bytes.count + cut),
            linkType: Self.linkTypes[Int(flags >> 1 & 7)]),
          direction: flags & 1 == 0 ? .receive : .transmit))
    }
  }

  /// A frame as ``init(_:)`` reads it.
  static func encode(_ frame: [UInt8], timeStep: UInt8, linkType: LinkType, direction: Direction) -> [UInt8] {
    let length = min(frame.count, Int(UInt16.max))
    let link = linkTypes.firstIndex(of: linkType) ?? 0
    return [
      UInt8(link << 1) | (direction == .transmit ? 1 : 0), timeStep, UInt8(length & 0xFF), UInt8(length >> 8),
    ] + frame.prefix(length)
  }
}

extension FrameList.Frame {
  /// The frame as an inspector sees it.
  func withPacket<Result>(_ body: (borrowing Packet) -> Result) -> Result {
    // Bytes have no padding that could be uninitialized.
    body(Packet(bytes: unsafe bytes.span.bytes, stamp: stamp, direction: direction))
  }
}
