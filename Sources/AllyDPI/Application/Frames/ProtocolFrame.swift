/// A part of what one side says that has a name of its own: a message, its header, its body. Rules look at frames
/// (`frame:NAME`), and records show them.
final class ProtocolFrame {
  /// From 1, in the order in which a side's frames began.
  let number: UInt64
  /// In its parser's ``ApplicationParser/frameTypes``; ``FrameList/wholeStream`` for the stream itself.
  let type: UInt8
  let side: FlowSide
  /// Where it begins in the side's stream; nil in a datagram.
  let offset: UInt64?
  /// nil until it is known.
  fileprivate(set) var length: Int?
  /// Its first bytes, ``FrameList/kept`` at most.
  fileprivate(set) var bytes: [UInt8]
  /// Bytes that have come.
  fileprivate(set) var received: Int
  /// The transaction that it belongs to, when the parser says so.
  var transaction: UInt64?
  /// Signatures that matched it: each does so once.
  var matched: [UInt32] = []
  /// Bytes that had come when it was last inspected.
  var inspected = -1
  var isRecorded = false
  fileprivate(set) var isOver = false

  fileprivate init(number: UInt64, type: UInt8, side: FlowSide, offset: UInt64?, length: Int?, bytes: [UInt8]) {
    self.number = number
    self.type = type
    self.side = side
    self.offset = offset
    self.length = length
    self.bytes = bytes
    received = bytes.count
  }

  /// All of it has come.
  var isComplete: Bool { length.map { received >= $0 } ?? false }
}

/// The frames of a conversation that are not done with. A conversation has one only when rules or records ask for frames.
final class FrameList {
  /// Bytes of a frame that are kept.
  static var kept: Int { 64 << 10 }
  /// Frames of both sides that are kept; what begins while there are so many is left out.
  private static var most: Int { 512 }
  /// The type of the frame that is the whole stream.
  static var wholeStream: UInt8 { .max }

  private(set) var frames: [ProtocolFrame] = []
  private var begunToServer: UInt64 = 0
  private var begunToClient: UInt64 = 0
  /// Where the bytes that the parser is given begin in the stream.
  private var positionToServer: UInt64 = 0
  private var positionToClient: UInt64 = 0
  private let isStream: Bool
  /// The stream itself is a frame, too.
  private let showsStream: Bool

  init(isStream: Bool, showsStream: Bool) {
    self.isStream = isStream
    self.showsStream = showsStream
  }

  // MARK: what the engine says

  /// The parser is about to be given bytes that begin at a place of the stream.
  func willReceive(_ data: RawSpan, from side: FlowSide, at position: UInt64) {
    if side == .toServer { positionToServer = position } else { positionToClient = position }
    for frame in frames where frame.side == side && !frame.isOver && !frame.isComplete { append(data, to: frame) }
    if isStream && showsStream && begun(side) == 0 { begin(Self.wholeStream, side, at: 0, data, length: nil) }
  }

  /// One side says no more.
  func close(_ side: FlowSide) {
    for frame in frames where frame.side == side && frame.length == nil { frame.length = frame.received }
    for frame in frames where frame.side == side { frame.isOver = true }
  }

  /// Lets go of what nobody looks at any more.
  ///
  /// - Parameter areInspected: there are rules on frames; then each stays until they have seen it.
  func removeDone(from side: FlowSide, areInspected: Bool) {
    frames.removeAll {
      $0.side == side && ($0.isComplete || $0.isOver) && (!areInspected || $0.inspected >= $0.received)
    }
  }

  func frame(_ number: UInt64, from side: FlowSide) -> ProtocolFrame? {
    frames.first { $0.side == side && $0.number == number }
  }

  // MARK: what parsers say

  /// A frame begins.
  ///
  /// - Parameters:
  ///   - type: in the parser's ``ApplicationParser/frameTypes``.
  ///   - offset: where it begins, counted from the first byte that the parser was given last; negative when that was earlier.
  ///   - bytes: all that has come of it.
  ///   - length: nil when it is not known yet.
  @discardableResult
  func begin(_ type: UInt8, _ side: FlowSide, at offset: Int, _ bytes: RawSpan, length: Int?) -> ProtocolFrame? {
    let number = begun(side) + 1
    if side == .toServer { begunToServer = number } else { begunToClient = number }
    guard frames.count < Self.most else { return nil }
    let position = side == .toServer ? positionToServer : positionToClient
    let known = bytes.extracting(first: max(0, length ?? bytes.byteCount))
    let frame = ProtocolFrame(
      number: number, type: type, side: side,
      offset: isStream ? position &+ UInt64(bitPattern: Int64(offset)) : nil, length: length,
      bytes: known.extracting(first: Self.kept).array)
    frame.received = known.byteCount
    frames.append(frame)
    return frame
  }

  /// A frame ends.
  ///
  /// - Parameter offset: of what follows it, counted from the first byte that the parser was given last.
  func end(_ frame: ProtocolFrame?, at offset: Int) {
    guard let frame, let start = frame.offset else { return }
    let position = frame.side == .toServer ? positionToServer : positionToClient
    let length = max(0, Int(clamping: position &+ UInt64(bitPattern: Int64(offset)) &- start))
    frame.length = length
    frame.received = min(frame.received, length)
    if frame.bytes.count > length { frame.bytes.removeLast(frame.bytes.count - length) }
  }

  private func begun(_ side: FlowSide) -> UInt64 { side == .toServer ? begunToServer : begunToClient }

  private func append(_ data: RawSpan, to frame: ProtocolFrame) {
    let wanted = frame.length.map { min(data.byteCount, $0 - frame.received) } ?? data.byteCount
    frame.received += wanted
    let room = min(wanted, Self.kept - frame.bytes.count)
    if room > 0 { frame.bytes.append(data.extracting(0..<room)) }
  }
}
