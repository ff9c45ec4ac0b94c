/// What follows the handshake: data, and the ways to part (RFC 9293 §3.6, §3.10.7).
extension TCPConnection {
  /// Follows one packet of a connection; `own` sent it.
  mutating func follow(
    _ packet: DecodedPacket, from side: FlowSide, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64,
    policy: TCPPolicy, events: inout StreamEventSet
  ) -> Outcome {
    let tcp = packet.tcp
    if !tcp.isACK && tcp.acknowledgement != 0 { events.insert(.packetBrokenACK) }
    switch state {
    case .none: return .ignored
    case .synSent:
      return followSYNSent(packet, from: side, &own, &other, time: time, policy: policy, events: &events)
    case .synReceived:
      return followSYNReceived(packet, from: side, &own, &other, time: time, policy: policy, events: &events)
    case .closed:
      if !tcp.isRST && own.flags.contains(.resetSent) && packet.payloadLength > 0 {
        // Whoever sent the reset goes on: perhaps it was not his.
        events.insert(.suspectedRSTInject)
      }
      return .ignored
    default: break
    }

    if isKeepAlive(packet, own) {
      own.flags.insert(.keepAlive)
      return .taken
    }
    if own.flags.contains(.keepAlive) { own.flags.remove(.keepAlive) }
    if isBadWindowUpdate(packet, own, other) {
      events.insert(.packetBadWindowUpdate)
      return .ignored
    }
    noteRetransmission(packet, own, events: &events)

    if tcp.isRST { return Outcome(followReset(packet, &own, &other, time: time, events: &events)) }
    if tcp.isSYN && !tcp.isFIN { return Outcome(followLateSYN(packet, from: side, own, other, events: &events)) }
    if tcp.isFIN { return Outcome(followFIN(packet, from: side, &own, &other, time: time, events: &events)) }
    guard tcp.isACK else { return .ignored }
    guard followData(packet, from: side, &own, &other, time: time, events: &events) else {
      // What was acknowledged before misleads nobody.
      return events.contains(.packetSpuriousRetransmission) ? .ignored : .refused
    }
    if side == .toClient { flags.insert(.confirmed) }
    return .taken
  }

  /// A SYN or SYN+ACK after the handshake: a retransmission at best.
  private func followLateSYN(
    _ packet: DecodedPacket, from side: FlowSide, _ own: TCPSide, _ other: TCPSide, events: inout StreamEventSet
  ) -> Bool {
    let tcp = packet.tcp
    guard state == .established else {
      events.insert(.shutdownSYNResend)
      return false
    }
    if tcp.isACK {
      guard side == .toClient else {
        events.insert(.establishedSYNACKToServer)
        return false
      }
      guard tcp.acknowledgement == other.initialSequence &+ 1 else {
        events.insert(.establishedSYNACKResendWithDifferentACK)
        return false
      }
      guard tcp.sequence == own.initialSequence else {
        events.insert(.establishedSYNACKResendWithDifferentSequence)
        return false
      }
      guard !flags.contains(.confirmed) else {
        events.insert(.establishedSYNACKResend)
        return false
      }
      return true
    }
    if side == .toClient {
      events.insert(.establishedSYNToClient)
    } else if tcp.sequence != own.initialSequence {
      events.insert(.establishedSYNResendDifferentSequence)
    } else {
      events.insert(.establishedSYNResend)
    }
    return false
  }

  /// A reset (RFC 9293 §3.10.7.4, RFC 5961 §3).
  mutating func followReset(
    _ packet: DecodedPacket, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64,
    events: inout StreamEventSet
  ) -> Bool {
    let tcp = packet.tcp
    if packet.payloadLength > 0 { events.insert(.rstWithData) }
    if flags.contains(.timestamps) && tcp.options.contains(.timestamp)
      && !hasValidTimestamp(packet, own, time: time, events: &events)
    {
      return false
    }
    if tcp.isACK && state > .synReceived && !isValid(acknowledgement: packet, of: other, events: &events) {
      events.insert(.rstInvalidACK)
      return false
    }
    // Hosts differ in what they take; what one of them takes counts here: within the window.
    let edge = own.lastACK &+ max(own.window, 1)
    guard
      isLenient || tcp.sequence == own.nextSequence
        || (SequenceNumber.greaterOrEqual(tcp.sequence, own.lastACK) && SequenceNumber.less(tcp.sequence, edge))
    else { return false }
    own.flags.insert(.resetSent)
    state = .closed
    return true
  }

  /// The end of what one side sends.
  mutating func followFIN(
    _ packet: DecodedPacket, from side: FlowSide, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64,
    events: inout StreamEventSet
  ) -> Bool {
    let tcp = packet.tcp
    guard hasValidTimestamp(packet, own, time: time, events: &events) else { return false }
    let faults = faultEvents
    guard isValid(acknowledgement: packet, of: other, events: &events) else {
      events.insert(state == .established ? .finInvalidACK : faults.invalidACK)
      return false
    }
    let end = tcp.sequence &+ packet.payloadLength
    let isResent = own.flags.contains(.finSent) && end == own.finSequence
    // Of a connection of which only this side is seen, no more is known than the window that it named itself.
    if flags.contains(.asynchronous) && !flags.contains(.midstream)
      && SequenceNumber.greater(tcp.sequence, own.lastACK &+ own.window)
    {
      return false
    }
    if !isResent && !isLenient
      && (SequenceNumber.less(tcp.sequence, own.nextSequence)
        || SequenceNumber.greater(tcp.sequence, own.lastACK &+ own.window))
      // A FIN with data that was sent before, or beyond what is missing, is in order when its end is.
      && !(SequenceNumber.less(tcp.sequence, own.nextSequence) && SequenceNumber.greaterOrEqual(end, own.nextSequence))
    {
      events.insert(state == .established ? .finOutOfWindow : faults.wrongFIN)
      return false
    }
    if tcp.isSYN { events.insert(.finSYN) }
    if !isResent {
      own.flags.insert(.finSent)
      own.finSequence = end
      switch state {
      case .established: state = side == .toServer ? .closeWait : .finWait1
      case .finWait1:
        // The client's FIN crosses the server's, or answers it.
        if side == .toServer {
          state = tcp.isACK && tcp.acknowledgement == other.finSequence &+ 1 ? .timeWait : .closing
        }
      case .finWait2: if side == .toServer { state = .timeWait }
      case .closeWait: if side == .toClient { state = .lastACK }
      default: break
      }
    }
    accept(packet, &own, &other, time: time)
    return true
  }

  /// A packet with ACK and perhaps data.
  private mutating func followData(
    _ packet: DecodedPacket, from side: FlowSide, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64,
    events: inout StreamEventSet
  ) -> Bool {
    let tcp = packet.tcp
    let faults = faultEvents
    guard hasValidTimestamp(packet, own, time: time, events: &events) else { return false }
    guard isValid(acknowledgement: packet, of: other, events: &events) else {
      events.insert(faults.invalidACK)
      return false
    }
    let end = tcp.sequence &+ packet.payloadLength
    // All of it was acknowledged before; of an established connection, and more.
    let isBefore =
      state == .established ? SequenceNumber.less(end, own.lastACK) : SequenceNumber.lessOrEqual(end, own.lastACK)
    if packet.payloadLength > 0 && !isLenient && isBefore && SequenceNumber.less(tcp.sequence, own.lastACK)
      && !own.stream.isFresh
    {
      if state == .established { events.insert(.establishedPacketBeforeLastACK) }
      if state == .closeWait { events.insert(.closeWaitPacketBeforeLastACK) }
      return false
    }
    let isWindowProbe = packet.payloadLength == 1 && tcp.sequence == own.nextSequence && own.window == 0
    guard isLenient || isWindowProbe || SequenceNumber.lessOrEqual(end, own.nextWindow) else {
      events.insert(faults.outOfWindow)
      return false
    }
    switch state {
    case .closing, .lastACK, .timeWait:
      // Nothing but the answer to the last FIN is due.
      let isDue =
        tcp.sequence == own.nextSequence || (own.flags.contains(.finSent) && tcp.sequence == own.finSequence &+ 1)
      guard isDue || isLenient || packet.payloadLength > 0 && SequenceNumber.lessOrEqual(end, own.nextSequence) else {
        events.insert(faults.outOfWindow)
        return false
      }
      if other.flags.contains(.finSent) && tcp.acknowledgement == other.finSequence &+ 1 {
        switch state {
        case .closing: state = .timeWait
        case .lastACK where side == .toServer: state = .closed
        case .timeWait: state = .closed
        default: break
        }
      }
    case .finWait1:
      if side == .toServer && other.flags.contains(.finSent) && tcp.acknowledgement == other.finSequence &+ 1 {
        state = .finWait2
      }
    default: break
    }
    accept(packet, &own, &other, time: time)
    return true
  }

  /// The events that tell what is wrong in which state.
  private var faultEvents: (invalidACK: StreamEvent, outOfWindow: StreamEvent, wrongFIN: StreamEvent) {
    switch state {
    case .finWait1: (.finWait1InvalidACK, .finWait1ACKWrongSequence, .finWait1FINWrongSequence)
    case .finWait2: (.finWait2InvalidACK, .finWait2ACKWrongSequence, .finWait2FINWrongSequence)
    case .closeWait: (.closeWaitInvalidACK, .closeWaitACKOutOfWindow, .closeWaitFINOutOfWindow)
    case .closing: (.closingInvalidACK, .closingACKWrongSequence, .closingACKWrongSequence)
    case .lastACK: (.lastACKInvalidACK, .lastACKACKWrongSequence, .lastACKACKWrongSequence)
    case .timeWait: (.timeWaitInvalidACK, .timeWaitACKWrongSequence, .timeWaitACKWrongSequence)
    default: (.establishedInvalidACK, .establishedPacketOutOfWindow, .finOutOfWindow)
    }
  }

  /// Moves the numbers of both sides along with a packet that fits.
  mutating func accept(_ packet: DecodedPacket, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64) {
    let tcp = packet.tcp
    let end = tcp.sequence &+ packet.payloadLength
    if flags.contains(.timestamps) && tcp.options.contains(.timestamp) {
      if own.lastTimestamp == 0
        || SequenceNumber.lessOrEqual(tcp.sequence, own.nextSequence)
          && Int32(bitPattern: tcp.timestampValue &- own.lastTimestamp) >= 0
      {
        own.lastTimestamp = tcp.timestampValue
      }
      own.lastTimestampTime = time
    }
    if SequenceNumber.greater(end, own.nextSequence) { own.nextSequence = end }
    guard tcp.isACK else { return }
    if SequenceNumber.greater(tcp.acknowledgement, other.lastACK) { other.lastACK = tcp.acknowledgement }
    other.window = UInt32(tcp.window) << UInt32(other.windowScale)
    let edge = other.lastACK &+ other.window
    if SequenceNumber.greater(edge, other.nextWindow) { other.nextWindow = edge }
    // What was acknowledged was sent, seen or not.
    if SequenceNumber.greater(tcp.acknowledgement, other.nextSequence) { other.nextSequence = tcp.acknowledgement }
  }

  // MARK: Judgements

  /// Whether an acknowledgement is plausible for what `other` sent (RFC 9293 §3.10.7.4, RFC 5961 §5).
  func isValid(acknowledgement packet: DecodedPacket, of other: TCPSide, events: inout StreamEventSet) -> Bool {
    guard packet.tcp.isACK else { return true }
    let acknowledgement = packet.tcp.acknowledgement
    if acknowledgement == other.lastACK { return true }
    if SequenceNumber.less(acknowledgement, other.lastACK) {
      if other.window == 0 || SequenceNumber.greaterOrEqual(acknowledgement, other.lastACK &- other.window) {
        return true
      }
      events.insert(.packetInvalidACK)
      return false
    }
    // A FIN takes a number, too.
    if isLenient || SequenceNumber.lessOrEqual(acknowledgement, other.nextWindow)
      || SequenceNumber.lessOrEqual(acknowledgement, other.nextSequence &+ 1)
    {
      return true
    }
    events.insert(.packetInvalidACK)
    return false
  }

  /// Protection against wrapped sequence numbers (RFC 7323 §5).
  func hasValidTimestamp(_ packet: DecodedPacket, _ own: TCPSide, time: UInt64, events: inout StreamEventSet) -> Bool {
    guard flags.contains(.timestamps), packet.tcp.options.contains(.timestamp), own.lastTimestamp != 0 else {
      return true
    }
    if Int32(bitPattern: packet.tcp.timestampValue &- own.lastTimestamp) >= 0 { return true }
    // After 24 days of silence the clock may have gone round.
    let silence: UInt64 = 24 * 86_400 * 1_000_000_000
    if time > own.lastTimestampTime &+ silence { return true }
    events.insert(.packetInvalidTimestamp)
    return false
  }

  /// A probe with the last byte again, or none (RFC 9293 §3.8.4).
  @inline(__always)  // else the sides are copied
  private func isKeepAlive(_ packet: DecodedPacket, _ own: TCPSide) -> Bool {
    guard packet.payloadLength <= 1, packet.tcp.flags & (TCPFlag.syn | TCPFlag.fin | TCPFlag.rst) == 0 else {
      return false
    }
    return packet.tcp.sequence == own.nextSequence &- 1
  }

  /// A window that shrinks by more than was sent, in a packet of which nobody knows the context: spoofed, most likely.
  @inline(__always)  // else the sides are copied
  private func isBadWindowUpdate(_ packet: DecodedPacket, _ own: TCPSide, _ other: TCPSide) -> Bool {
    let tcp = packet.tcp
    guard tcp.flags & (TCPFlag.syn | TCPFlag.fin | TCPFlag.rst) == 0, tcp.isACK else { return false }
    let window = UInt32(tcp.window) << UInt32(other.windowScale)
    guard window < other.window, other.window - window > packet.payloadLength else { return false }
    // A FIN takes a number, too.
    return SequenceNumber.greater(tcp.acknowledgement, other.nextSequence &+ (other.flags.contains(.finSent) ? 1 : 0))
      && SequenceNumber.greater(tcp.sequence, own.nextSequence &+ (own.flags.contains(.finSent) ? 1 : 0))
  }

  @inline(__always)  // else the sides are copied
  private func noteRetransmission(_ packet: DecodedPacket, _ own: TCPSide, events: inout StreamEventSet) {
    guard packet.payloadLength > 0 else { return }
    let end = packet.tcp.sequence &+ packet.payloadLength
    // Of a side that has shown nothing, the capture may be out of order.
    if own.stream.isFresh { return }
    if SequenceNumber.lessOrEqual(end, own.lastACK) { events.insert(.packetSpuriousRetransmission) }
    // While a connection is established, what is sent again is nothing special.
    if state > .established,
      SequenceNumber.lessOrEqual(end, own.nextSequence) || SequenceNumber.less(packet.tcp.sequence, own.lastACK)
    {
      events.insert(.packetRetransmission)
    }
  }
}
