/// Makes captures of others, each damaged in a few places: conversations that go wrong in the middle, as no generator of
/// single inputs would have them.
struct Mutator {
  private let captures: [Capture]
  private var random: SeededGenerator

  /// Bytes that a frame has at the most, as the reader of captures takes it.
  private static let longestFrame = 65_535

  init(captures: [Capture], seed: UInt64) {
    self.captures = captures
    random = SeededGenerator(seed: seed)
  }

  /// The next capture, as a file.
  mutating func next() -> [UInt8] {
    var capture = captures[below(captures.count)]
    // Long captures give a part of theirs, so that many get their turn.
    if capture.frames.count > 500 {
      let start = below(capture.frames.count - 250)
      capture.frames = Array(capture.frames[start..<min(capture.frames.count, start + 250 + below(250))])
    }
    for _ in 0...below(2 + capture.frames.count / 4) { mutate(&capture) }
    var file = capture.file
    if below(16) == 0 { damage(&file) }
    return file
  }

  /// A number from 0 to `bound` - 1.
  private mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &random) }

  private mutating func mutate(_ capture: inout Capture) {
    guard !capture.frames.isEmpty else { return }
    let index = below(capture.frames.count)
    switch below(16) {
    case 0...2: flip(&capture.frames[index].bytes)
    case 3...4: overwrite(&capture.frames[index].bytes)
    case 5...6: lengthen(&capture.frames[index].bytes)
    case 7: cut(&capture.frames[index])
    case 8: extend(&capture.frames[index])
    case 9: capture.frames.remove(at: index)
    case 10...11: capture.frames.insert(capture.frames[index], at: index + below(min(20, capture.frames.count - index)))
    case 12: capture.frames.swapAt(index, min(capture.frames.count - 1, index + 1 + below(6)))
    case 13: splicePayload(&capture.frames[index])
    case 14: spliceFrames(into: &capture, at: index)
    default: jump(&capture, from: index)
    }
  }

  /// A place in a frame, most often where headers are.
  private mutating func place(in bytes: [UInt8]) -> Int { below(below(3) > 0 ? min(bytes.count, 80) : bytes.count) }

  private mutating func flip(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return }
    for _ in 0...below(8) { bytes[place(in: bytes)] ^= 1 << UInt8(below(8)) }
  }

  private mutating func overwrite(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else { return }
    let start = place(in: bytes)
    let value = [0, 0xFF, 0x7F, 0x80, UInt8(below(256))][below(5)]
    for index in start..<min(bytes.count, start + [1, 2, 4, 8][below(4)]) { bytes[index] = value }
  }

  /// Changes a field of two bytes by a little or altogether, as lengths and sequence numbers are.
  private mutating func lengthen(_ bytes: inout [UInt8]) {
    guard bytes.count >= 2 else { return }
    let start = min(place(in: bytes), bytes.count - 2)
    let before = UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])
    let after = below(3) == 0 ? UInt16(below(65_536)) : before &+ UInt16(truncatingIfNeeded: below(17) - 8)
    bytes[start] = UInt8(after >> 8)
    bytes[start + 1] = UInt8(truncatingIfNeeded: after)
  }

  /// The end is missing, on the wire or in the capture alone.
  private mutating func cut(_ frame: inout Frame) {
    frame.bytes.removeLast(below(frame.bytes.count))
    if below(2) == 0 { frame.lengthOnWire = UInt32(frame.bytes.count) }
  }

  private mutating func extend(_ frame: inout Frame) {
    let count = min(
      1 + below(below(8) == 0 ? 20_000 : 200), Self.longestFrame - min(frame.bytes.count, Self.longestFrame))
    for _ in 0..<count { frame.bytes.append(UInt8(below(256))) }
    frame.lengthOnWire = max(frame.lengthOnWire, UInt32(frame.bytes.count))
  }

  /// Puts what another frame carries behind the headers of this one.
  private mutating func splicePayload(_ frame: inout Frame) {
    let other = captures[below(captures.count)]
    let payload = other.frames[below(other.frames.count)].bytes.dropFirst(below(100))
    let headers = min(frame.bytes.count, 34 + below(40))
    let isOver = below(2) == 0
    let rest = isOver ? frame.bytes.dropFirst(headers + payload.count) : []
    frame.bytes = Array(frame.bytes.prefix(headers) + payload + rest)
    frame.lengthOnWire = max(frame.lengthOnWire, UInt32(frame.bytes.count))
  }

  /// A run of another capture's frames goes between.
  private mutating func spliceFrames(into capture: inout Capture, at index: Int) {
    let other = captures[below(captures.count)]
    guard other.linkType == capture.linkType else { return }
    let start = below(other.frames.count)
    var run = Array(other.frames[start..<min(other.frames.count, start + 1 + below(40))])
    for place in run.indices { run[place].time = capture.frames[index].time }
    capture.frames.insert(contentsOf: run, at: index)
  }

  /// The clock jumps, or goes back.
  private mutating func jump(_ capture: inout Capture, from index: Int) {
    let step = UInt64(below(4_000_000_000))
    let isBackwards = below(4) == 0
    for place in index..<capture.frames.count {
      let time = capture.frames[place].time
      capture.frames[place].time = isBackwards ? time - min(time, step) : time &+ step
    }
  }

  /// The file itself is cut, or a byte of it wrong.
  private mutating func damage(_ file: inout [UInt8]) {
    guard file.count > 24 else { return }
    if below(2) == 0 {
      file.removeLast(below(file.count - 24))
    } else {
      file[24 + below(file.count - 24)] ^= 1 << UInt8(below(8))
    }
  }
}

/// SplitMix64: the seed alone decides what comes.
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
