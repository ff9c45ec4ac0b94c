import AllyPacket

/// A TCP connection as an observer between its ends follows it.
struct TCPSession: BitwiseCopyable, Sendable {
  var connection = TCPConnection()
  var client = TCPSide()
  var server = TCPSide()

  /// Follows one packet; the data of those alone that are taken is reassembled.
  mutating func follow(
    _ packet: DecodedPacket, from side: FlowSide, time: UInt64, policy: TCPPolicy, events: inout StreamEventSet
  ) -> TCPConnection.Outcome {
    switch side {
    case .toServer:
      connection.follow(packet, from: .toServer, &client, &server, time: time, policy: policy, events: &events)
    case .toClient:
      connection.follow(packet, from: .toClient, &server, &client, time: time, policy: policy, events: &events)
    }
  }
}

extension TCPSession {
  /// Takes what a packet that fits brings: data of its own side, and the acknowledgement of the other's.
  mutating func take(
    _ packet: DecodedPacket, bytes: RawSpan, from side: FlowSide, into reassembler: inout StreamReassembler,
    context: inout PacketContext
  ) {
    switch side {
    case .toServer:
      Self.exchange(
        packet, bytes, connection, own: &client, other: &server, into: &reassembler, context: &context)
    case .toClient:
      Self.exchange(
        packet, bytes, connection, own: &server, other: &client, into: &reassembler, context: &context)
    }
  }

  private static func exchange(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ connection: TCPConnection, own: inout TCPSide,
    other: inout TCPSide, into reassembler: inout StreamReassembler, context: inout PacketContext
  ) {
    reassembler.begin(&own)
    // Nobody acknowledges after a reset, nor where one side is not seen: passively that side is looked at when it is over.
    let isPassive = reassembler.releasesOnAcknowledgement
    let isHalfSeen =
      connection.flags.contains(.asynchronous)
      && (!isPassive || packet.tcp.isFIN && connection.state > .timeWait)
    let isUnanswered = isHalfSeen || own.flags.contains(.resetSent) || other.flags.contains(.resetSent)
    own.stream.releasesEverything = isUnanswered
    other.stream.releasesEverything = isUnanswered
    // Passively a reset ends what its sender says; what the other has said is looked at when the flow ends.
    let leavesOther = packet.tcp.isRST && isPassive
    if packet.tcp.isACK && connection.state >= .established && !connection.flags.contains(.asynchronous) && !leavesOther
    {
      reassembler.acknowledge(packet.tcp.acknowledgement, side: &other, events: &context.streamEvents)
    }
    // Data with a SYN counts when both sides speak of it (RFC 7413).
    if packet.payloadLength > 0, !packet.tcp.isRST, !packet.tcp.isSYN || connection.flags.contains(.fastOpen) {
      let sequence = packet.tcp.sequence &+ (packet.tcp.isSYN ? 1 : 0)
      context.isInStream = reassembler.take(
        bytes.extracting(packet.payloadRange), sequence: sequence, side: &own, events: &context.streamEvents)
    } else {
      // What an acknowledgement freed from behind a gap is shown with the next packet of its own direction.
      reassembler.drainMore(side: &own, events: &context.streamEvents)
    }
    context.releasesOther = !leavesOther && reassembler.release(&other)
    context.hasStreamData = reassembler.show(&own)
    context.endsConnection = packet.tcp.isRST && !leavesOther
    context.endsStream = packet.tcp.isRST || own.isOver
    context.endsOther = other.isOver && !leavesOther
  }
}

/// What an operator sets on the tracking of TCP.
struct TCPPolicy: BitwiseCopyable, Sendable {
  /// Connections without a seen handshake are picked up.
  var midstream = false
  /// One direction may be unseen.
  var asyncOneSide = false
  /// Packets that do not fit are dropped, and data that differs from what was inspected.
  var isInline = false
  /// What becomes of a connection without a seen handshake.
  var midstreamPolicy = ExceptionPolicy.ignore
}

/// The state of both sides together (RFC 9293 §3.3.2, seen from between).
struct TCPConnection: BitwiseCopyable, Sendable {
  /// In the order of a connection's life: comparisons use it.
  enum State: UInt8, BitwiseCopyable, Sendable, Comparable {
    case none, synSent, synReceived, established, finWait1, finWait2, timeWait, lastACK, closeWait, closing, closed

    static func < (left: State, right: State) -> Bool { left.rawValue < right.rawValue }

    /// Whether the connection is over, so that its endpoints may open a new one.
    var isOver: Bool {
      switch self {
      case .timeWait, .lastACK, .closed: true
      default: false
      }
    }
  }

  /// What becomes of a packet.
  enum Outcome: BitwiseCopyable, Sendable {
    /// It fits the connection.
    case taken
    /// It is not part of the connection, and changes nothing of it: an answer to what was not seen, what comes when all is over.
    case ignored
    /// It contradicts the connection: its receiver would not take it either, and it may be meant to mislead. Inline it is dropped.
    case refused

    init(_ fits: Bool) { self = fits ? .taken : .refused }
  }

  struct Flags: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt16
    /// Both sides send timestamps (RFC 7323 §3).
    static var timestamps: Flags { Flags(rawValue: 1) }
    /// Picked up without a handshake.
    static var midstream: Flags { Flags(rawValue: 2) }
    /// Picked up at the SYN+ACK.
    static var midstreamSYNACK: Flags { Flags(rawValue: 4) }
    /// Only one side is seen.
    static var asynchronous: Flags { Flags(rawValue: 8) }
    /// Both sides sent a SYN (simultaneous open, RFC 9293 §3.5).
    static var fourWay: Flags { Flags(rawValue: 16) }
    /// The client sent data with its SYN (RFC 7413).
    static var fastOpen: Flags { Flags(rawValue: 32) }
    /// The server has gone on after the handshake: it got the client's ACK.
    static var confirmed: Flags { Flags(rawValue: 64) }
    static var clientOffersTimestamps: Flags { Flags(rawValue: 128) }
    static var clientOffersScaling: Flags { Flags(rawValue: 256) }
  }

  var state: State = .none
  var flags: Flags = []
  /// SYNs of the client, and answers of the server, that differ from those before them.
  var openings: UInt8 = 0
  var answers: UInt8 = 0

  /// Windows and sequence numbers cannot be held against a connection that was not seen from its begin, or is half seen.
  var isLenient: Bool { !flags.isDisjoint(with: [.midstream, .asynchronous]) }
}

/// What one side of a connection sends.
struct TCPSide: BitwiseCopyable, Sendable {
  struct Flags: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt8
    static var keepAlive: Flags { Flags(rawValue: 1) }
    /// This side sent a reset.
    static var resetSent: Flags { Flags(rawValue: 2) }
    static var finSent: Flags { Flags(rawValue: 4) }
    /// Bytes are missing for good.
    static var gap: Flags { Flags(rawValue: 8) }
    /// More than the configured depth went by.
    static var depthReached: Flags { Flags(rawValue: 16) }
    /// No depth ends the reassembly of this side.
    static var noDepth: Flags { Flags(rawValue: 128) }
  }

  var flags: Flags = []
  var windowScale: UInt8 = 0
  var initialSequence: UInt32 = 0
  /// Behind the last byte that was sent.
  var nextSequence: UInt32 = 0
  /// What the other side has acknowledged.
  var lastACK: UInt32 = 0
  /// The room that the other side offers, in bytes, from ``lastACK`` on.
  var window: UInt32 = 0
  /// The right edge of that room; never moves back.
  var nextWindow: UInt32 = 0
  /// The timestamp of the SYN (RFC 7323 §3), and the last one in order with the time it was seen (nanoseconds).
  var firstTimestamp: UInt32 = 0
  var lastTimestamp: UInt32 = 0
  var lastTimestampTime: UInt64 = 0
  var finSequence: UInt32 = 0
  var stream = StreamSide()

  /// The side's FIN was seen, and all before it is released.
  var isOver: Bool {
    flags.contains(.finSent) && stream.expected == finSequence && stream.released == stream.delivered
  }
}

/// Sequence numbers compare modulo 2³² (RFC 9293 §3.4).
enum SequenceNumber {
  @inline(__always) static func less(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) < 0 }
  @inline(__always) static func lessOrEqual(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) <= 0 }
  @inline(__always) static func greater(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) > 0 }
  @inline(__always) static func greaterOrEqual(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) >= 0 }
}
