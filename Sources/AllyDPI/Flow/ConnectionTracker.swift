import AllyPacket

/// Flows and TCP streams together: gives each packet its flow, its side, its connection's state, and the stream data that it
/// brings within reach.
///
/// ## What a caller does with each packet
///
/// 1. ``track(_:bytes:time:)`` once, in the order of inspection.
/// 2. The packet's own payload is at ``DecodedPacket/payloadRange``.
/// 3. When ``PacketContext/hasStreamData`` says so, ``window(bytes:)`` is the stream as far as it is contiguous now: bytes
///    seen earlier (up to `DPIConfiguration`'s window), then those that are new with this packet. A segment
///    out of order brings nothing; the one that closes the gap brings all that has become contiguous.
/// 4. The flow is at ``flow(_:)``; the engine's own marks in it (bits, flags) are changed through ``withFlow(_:_:)``.
/// 5. ``nextEndedFlow()`` until nil: flows that ended, for records.
///
/// Each byte of a stream is new exactly once, on arrival and not on acknowledgement: no frame is held back, so what shall be
/// dropped must be found in the frame that completes it (Docs/ADR/0004). Where copies differ, the first that became contiguous
/// has been inspected and stays.
struct ConnectionTracker: ~Copyable {
  init(configuration: DPIConfiguration) {}

  /// Gives a packet to its flow and its stream. Packets without a flow (broken headers, plain fragments) give
  /// a context with ``FlowIndex/none``.
  ///
  /// - Parameters:
  ///   - bytes: what the packet's offsets count in.
  ///   - time: nanoseconds since 1970; the tracker's clock never runs backwards.
  mutating func track(_ packet: DecodedPacket, bytes: RawSpan, time: UInt64) -> PacketContext {
    PacketContext()
  }

  /// The stream data that the packet of the last ``track(_:bytes:time:)`` brought within reach, in the direction of
  /// that packet. Empty when ``PacketContext/hasStreamData`` is false.
  @_lifetime(borrow self, copy bytes)
  func window(bytes: RawSpan) -> StreamWindow { StreamWindow(bytes: RawSpan(), streamOffset: 0, freshOffset: 0) }

  /// A flow's state now.
  func flow(_ index: FlowIndex) -> Flow { fatalError() }

  /// Changes a flow in place.
  mutating func withFlow<Result>(_ index: FlowIndex, _ change: (inout Flow) -> Result) -> Result { fatalError() }

  /// A flow that ended since; each once. Those that nobody asks for make room for new ones.
  mutating func nextEndedFlow() -> Flow? { nil }

  /// Ends all flows, at the end of traffic: ``nextEndedFlow()`` gives them.
  mutating func finish() {}

  /// Counters so far.
  var statistics: FlowStatistics { FlowStatistics() }
}

/// What the tracker knows about one packet.
struct PacketContext: BitwiseCopyable, Sendable {
  var flow: FlowIndex = .none
  var side: FlowSide = .toServer
  /// The packet opened the flow.
  var isNewFlow = false
  /// Both sides have been seen, and for TCP the handshake is complete: what `flow:established` asks for.
  var isEstablished = false
  /// The payload became part of the reassembled stream (at once, or when the gap before it closes).
  var isInStream = false
  /// ``ConnectionTracker/window(bytes:)`` has new bytes.
  var hasStreamData = false
  /// The packet ends its side of the stream (FIN in order, or a valid RST).
  var endsStream = false
  /// Inline: the packet must not pass, because its data differs from what was inspected (decision 11).
  var mustDrop = false
  var streamEvents = StreamEventSet()
}

/// A contiguous piece of one side of a TCP stream.
struct StreamWindow: ~Escapable {
  /// Bytes inspected earlier, then the new ones.
  let bytes: RawSpan
  /// Where `bytes` begins in the stream: 0 is the first byte after the SYN.
  let streamOffset: UInt64
  /// Where the new bytes begin in `bytes`.
  let freshOffset: Int

  @_lifetime(copy bytes)
  init(bytes: RawSpan, streamOffset: UInt64, freshOffset: Int) {
    self.bytes = bytes
    self.streamOffset = streamOffset
    self.freshOffset = freshOffset
  }
}
