import AllyPacket

/// What to do with a frame, besides letting it through.
enum Answer: Equatable {
  case accept
  case drop
  /// Cuts the frame to so many bytes.
  case shrink(Int)
  /// Puts so many bytes behind it.
  case grow(Int)
  /// Sends a frame of its own that way, after the frame.
  case inject(Direction, [UInt8])
  case reject(Rejection)
}

extension Answer {
  /// What it makes of a frame: the frames that go on towards the frame's receiver.
  func outcome(of frame: [UInt8], _ direction: Direction) -> [[UInt8]] {
    switch self {
    case .accept: [frame]
    case .drop, .reject: []
    case .shrink(let count): [Array(frame.prefix(count))]
    case .grow(let count): [frame + [UInt8](repeating: 0xEE, count: count)]
    case .inject(let towards, let own): towards == direction ? [frame, own] : [frame]
    }
  }
}

/// An inspector that does more than accept and drop: what a script says for each frame's number.
struct AnsweringInspector: PacketInspector {
  static var actions: InspectorActions { .all }

  var script: (UInt32, Direction) -> Answer
  /// Answers that were refused when they were given.
  var refused = 0
  var seen: [(number: UInt32, direction: Direction)] = []

  init(_ script: @escaping (UInt32, Direction) -> Answer) { self.script = script }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict { .drop }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    // The number that Frames.numbered put behind the Ethernet header; of other frames, the ordinal.
    let bytes = packet.bytes
    let isNumbered = bytes.byteCount >= 18 && bytes.byte(at: 12) == 0x88 && bytes.byte(at: 13) == 0xB5
    let number =
      isNumbered
      ? (14..<18).reduce(0 as UInt32) { $0 << 8 | UInt32(bytes.byte(at: $1)) } : UInt32(packet.stamp.ordinal)
    seen.append((number, packet.direction))
    switch script(number, packet.direction) {
    case .accept: return .accept
    case .drop: return .drop
    case .shrink(let count):
      let isMade = answers.replace(packet) {
        _ = unsafe $0.replaceSubrange(count..<$0.count, with: [UInt8]().span.bytes)
      }
      if !isMade { refused += 1 }
      return .replace
    case .grow(let count):
      let more = [UInt8](repeating: 0xEE, count: count)
      let isMade = answers.replace(packet) { _ = unsafe $0.replaceSubrange($0.count..<$0.count, with: more.span.bytes) }
      if !isMade { refused += 1 }
      return .replace
    case .inject(let direction, let frame):
      if unsafe !answers.inject(frame.span.bytes, towards: direction) { refused += 1 }
      return .accept
    case .reject(let rejection):
      if !answers.reject(packet, with: rejection) { refused += 1 }
      return .reject
    }
  }
}

extension AnsweringInspector {
  /// What the script makes of frames that are numbered from 0 on: the frames that go on towards their receiver.
  func outcomes(of frames: [[UInt8]], _ direction: Direction) -> [[UInt8]] {
    frames.enumerated().flatMap { script(UInt32($0.offset), direction).outcome(of: $0.element, direction) }
  }
}
