/// How connections begin (RFC 9293 §3.5), and how they are picked up in their midst.
extension TCPConnection {
  /// Different SYNs, and different answers to them, that a connection may have (`stream.max-syn-queued`, `max-synack-queued`).
  private static var mostOpenings: UInt8 { 10 }
  private static var mostAnswers: UInt8 { 5 }

  /// Looks at the first packet of endpoints without a connection.
  ///
  /// - Parameters:
  ///   - own: the side that sent it.
  ///   - swaps: set when the sender is the server.
  /// - Returns: whether a connection begins: it is taken then.
  mutating func open(
    _ packet: DecodedPacket, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64, policy: TCPPolicy,
    events: inout StreamEventSet, swaps: inout Bool
  ) -> Outcome {
    let tcp = packet.tcp
    if tcp.isRST {
      events.insert(.rstButNoSession)
      return .refused
    }
    if tcp.isFIN && !(policy.midstream && packet.payloadLength > 0) {
      events.insert(.finButNoSession)
      return .refused
    }
    if tcp.isSYN && tcp.isACK {
      guard policy.midstream || policy.asyncOneSide else { return .ignored }
      swaps = true
      state = .synReceived
      flags = [.midstream, .midstreamSYNACK]
      if policy.asyncOneSide && !policy.midstream { flags.insert(.asynchronous) }
      // `own` is the server: what it acknowledges tells where the client is.
      own.begin(at: tcp.sequence)
      other.begin(at: tcp.acknowledgement &- 1)
      other.window = UInt32(tcp.window)
      other.lastACK = tcp.acknowledgement
      other.nextWindow = other.lastACK &+ other.window
      own.lastACK = own.nextSequence
      if tcp.options.contains(.windowScale) {
        other.windowScale = tcp.windowScale
        own.windowScale = 14
      }
      own.take(timestampOf: tcp, time: time)
      return .taken
    }
    if tcp.isSYN {
      state = .synSent
      if policy.asyncOneSide { flags.insert(.asynchronous) }
      own.begin(at: tcp.sequence)
      other.window = UInt32(tcp.window)
      if tcp.options.contains(.timestamp) { flags.insert(.clientOffersTimestamps) }
      if tcp.options.contains(.windowScale) {
        flags.insert(.clientOffersScaling)
        other.windowScale = tcp.windowScale
      }
      own.take(timestampOf: tcp, time: time)
      if tcp.options.contains(.fastOpen) && packet.payloadLength > 0 {
        flags.insert(.fastOpen)
        own.nextSequence = own.nextSequence &+ packet.payloadLength
      }
      return .taken
    }
    guard tcp.isACK, policy.midstream else { return .ignored }
    // In the midst: who opened the connection is not known; the lower port is more often the server's.
    swaps = packet.sourcePort < packet.destinationPort
    state = .established
    flags = .midstream
    if policy.asyncOneSide { flags.insert(.asynchronous) }
    own.begin(at: tcp.sequence &- 1)
    own.nextSequence = tcp.sequence &+ packet.payloadLength
    own.lastACK = tcp.sequence
    own.windowScale = 14
    own.window = UInt32(UInt16.max) << 14
    own.nextWindow = own.lastACK &+ own.window
    other.begin(at: tcp.acknowledgement &- 1)
    other.lastACK = tcp.acknowledgement
    other.windowScale = 14
    other.window = UInt32(tcp.window) << 14
    other.nextWindow = other.lastACK &+ other.window
    if tcp.options.contains(.timestamp) {
      flags.insert(.timestamps)
      own.take(timestampOf: tcp, time: time)
    }
    return .taken
  }

  /// The client has sent a SYN.
  mutating func followSYNSent(
    _ packet: DecodedPacket, from side: FlowSide, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64,
    policy: TCPPolicy, events: inout StreamEventSet
  ) -> Outcome {
    let tcp = packet.tcp
    if side == .toClient && !echoesTimestamp(tcp, of: other) {
      events.insert(.packetInvalidTimestamp)
      return .refused
    }
    if tcp.isRST {
      if side == .toServer {
        // Who withdraws his SYN repeats its number; another reset may be a forged answer's echo.
        guard tcp.sequence == own.initialSequence, tcp.window == 0, tcp.acknowledgement == own.initialSequence &+ 1
        else {
          return .ignored
        }
      } else {
        // A refusal acknowledges the SYN.
        guard !tcp.isACK || isAcknowledgementOfSYN(tcp.acknowledgement, client: other) else {
          events.insert(.rstInvalidACK)
          return .refused
        }
      }
      own.flags.insert(.resetSent)
      state = .closed
      return .taken
    }
    if tcp.isFIN { return .ignored }
    if tcp.isSYN && tcp.isACK {
      if flags.contains(.fourWay) && side == .toServer {
        guard tcp.acknowledgement == other.nextSequence else {
          events.insert(.fourWayHandshakeSYNACKWithWrongACK)
          return .refused
        }
        guard tcp.sequence == own.initialSequence else {
          events.insert(.fourWayHandshakeSYNACKWithWrongSYN)
          return .refused
        }
        acceptSYNACK(packet, &own, &other, time: time)
        return .taken
      }
      guard side == .toClient else {
        events.insert(.threeWayHandshakeSYNACKInWrongDirection)
        return .refused
      }
      guard isAcknowledgementOfSYN(tcp.acknowledgement, client: other) else {
        events.insert(.threeWayHandshakeSYNACKWithWrongACK)
        return .refused
      }
      if flags.contains(.fastOpen) && tcp.acknowledgement != other.nextSequence {
        // The server did not take the data that came with the SYN: it will come again.
        events.insert(.threeWayHandshakeSYNACKTFODataIgnored)
        other.nextSequence = tcp.acknowledgement
      }
      own.begin(at: tcp.sequence)
      acceptSYNACK(packet, &own, &other, time: time)
      // The server took the data: it counts as connected (RFC 7413 §3).
      if flags.contains(.fastOpen) && tcp.acknowledgement != other.initialSequence &+ 1 { state = .established }
      return .taken
    }
    if tcp.isSYN {
      if side == .toClient {
        flags.insert(.fourWay)
        own.begin(at: tcp.sequence)
        other.window = UInt32(tcp.window)
        own.take(timestampOf: tcp, time: time)
      } else if tcp.sequence != own.initialSequence {
        // A new attempt from the same port.
        if openings < .max { openings += 1 }
        if openings > TCPConnection.mostOpenings { events.insert(.threeWayHandshakeSYNFlood) }
        own.begin(at: tcp.sequence)
        own.lastTimestamp = 0
        own.take(timestampOf: tcp, time: time)
      } else {
        own.take(timestampOf: tcp, time: time)
      }
      return .taken
    }
    // An ACK straight after the SYN from the same host: its peer's packets take another way. Where that cannot be, its answer was
    // not seen, or was damaged: it will come again.
    guard tcp.isACK, policy.asyncOneSide else { return .ignored }
    guard side == .toServer else { return .refused }
    guard tcp.sequence == own.nextSequence else {
      events.insert(.threeWayHandshakeAsyncWrongSequence)
      return .refused
    }
    flags.insert(.asynchronous)
    state = .established
    other.begin(at: tcp.acknowledgement &- 1)
    other.lastACK = tcp.acknowledgement
    other.window = UInt32(tcp.window)
    other.nextWindow = other.lastACK &+ other.window
    own.nextSequence = tcp.sequence &+ packet.payloadLength
    own.lastACK = tcp.sequence
    own.window = UInt32(tcp.window)
    return .taken
  }

  /// Whether an answer to a SYN shows a timestamp only when asked to, and then one that the client sent (RFC 7323 §3.2).
  private func echoesTimestamp(_ tcp: DecodedPacket.TCPFields, of client: TCPSide) -> Bool {
    guard tcp.options.contains(.timestamp) else { return true }
    guard flags.contains(.clientOffersTimestamps) else { return false }
    if tcp.timestampEcho == 0 { return true }
    return Int32(bitPattern: tcp.timestampEcho &- client.firstTimestamp) >= 0
      && Int32(bitPattern: client.lastTimestamp &- tcp.timestampEcho) >= 0
  }

  /// Whether an acknowledgement is for the client's SYN, with or without the data that came with it.
  private func isAcknowledgementOfSYN(_ acknowledgement: UInt32, client: TCPSide) -> Bool {
    if acknowledgement == client.initialSequence &+ 1 { return true }
    return flags.contains(.fastOpen) && acknowledgement == client.nextSequence
  }

  /// Takes the second packet of a handshake; `own` sent it.
  private mutating func acceptSYNACK(
    _ packet: DecodedPacket, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64
  ) {
    let tcp = packet.tcp
    // The window of a SYN is never scaled (RFC 7323 §2.2).
    other.window = UInt32(tcp.window)
    if flags.contains(.clientOffersScaling) && tcp.options.contains(.windowScale) {
      other.windowScale = tcp.windowScale
    } else {
      own.windowScale = 0
      other.windowScale = 0
    }
    if flags.contains(.clientOffersTimestamps) && tcp.options.contains(.timestamp) {
      flags.insert(.timestamps)
      own.take(timestampOf: tcp, time: time)
    } else {
      own.lastTimestamp = 0
      other.lastTimestamp = 0
    }
    other.lastACK = tcp.acknowledgement
    other.nextWindow = other.lastACK &+ other.window
    own.lastACK = own.nextSequence
    own.nextWindow = own.lastACK &+ own.window
    state = .synReceived
  }

  /// The server has answered.
  mutating func followSYNReceived(
    _ packet: DecodedPacket, from side: FlowSide, _ own: inout TCPSide, _ other: inout TCPSide, time: UInt64,
    policy: TCPPolicy, events: inout StreamEventSet
  ) -> Outcome {
    let tcp = packet.tcp
    if tcp.isRST { return Outcome(followReset(packet, &own, &other, time: time, events: &events)) }
    if tcp.isSYN && tcp.isACK {
      guard side == .toClient || flags.contains(.fourWay) else {
        events.insert(.threeWayHandshakeSYNACKToServerOnSYNRecv)
        return .refused
      }
      let isOther =
        tcp.acknowledgement != other.lastACK && !flags.contains(.fourWay) || tcp.sequence != own.initialSequence
      if isOther && answers < .max { answers += 1 }
      guard !isOther || answers <= TCPConnection.mostAnswers else {
        events.insert(.threeWayHandshakeSYNACKFlood)
        return .refused
      }
      guard tcp.acknowledgement == other.lastACK || flags.contains(.fourWay) else {
        events.insert(.threeWayHandshakeSYNACKResendWithDifferentACK)
        return .refused
      }
      guard tcp.sequence == own.initialSequence else {
        events.insert(.threeWayHandshakeSYNACKResendWithDifferentSequence)
        return .refused
      }
      return .taken
    }
    if tcp.isSYN {
      guard side == .toServer else {
        events.insert(.threeWayHandshakeSYNToClientOnSYNRecv)
        return .refused
      }
      guard tcp.sequence == own.initialSequence else {
        events.insert(.threeWayHandshakeSYNResendDifferentSequenceOnSYNRecv)
        return .refused
      }
      return .taken
    }
    if tcp.isFIN && !tcp.isACK { return .refused }
    guard tcp.isACK else { return .ignored }
    guard hasValidTimestamp(packet, own, time: time, events: &events) else { return .refused }

    if flags.contains(.fourWay) {
      guard tcp.sequence == own.nextSequence else {
        events.insert(.fourWayHandshakeWrongSequence)
        return .refused
      }
      guard isValid(acknowledgement: packet, of: other, events: &events) else {
        events.insert(.fourWayHandshakeInvalidACK)
        return .refused
      }
    } else if flags.contains(.midstreamSYNACK) {
      own.window = max(own.window, 1)
    } else if side == .toClient && !flags.contains(.fastOpen) {
      // Either the client's ACK was missed, or someone sneaks data in. Where every packet is seen it was not missed.
      guard !policy.isInline else {
        let fits = tcp.acknowledgement == other.lastACK && tcp.sequence == own.nextSequence
        events.insert(
          packet.payloadLength > 0 && fits ? .threeWayHandshakeACKDataInject : .threeWayHandshakeACKInWrongDirection)
        return .refused
      }
      guard tcp.acknowledgement == other.lastACK, tcp.sequence == own.nextSequence else {
        events.insert(.threeWayHandshakeWrongSequenceWrongACK)
        return .refused
      }
    } else if tcp.sequence == own.nextSequence && tcp.acknowledgement == other.nextSequence {
      // The third packet as it should be.
    } else if policy.asyncOneSide && tcp.sequence == own.nextSequence {
      flags.insert(.asynchronous)
    } else if tcp.sequence == own.nextSequence {
      // Some stacks do not answer this with a reset: a way to hide data from who does not know.
      events.insert(.threeWayHandshakeRightSequenceWrongACKEvasion)
      return .refused
    } else if SequenceNumber.greater(tcp.sequence, own.nextSequence),
      SequenceNumber.lessOrEqual(tcp.sequence, own.nextWindow), tcp.acknowledgement == other.nextSequence
    {
      // Something in between was missed.
    } else {
      events.insert(.threeWayHandshakeWrongSequenceWrongACK)
      return .refused
    }
    state = .established
    if tcp.isFIN { return Outcome(followFIN(packet, from: side, &own, &other, time: time, events: &events)) }
    accept(packet, &own, &other, time: time)
    return .taken
  }
}

extension TCPSide {
  /// A SYN with this number, or what stands for one.
  mutating func begin(at sequence: UInt32) {
    initialSequence = sequence
    nextSequence = sequence &+ 1
    lastACK = nextSequence
    nextWindow = lastACK &+ window
    stream.begin(at: nextSequence)
  }

  mutating func take(timestampOf tcp: DecodedPacket.TCPFields, time: UInt64) {
    guard tcp.options.contains(.timestamp) else { return }
    if lastTimestamp == 0 { firstTimestamp = tcp.timestampValue }
    lastTimestamp = tcp.timestampValue
    lastTimestampTime = time
  }
}
