internal import AllyPacket

/// What one side of a TCP connection has sent so far. Sequence numbers are compared modulo 2^32 (RFC 9293 §3.4).
struct TCPSide: BitwiseCopyable {
  /// One past the last sequence number it sent.
  var end: UInt32 = 0
  /// One past the last sequence number that its peer has room for.
  var limit: UInt32 = 0
  /// The largest window it announced; 0 before its first segment.
  var largestWindow: UInt32 = 0
  /// The highest acknowledgment it sent.
  var acknowledged: UInt32 = 0
  /// Bits by which its windows are shifted (RFC 7323 §2).
  var scale: UInt8 = 0
  var offersScale = false
  var sentFIN = false
}

/// How far a TCP connection has come (RFC 9293 §3.3.2, as a middlebox sees it).
enum TCPPhase: UInt8, BitwiseCopyable {
  case synSent
  case synReceived
  case established
  /// One side has closed.
  case finWait
  /// Both sides have closed; the last acknowledgment is missing.
  case lastAck
  case timeWait
  /// Reset.
  case closed
}

/// A segment, as far as tracking needs it.
struct TCPSegment: BitwiseCopyable {
  var flags: TCPFlags
  var sequence: UInt32
  var acknowledgment: UInt32
  var window: UInt16
  /// The sequence numbers it takes up: payload, SYN, FIN.
  var length: UInt32
  var scale: UInt8?
  /// A first fragment: how long the whole segment is cannot be told.
  var isPart: Bool

  /// - Returns: nil when the TCP header is not there or its flags make no sense together.
  init?(_ layers: PacketLayers, _ bytes: RawSpan) {
    guard layers.hasTransport,
      let header = TCPHeader(bytes.extracting(0..<Int(layers.endOffset)), at: Int(layers.transportOffset))
    else { return nil }
    flags = header.flags
    switch flags.intersection([.syn, .fin, .rst, .ack]) {
    case .syn, [.syn, .ack], .rst, [.rst, .ack], [.fin, .ack], .ack: break
    default: return nil
    }
    sequence = header.sequenceNumber
    acknowledgment = header.acknowledgmentNumber
    window = header.windowSize
    isPart = layers.fragment.isFragment
    // From the header and not from the bytes: a capture may have cut the frame.
    length = (layers.networkOffset &+ layers.networkLength) &- layers.payloadOffset
    if flags.contains(.syn) { length &+= 1 }
    if flags.contains(.fin) { length &+= 1 }
    if flags.contains(.syn) {
      scale = TCPSegment.windowScale(bytes, from: Int(layers.transportOffset) + 20, to: Int(layers.payloadOffset))
    }
  }

  var end: UInt32 { sequence &+ length }

  /// The window scale option (RFC 7323 §2.2) among the options of a SYN; shifts above 14 count as 14.
  private static func windowScale(_ bytes: RawSpan, from start: Int, to end: Int) -> UInt8? {
    var offset = start
    while offset < end {
      let kind = bytes.byte(at: offset)
      if kind == 0 { return nil }
      if kind == 1 {
        offset += 1
        continue
      }
      guard offset + 1 < end else { return nil }
      let length = Int(bytes.byte(at: offset + 1))
      guard length >= 2, offset + length <= end else { return nil }
      if kind == 3, length == 3 { return min(bytes.byte(at: offset + 2), 14) }
      offset += length
    }
    return nil
  }
}

/// A TCP connection as tracked: which segments belong to it, and what they make of it.
///
/// Whether a segment belongs is decided by the four bounds of G. van Rooij, "Real Stateful TCP Packet Filtering in IP
/// Filter" (2001): data not above what the peer has room for, not older than a window; an acknowledgment of what was
/// sent, not older than a window.
struct TCPTracking: BitwiseCopyable {
  var phase: TCPPhase
  /// The side that sent the first SYN.
  var originator = TCPSide()
  var responder = TCPSide()
  /// Windows are not checked: the connection was picked up in its middle, or a segment came in fragments.
  var isLiberal = false

  /// The oldest acknowledgments that are taken for delayed ones, in bytes below what was sent, at least.
  private static let oldestAcknowledgment: UInt32 = 66_000

  /// A connection that begins with `segment`.
  ///
  /// - Parameter pickUp: whether a connection may begin with an acknowledgment.
  /// - Returns: nil when none begins so.
  init?(opening segment: TCPSegment, pickUp: Bool) {
    switch segment.flags.intersection([.syn, .fin, .rst, .ack]) {
    case .syn:
      phase = .synSent
    case .ack, [.fin, .ack]:
      guard pickUp else { return nil }
      phase = .established
      isLiberal = true
    default:
      return nil
    }
    originator.end = segment.end
    originator.limit = segment.end
    originator.largestWindow = max(UInt32(segment.window), 1)
    originator.acknowledged = segment.acknowledgment
    originator.offersScale = segment.scale != nil
    originator.scale = segment.scale ?? 0
    if segment.isPart { isLiberal = true }
  }

  /// Whether a SYN now begins a new connection in this one's place.
  var isOver: Bool { phase == .timeWait || phase == .closed }

  /// Takes the next segment in.
  ///
  /// - Returns: whether it belongs to the connection; when not, nothing is changed.
  mutating func take(_ segment: TCPSegment, fromResponder: Bool) -> Bool {
    let isReset = segment.flags.contains(.rst)
    let isSYN = segment.flags.contains(.syn)
    if phase == .synSent { return advanceFromSYN(segment, fromResponder) }
    if isSYN {
      // A repeated SYN of the handshake, or a host that lost its state and starts anew: the peer will answer that it
      // knows better (RFC 9293 §3.10.7.4), which must pass in turn.
      if !segment.flags.contains(.ack) { return !fromResponder }
      return fromResponder && segment.acknowledgment == originator.end || phase == .established
    }
    let belongs =
      isLiberal || segment.isPart
      || (fromResponder
        ? TCPTracking.isInWindow(segment, from: responder, to: originator)
        : TCPTracking.isInWindow(segment, from: originator, to: responder))
    guard belongs else { return false }
    if segment.isPart { isLiberal = true }
    if isReset {
      // A reset that the receiver will not believe (RFC 5961 §3.2) closes nothing here either.
      let end = fromResponder ? responder.end : originator.end
      let acknowledged = fromResponder ? originator.acknowledged : responder.acknowledged
      if isLiberal || segment.sequence == acknowledged || segment.sequence == end { phase = .closed }
      return true
    }
    if fromResponder {
      TCPTracking.note(segment, from: &responder, to: &originator)
    } else {
      TCPTracking.note(segment, from: &originator, to: &responder)
    }
    if phase == .synReceived, !fromResponder { phase = .established }
    if segment.flags.contains(.fin) {
      if fromResponder { responder.sentFIN = true } else { originator.sentFIN = true }
      if phase.rawValue < TCPPhase.lastAck.rawValue {
        phase = originator.sentFIN && responder.sentFIN ? .lastAck : .finWait
      }
    } else if phase == .lastAck {
      phase = .timeWait
    }
    return true
  }

  /// The handshake's first answer.
  private mutating func advanceFromSYN(_ segment: TCPSegment, _ fromResponder: Bool) -> Bool {
    let isReset = segment.flags.contains(.rst)
    guard fromResponder else {
      if isReset {
        phase = .closed
        return true
      }
      // The SYN once more, perhaps with another sequence number.
      guard segment.flags.contains(.syn), !segment.flags.contains(.ack),
        let repeated = TCPTracking(opening: segment, pickUp: false)
      else { return false }
      self = repeated
      return true
    }
    let acknowledges = segment.flags.contains(.ack) && acknowledgesSYN(segment.acknowledgment)
    if isReset {
      guard acknowledges else { return false }
      phase = .closed
      return true
    }
    // A peer that still holds an older connection says so, and is told by a reset that it is gone (RFC 9293 §3.5.1).
    if segment.flags.intersection([.syn, .fin, .rst, .ack]) == .ack { return segment.length == 0 }
    // SYN with the acknowledgment of the SYN, or without any: both sides open at once (RFC 9293 §3.5).
    guard segment.flags.contains(.syn), acknowledges || !segment.flags.contains(.ack) else { return false }
    responder.end = segment.end
    responder.limit = segment.end &+ originator.largestWindow
    responder.largestWindow = max(UInt32(segment.window), 1)
    responder.acknowledged = segment.flags.contains(.ack) ? segment.acknowledgment : originator.end
    responder.offersScale = segment.scale != nil
    responder.scale = segment.scale ?? 0
    // Windows are scaled only when both sides offer it.
    if !originator.offersScale || !responder.offersScale {
      originator.scale = 0
      responder.scale = 0
    }
    originator.limit = responder.acknowledged &+ UInt32(segment.window)
    phase = .synReceived
    return true
  }

  /// The SYN is one sequence number; data may come with it (RFC 7413) and need not be acknowledged at once.
  private func acknowledgesSYN(_ acknowledgment: UInt32) -> Bool {
    !TCPTracking.isAfter(acknowledgment, originator.end)
      && !TCPTracking.isAfter(originator.end &- 1500, acknowledgment)
  }

  @inline(__always)
  private static func isInWindow(_ segment: TCPSegment, from sender: TCPSide, to receiver: TCPSide) -> Bool {
    if isAfter(segment.sequence, sender.limit) { return false }
    if isAfter(sender.end &- receiver.largestWindow, segment.end) { return false }
    guard segment.flags.contains(.ack) else { return true }
    if isAfter(segment.acknowledgment, receiver.end) { return false }
    let oldest = max(sender.largestWindow, oldestAcknowledgment)
    return !isAfter(receiver.end &- oldest, segment.acknowledgment)
  }

  @inline(__always)
  private static func note(_ segment: TCPSegment, from sender: inout TCPSide, to receiver: inout TCPSide) {
    let window = UInt32(segment.window) &<< UInt32(sender.scale)
    sender.largestWindow = max(sender.largestWindow, window, 1)
    if isAfter(segment.end, sender.end) { sender.end = segment.end }
    if isAfter(segment.acknowledgment, sender.acknowledged) { sender.acknowledged = segment.acknowledgment }
    // A closed window is probed with one byte (RFC 9293 §3.8.6.1).
    let limit = segment.acknowledgment &+ max(window, 1)
    if isAfter(limit, receiver.limit) { receiver.limit = limit }
  }

  static func isAfter(_ left: UInt32, _ right: UInt32) -> Bool { Int32(bitPattern: left &- right) > 0 }
}
