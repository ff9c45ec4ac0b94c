import AllyPacket
import Testing

@testable import AllyDPI

/// Two hosts that speak TCP, and how far each has come.
private struct Conversation {
  var clientPort: UInt16 = 40_000
  /// Of the client's and the server's first byte of data.
  var client: UInt32 = 1001
  var server: UInt32 = 5001

  static let syn = TCPFlag.syn
  static let ack = TCPFlag.ack
  static let fin = TCPFlag.fin
  static let rst = TCPFlag.rst

  /// A segment of the client; `offset` counts in its data.
  func fromClient(
    _ text: String = "", at offset: Int = 0, flags: UInt8 = ack, acknowledges: Int = 0, window: UInt16 = 65_535,
    options: [UInt8] = []
  ) -> [UInt8] {
    fromClient(
      FrameBuilder.text(text), at: offset, flags: flags, acknowledges: acknowledges, window: window, options: options)
  }

  func fromClient(
    _ bytes: [UInt8], at offset: Int = 0, flags: UInt8 = ack, acknowledges: Int = 0, window: UInt16 = 65_535,
    options: [UInt8] = []
  ) -> [UInt8] {
    FrameBuilder.ipv4(
      1, 2, protocol: 6,
      FrameBuilder.tcp(
        clientPort, 80, sequence: client &+ UInt32(truncatingIfNeeded: offset),
        acknowledgement: flags & Self.ack != 0 ? server &+ UInt32(truncatingIfNeeded: acknowledges) : 0, flags: flags,
        window: window, options: options, bytes))
  }

  func fromServer(
    _ text: String = "", at offset: Int = 0, flags: UInt8 = ack, acknowledges: Int = 0, window: UInt16 = 65_535,
    options: [UInt8] = []
  ) -> [UInt8] {
    FrameBuilder.ipv4(
      2, 1, protocol: 6,
      FrameBuilder.tcp(
        80, clientPort, sequence: server &+ UInt32(truncatingIfNeeded: offset),
        acknowledgement: client &+ UInt32(truncatingIfNeeded: acknowledges), flags: flags, window: window,
        options: options, from: 2, to: 1, FrameBuilder.text(text)))
  }

  /// SYN, SYN+ACK, ACK.
  var handshake: [[UInt8]] {
    [
      fromClient(at: -1, flags: Self.syn), fromServer(at: -1, flags: Self.syn | Self.ack),
      fromClient(),
    ]
  }
}

@Suite("Stream: data in order")
struct StreamDataTests {
  private func connected(_ talk: Conversation = Conversation(), _ change: (inout DPIConfiguration) -> Void = { _ in })
    -> FlowHarness
  {
    var harness = FlowHarness(change)
    for datagram in talk.handshake { harness.send(datagram) }
    return harness
  }

  @Test("the handshake: established is what comes after it")
  func handshake() {
    var harness = FlowHarness()
    let contexts = Conversation().handshake.map { harness.send($0) }
    #expect(contexts.map(\.isEstablished) == [false, false, false])
    #expect(contexts.map(\.side) == [.toServer, .toClient, .toServer])
    #expect(contexts.allSatisfy { $0.streamEvents.isEmpty })
    let next = harness.send(Conversation().fromServer())
    #expect(next.isEstablished && next.side == .toClient)
    #expect(harness.tracker.connection(next.flow)?.state == .established)
  }

  @Test("data with the last packet of the handshake is established data")
  func dataWithHandshake() {
    var harness = FlowHarness()
    let talk = Conversation()
    harness.send(talk.handshake[0])
    harness.send(talk.handshake[1])
    let context = harness.send(talk.fromClient("GET /"))
    #expect(context.isEstablished && context.hasStreamData && harness.freshText == "GET /")
  }

  @Test("each segment is new once, with what came before it")
  func inOrder() {
    var harness = connected()
    let talk = Conversation()
    #expect(harness.send(talk.fromClient("abc")).isInStream)
    #expect(harness.freshText == "abc" && harness.historyText == "" && harness.streamOffset == 0)
    harness.send(talk.fromClient("defg", at: 3))
    #expect(harness.freshText == "defg" && harness.historyText == "abc" && harness.streamOffset == 3)
    let answer = harness.send(talk.fromServer("HELLO", acknowledges: 7))
    #expect(
      answer.hasStreamData && harness.freshText == "HELLO" && harness.historyText == "" && harness.streamOffset == 0)
    let acknowledgement = harness.send(talk.fromClient(at: 7, acknowledges: 5))
    #expect(!acknowledgement.hasStreamData && !acknowledgement.isInStream)
  }

  @Test("a long stream comes whole, and its history reaches back as far as it promises")
  func long() {
    var harness = connected(Conversation()) { $0.reassemblyDepth = 0 }
    let talk = Conversation()
    var generator = SeededGenerator(seed: 3)
    var sent: [UInt8] = []
    for _ in 0..<150 {
      let segment = (0..<Int.random(in: 1...3000, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      harness.send(talk.fromClient(segment, at: sent.count))
      let isNew = harness.fresh == segment
      let isKept = harness.history == Array(sent.suffix(StreamReassembler.history))
      #expect(isNew && isKept)
      #expect(harness.streamOffset == UInt64(sent.count))
      sent += segment
      harness.send(talk.fromServer(acknowledges: sent.count))
    }
    #expect(sent.count > 100_000)
    #expect(harness.tracker.statistics.gaps == 0)
  }

  @Test("segments in any order give the stream, over the wrap of sequence numbers", arguments: 1...20)
  func anyOrder(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var talk = Conversation()
    talk.client = UInt32.max - 300
    var harness = connected(talk)
    let data = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &generator) }
    var pieces: [Range<Int>] = []
    var start = 0
    while start < data.count {
      let end = min(data.count, start + Int.random(in: 1...90, using: &generator))
      // Some overlap their predecessor.
      pieces.append(max(0, start - Int.random(in: 0...20, using: &generator))..<end)
      start = end
    }
    var seen: [UInt8] = []
    for piece in pieces.shuffled(using: &generator) {
      harness.send(talk.fromClient(Array(data[piece]), at: piece.lowerBound))
      if !harness.fresh.isEmpty { #expect(harness.streamOffset == UInt64(seen.count), "seed \(seed)") }
      seen += harness.fresh
    }
    #expect(seen == data, "seed \(seed)")
    #expect(harness.tracker.statistics.differingOverlaps == 0, "seed \(seed)")
  }

  @Test("the segment that closes a gap brings all that waited, however much")
  func muchWaits() {
    var harness = connected(Conversation()) { $0.reassemblyDepth = 0 }
    // A window scale would be needed for so much in flight; midstream pickup does not ask.
    var midstream = FlowHarness {
      $0.midstream = true
      $0.reassemblyDepth = 0
    }
    let talk = Conversation()
    midstream.send(talk.fromClient("!", at: -1))
    let segment = [UInt8](repeating: 66, count: 1400)
    for index in 1...200 {
      let context = midstream.send(talk.fromClient(segment, at: index * 1400))
      #expect(context.isInStream && !context.hasStreamData)
    }
    midstream.send(talk.fromClient([UInt8](repeating: 65, count: 1400), at: 0))
    let isWhole = midstream.fresh == [UInt8](repeating: 65, count: 1400) + [UInt8](repeating: 66, count: 280_000)
    #expect(isWhole)
    #expect(harness.send(talk.fromClient(segment, at: 0)).hasStreamData)
  }

  @Test("a retransmission brings nothing new; one with other bytes is noticed and changes nothing")
  func retransmission() {
    var harness = connected()
    let talk = Conversation()
    harness.send(talk.fromClient("attack"))
    let same = harness.send(talk.fromClient("attack"))
    #expect(!same.hasStreamData && !same.isInStream)
    #expect(
      !same.streamEvents.contains(.packetRetransmission), "while a connection is established, it is nothing special")
    #expect(!same.streamEvents.contains(.reassemblyOverlapDifferentData))
    let other = harness.send(talk.fromClient("attXck12"))
    #expect(other.streamEvents.contains(.reassemblyOverlapDifferentData))
    #expect(harness.freshText == "12" && harness.historyText == "attack")
    #expect(!other.mustDrop)
  }

  @Test("inline, a retransmission with other bytes must not pass; the same bytes may")
  func inlineRetransmission() {
    var harness = connected(Conversation()) { $0.isInline = true }
    let talk = Conversation()
    #expect(!harness.send(talk.fromClient("attack")).mustDrop)
    #expect(!harness.send(talk.fromClient("attack")).mustDrop)
    #expect(harness.send(talk.fromClient("attXck")).mustDrop)
    // Far behind what the history of detection keeps, but not acknowledged yet: the receiver may take either.
    for index in 0..<20 { harness.send(talk.fromClient([UInt8](repeating: 65, count: 1000), at: 6 + index * 1000)) }
    #expect(harness.send(talk.fromClient("attXck")).mustDrop)
  }

  @Test("what waits beyond a gap is settled by policy: inline the first copy, else as BSD does")
  func waitingOverlap() {
    for (inline, expected) in [(true, "..AAAA"), (false, "..BBBB")] {
      var harness = connected(Conversation()) { $0.isInline = inline }
      let talk = Conversation()
      harness.send(talk.fromClient("AAAA", at: 2))
      let context = harness.send(talk.fromClient("xBBBB", at: 1))
      #expect(context.streamEvents.contains(.reassemblyOverlapDifferentData))
      #expect(context.mustDrop == inline)
      harness.send(talk.fromClient("..", at: 0))
      #expect(harness.freshText == expected)
    }
  }

  @Test("an acknowledged gap is given up; the stream goes on behind it without history")
  func gap() {
    var harness = connected()
    let talk = Conversation()
    harness.send(talk.fromClient("before"))
    harness.send(talk.fromClient("behind", at: 16))
    let acknowledgement = harness.send(talk.fromServer(acknowledges: 22))
    #expect(acknowledgement.streamEvents.contains(.reassemblySequenceGap))
    let next = harness.send(talk.fromClient("!", at: 22))
    #expect(
      next.hasStreamData && harness.freshText == "behind!" && harness.historyText == "" && harness.streamOffset == 16)
    #expect(harness.tracker.statistics.gaps == 1)
  }

  @Test("what is acknowledged and was not seen is no gap until something behind it comes")
  func acknowledgedAhead() {
    var harness = connected()
    let talk = Conversation()
    harness.send(talk.fromClient("before"))
    for acknowledgement in [10, 16] {
      let context = harness.send(talk.fromServer(acknowledges: acknowledgement))
      #expect(!context.streamEvents.contains(.reassemblySequenceGap))
    }
    harness.send(talk.fromClient("behind", at: 16))
    #expect(harness.send(talk.fromServer(acknowledges: 22)).streamEvents.contains(.reassemblySequenceGap))
    #expect(harness.tracker.statistics.gaps == 1)
  }

  @Test("beyond the depth nothing is reassembled")
  func depth() {
    var harness = connected(Conversation()) { $0.reassemblyDepth = 10 }
    let talk = Conversation()
    #expect(!harness.send(talk.fromClient("12345")).streamEvents.contains(.reassemblyDepthReached))
    #expect(harness.send(talk.fromClient("67890", at: 5)).streamEvents.contains(.reassemblyDepthReached))
    let beyond = harness.send(talk.fromClient("more", at: 10))
    #expect(!beyond.isInStream && !beyond.hasStreamData)
  }

  @Test("a wrong checksum keeps a segment out of its stream")
  func checksum() {
    var harness = connected()
    let talk = Conversation()
    var bad = talk.fromClient("evil")
    bad[bad.count - 1] ^= 0xFF
    #expect(!harness.send(bad).isInStream)
    harness.send(talk.fromClient("good"))
    #expect(harness.freshText == "good")
    #expect(harness.tracker.statistics.tcpInvalidChecksum == 1)
  }

  @Test("memory: many streams with data that waits stay within the cap")
  func flood() {
    var harness = FlowHarness {
      $0.flowMemoryCap = 1 << 22
      $0.streamMemoryCap = 1 << 18
      $0.reassemblyMemoryCap = 1 << 19
    }
    for port in UInt16(1)...2000 {
      let talk = Conversation(clientPort: port)
      for datagram in talk.handshake { harness.send(datagram) }
      harness.send(talk.fromClient([UInt8](repeating: 1, count: 1000), at: 5))
      harness.send(talk.fromClient("abc", at: 0))
      #expect(harness.tracker.bytesHeld <= 1 << 19)
    }
    let statistics = harness.tracker.statistics
    #expect(statistics.streamMemoryCap > 0)
    #expect(statistics.reassemblyMemoryCap > 0)
    // When the connections are over, their memory is free again.
    harness.send(Conversation(clientPort: 1).fromClient(), at: 100_000)
    for _ in 0..<1000 { harness.send(Conversation(clientPort: 1).fromClient()) }
    _ = harness.ended()
    #expect(harness.tracker.bytesHeld == 0)
  }
}

@Suite("Stream: connections")
struct StreamConnectionTests {
  @Test("without a handshake there is no stream, unless midstream pickup is on")
  func midstream() {
    let talk = Conversation()
    var strict = FlowHarness()
    let stray = strict.send(talk.fromClient("data"))
    #expect(!stray.flow.isNone && !stray.isInStream && !stray.isEstablished)
    #expect(!strict.send(talk.fromServer("data", acknowledges: 4)).isEstablished)

    var lenient = FlowHarness { $0.midstream = true }
    let first = lenient.send(talk.fromClient("data"))
    #expect(first.isInStream && first.isEstablished && lenient.freshText == "data" && first.side == .toServer)
    let answer = lenient.send(talk.fromServer("answer", acknowledges: 4))
    #expect(answer.isEstablished && lenient.freshText == "answer" && answer.side == .toClient)
  }

  @Test("picked up at the SYN+ACK or at the server's data, the server is the server")
  func midstreamSides() {
    let talk = Conversation()
    var harness = FlowHarness { $0.midstream = true }
    let first = harness.send(talk.handshake[1])
    #expect(first.side == .toClient)
    #expect(harness.tracker.flow(first.flow).serverPort == 80)
    #expect(harness.send(talk.handshake[2]).side == .toServer)
    #expect(harness.send(talk.fromClient("GET")).hasStreamData && harness.freshText == "GET")

    var later = FlowHarness { $0.midstream = true }
    #expect(later.send(talk.fromServer("banner")).side == .toClient && later.freshText == "banner")
    #expect(later.send(talk.fromClient("USER", acknowledges: 6)).side == .toServer && later.freshText == "USER")
  }

  @Test("one side alone is followed when that is allowed")
  func oneSide() {
    let talk = Conversation()
    for allowed in [false, true] {
      var harness = FlowHarness { $0.asyncOneSide = allowed }
      harness.send(talk.handshake[0])
      harness.send(talk.fromClient(acknowledges: 0))
      let data = harness.send(talk.fromClient("data", acknowledges: 100))
      #expect(data.isInStream == allowed)
      #expect(harness.freshText == (allowed ? "data" : ""))
    }
  }

  @Test("a connection closes by FIN from either side, and its endpoints may open a new one", arguments: [true, false])
  func close(clientFirst: Bool) {
    var harness = FlowHarness()
    let talk = Conversation()
    for datagram in talk.handshake { harness.send(datagram) }
    typealias C = Conversation
    let closing: [[UInt8]] =
      clientFirst
      ? [
        talk.fromClient("bye", flags: C.fin | C.ack), talk.fromServer(flags: C.ack, acknowledges: 4),
        talk.fromServer(flags: C.fin | C.ack, acknowledges: 4), talk.fromClient(at: 4, acknowledges: 1),
      ]
      : [
        talk.fromServer("bye", flags: C.fin | C.ack), talk.fromClient(acknowledges: 4),
        talk.fromClient(flags: C.fin | C.ack, acknowledges: 4), talk.fromServer(at: 4, acknowledges: 1),
      ]
    let contexts = closing.map { harness.send($0) }
    for (number, context) in contexts.enumerated() { #expect(context.streamEvents.isEmpty, "packet \(number)") }
    #expect(contexts[0].endsStream && contexts[2].endsStream)
    let flow = contexts[3].flow
    #expect(harness.tracker.connection(flow)?.state == .closed)
    #expect(harness.tracker.flow(flow).state == .closed)

    var again = Conversation()
    again.client = 900_001
    let reopened = harness.send(again.handshake[0])
    #expect(reopened.isNewFlow && reopened.side == .toServer && !reopened.isEstablished)
    #expect(harness.ended().map(\.ending) == [.reused])
  }

  @Test("a reset in the window ends the connection, one outside does not")
  func reset() {
    var harness = FlowHarness()
    let talk = Conversation()
    for datagram in talk.handshake { harness.send(datagram) }
    let outside = harness.send(talk.fromClient(at: 1_000_000, flags: Conversation.rst))
    #expect(!outside.endsStream)
    #expect(harness.send(talk.fromClient("ok")).hasStreamData)
    let inside = harness.send(talk.fromClient(at: 2, flags: Conversation.rst))
    #expect(inside.endsStream)
    #expect(harness.tracker.connection(inside.flow)?.state == .closed)
    let after = harness.send(talk.fromClient("more", at: 2))
    #expect(after.streamEvents.contains(.suspectedRSTInject) && !after.hasStreamData)
    #expect(harness.tracker.bytesHeld == 0)
  }

  @Test("a refused connection")
  func refused() {
    var harness = FlowHarness()
    let talk = Conversation()
    harness.send(talk.handshake[0])
    let forged = harness.send(talk.fromServer(at: -5001, flags: Conversation.rst | Conversation.ack, acknowledges: 77))
    #expect(forged.streamEvents.contains(.rstInvalidACK))
    let context = harness.send(talk.fromServer(at: -5001, flags: Conversation.rst | Conversation.ack))
    #expect(context.endsStream)
    #expect(harness.tracker.flow(context.flow).state == .closed)
  }

  @Test("what does not fit is named, and inline it must not pass")
  func events() {
    typealias C = Conversation
    let talk = Conversation()
    let timestamps: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0]
    let older: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 50, 0, 0, 0, 0]
    var otherSYN = talk
    otherSYN.client += 7
    let connected = talk.handshake
    let cases: [(before: [[UInt8]], packet: [UInt8], event: StreamEvent)] = [
      ([], talk.fromClient(flags: C.rst), .rstButNoSession),
      ([], talk.fromClient(flags: C.fin | C.ack), .finButNoSession),
      (
        [connected[0]], talk.fromServer(at: -1, flags: C.syn | C.ack, acknowledges: 9),
        .threeWayHandshakeSYNACKWithWrongACK
      ),
      ([connected[0]], talk.fromClient(at: -1, flags: C.syn | C.ack), .threeWayHandshakeSYNACKInWrongDirection),
      (Array(connected[0...1]), talk.fromClient(acknowledges: 9), .threeWayHandshakeRightSequenceWrongACKEvasion),
      (Array(connected[0...1]), talk.fromClient(at: 90_000, acknowledges: 9), .threeWayHandshakeWrongSequenceWrongACK),
      (Array(connected[0...1]), otherSYN.handshake[0], .threeWayHandshakeSYNResendDifferentSequenceOnSYNRecv),
      (
        Array(connected[0...1]), talk.fromServer(at: 3, flags: C.syn | C.ack),
        .threeWayHandshakeSYNACKResendWithDifferentSequence
      ),
      (connected, connected[0], .establishedSYNResend),
      (connected + [talk.fromServer()], connected[1], .establishedSYNACKResend),
      (connected, otherSYN.handshake[0], .establishedSYNResendDifferentSequence),
      (connected, talk.fromServer(flags: C.syn), .establishedSYNToClient),
      (connected, talk.fromClient("x", at: 200_000), .establishedPacketOutOfWindow),
      (connected, talk.fromClient("x", acknowledges: 100_000), .establishedInvalidACK),
      (connected, talk.fromClient("x", at: 200_000, flags: C.fin | C.ack), .finOutOfWindow),
      (connected, talk.fromClient("x", flags: C.fin | C.ack, acknowledges: 100_000), .finInvalidACK),
      (
        connected + [talk.fromClient("abcdef"), talk.fromServer(acknowledges: 6)], talk.fromClient("abc"),
        .establishedPacketBeforeLastACK
      ),
      (connected + [talk.fromClient(flags: C.fin | C.ack)], connected[0], .shutdownSYNResend),
      (
        [
          talk.fromClient(at: -1, flags: C.syn, options: timestamps),
          talk.fromServer(at: -1, flags: C.syn | C.ack, options: timestamps), talk.fromClient(options: timestamps),
        ], talk.fromClient("x", options: older), .packetInvalidTimestamp
      ),
    ]
    for (number, sample) in cases.enumerated() {
      for isInline in [false, true] {
        var harness = FlowHarness { $0.isInline = isInline }
        for datagram in sample.before { #expect(harness.send(datagram).streamEvents.isEmpty, "case \(number)") }
        let context = harness.send(sample.packet)
        #expect(context.streamEvents.contains(sample.event), "case \(number): \(sample.event.name)")
        #expect(!context.hasStreamData, "case \(number)")
        #expect(context.mustDrop == (isInline && sample.event != .establishedPacketBeforeLastACK), "case \(number)")
      }
    }
  }

  @Test("what is no part of a connection passes, inline too, and changes nothing of it")
  func strangers() {
    typealias C = Conversation
    let talk = Conversation()
    let connected = talk.handshake
    let reset = connected + [talk.fromClient(flags: C.rst)]
    let cases: [(before: [[UInt8]], packet: [UInt8])] = [
      // The answer was not seen, or was damaged.
      ([connected[0]], talk.fromClient()),
      ([connected[0]], talk.fromClient("data")),
      ([connected[0]], talk.fromServer()),
      ([connected[0]], talk.fromClient(flags: C.fin)),
      ([connected[0]], talk.fromClient(at: 5, flags: C.rst)),
      (Array(connected[0...1]), talk.fromClient("x", flags: 0)),
      (connected, talk.fromClient("x", flags: 0)),
      // All is over.
      (reset, talk.fromServer("late")),
      (reset, talk.fromServer(flags: C.fin | C.ack)),
      (reset, talk.fromClient(flags: C.rst)),
    ]
    for (number, sample) in cases.enumerated() {
      var harness = FlowHarness { $0.isInline = true }
      for datagram in sample.before { #expect(!harness.send(datagram).mustDrop, "case \(number)") }
      let context = harness.send(sample.packet)
      #expect(!context.mustDrop && !context.hasStreamData && !context.isInStream, "case \(number)")
      if sample.before.count == 1 {
        // The handshake goes on where it was.
        for datagram in connected[1...] { #expect(!harness.send(datagram).mustDrop, "case \(number)") }
        #expect(harness.send(talk.fromClient("data")).isInStream, "case \(number)")
      }
    }
  }

  @Test("windows scale as both sides agreed")
  func scaling() {
    var harness = FlowHarness()
    let talk = Conversation()
    harness.send(talk.fromClient(at: -1, flags: Conversation.syn, options: [1, 3, 3, 7]))
    harness.send(talk.fromServer(at: -1, flags: Conversation.syn | Conversation.ack, options: [1, 3, 3, 4]))
    harness.send(talk.fromClient(window: 1000))
    // The client's 1,000 means 128,000 bytes for the server.
    #expect(harness.send(talk.fromServer("x", at: 127_000)).isInStream)
    #expect(harness.send(talk.fromServer("x", at: 129_000)).streamEvents.contains(.establishedPacketOutOfWindow))
  }

  @Test("an answer to a SYN must echo a timestamp that was sent")
  func timestampEcho() {
    func option(_ value: UInt32, _ echo: UInt32) -> [UInt8] {
      [1, 1, 8, 10] + FrameBuilder.bytes(value) + FrameBuilder.bytes(echo)
    }
    let talk = Conversation()
    for (echo, isTaken) in [(UInt32(500), true), (600, true), (0, true), (499, false), (601, false)] {
      var harness = FlowHarness()
      harness.send(talk.fromClient(at: -1, flags: Conversation.syn, options: option(500, 0)))
      harness.send(talk.fromClient(at: -1, flags: Conversation.syn, options: option(600, 0)))
      let reset = harness.send(
        talk.fromServer(at: -5001, flags: Conversation.rst | Conversation.ack, options: option(9, echo)))
      #expect(reset.streamEvents.contains(.packetInvalidTimestamp) == !isTaken, "echo \(echo)")
      #expect((harness.tracker.connection(reset.flow)?.state == .closed) == isTaken, "echo \(echo)")
    }
  }

  @Test("an answer with a timestamp that nobody asked for does not count")
  func uninvitedTimestamp() {
    var harness = FlowHarness()
    let talk = Conversation()
    harness.send(talk.handshake[0])
    let options: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]
    let forged = harness.send(
      talk.fromServer(at: -5001, flags: Conversation.rst | Conversation.ack, options: options))
    #expect(forged.streamEvents.contains(.packetInvalidTimestamp) && !forged.endsStream)
    harness.send(talk.handshake[1])
    harness.send(talk.handshake[2])
    #expect(harness.send(talk.fromClient("GET")).isInStream)
  }

  @Test("data with the SYN counts when the client asks for it (Fast Open)")
  func fastOpen() {
    var harness = FlowHarness()
    let talk = Conversation()
    let plain = harness.send(talk.fromClient("early", at: -1, flags: Conversation.syn))
    #expect(!plain.isInStream)
    var fast = FlowHarness()
    let open = fast.send(talk.fromClient("early", at: -1, flags: Conversation.syn, options: [34, 6, 1, 2, 3, 4, 1, 1]))
    #expect(open.isInStream && fast.freshText == "early")
    fast.send(talk.fromServer(at: -1, flags: Conversation.syn | Conversation.ack, acknowledges: 5))
    let next = fast.send(talk.fromClient(" bird", at: 5))
    #expect(next.hasStreamData && fast.freshText == " bird" && fast.historyText == "early")
  }

  @Test(
    "anything may come: random segments never break the tracker",
    arguments: [(false, false), (true, false), (false, true), (true, true)])
  func random(midstream: Bool, inline: Bool) {
    for seed in UInt64(1)...3 {
      var generator = SeededGenerator(seed: seed)
      var harness = FlowHarness {
        $0.midstream = midstream
        $0.isInline = inline
        $0.reassemblyMemoryCap = 1 << 18
        $0.streamMemoryCap = 1 << 16
        $0.flowMemoryCap = 1 << 16
      }
      var offsets: [UInt16: UInt64] = [:]
      for step in 0..<600 {
        var talk = Conversation(clientPort: UInt16.random(in: 1...4, using: &generator))
        let isConnecting = Int.random(in: 0..<20, using: &generator) == 0
        if isConnecting {
          for datagram in talk.handshake { harness.send(datagram) }
          offsets[talk.clientPort] = nil
        }
        talk.client &+= Bool.random(using: &generator) ? 0 : UInt32.random(in: 0...UInt32.max, using: &generator)
        let data = [UInt8](
          repeating: UInt8(truncatingIfNeeded: step), count: Int.random(in: 0...3000, using: &generator))
        let context = harness.send(
          talk.fromClient(
            data, at: Int.random(in: -2000...9000, using: &generator),
            flags: UInt8.random(in: 0...63, using: &generator),
            acknowledges: Int.random(in: -10...10, using: &generator),
            window: UInt16.random(in: 0...65_535, using: &generator)), at: Double(step) / 10)
        #expect(
          context.hasStreamData == !harness.fresh.isEmpty || harness.tracker.statistics.reassemblyMemoryCap > 0,
          "seed \(seed), step \(step)")
        #expect(harness.tracker.bytesHeld <= 1 << 18, "seed \(seed), step \(step)")
      }
    }
  }
}
