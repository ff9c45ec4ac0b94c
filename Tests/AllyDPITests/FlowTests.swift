import AllyPacket
import Testing

@testable import AllyDPI

/// A dissector and a tracker, as the engine has them.
struct FlowHarness: ~Copyable {
  var dissector: FrameDissector
  var tracker: ConnectionTracker
  /// What the windows of each packet showed: the new bytes, and those before them.
  var fresh: [UInt8] = []
  var history: [UInt8] = []
  var streamOffset: UInt64 = 0
  var seconds = 1.0

  init(_ change: (inout DPIConfiguration) -> Void = { _ in }) {
    var configuration = DPIConfiguration()
    configuration.hashSeed = 42
    // Windows on arrival; what acknowledgements do has tests of its own.
    configuration.streamInline = true
    configuration.defragmentationMemoryCap = 1 << 18
    configuration.flowMemoryCap = 1 << 20
    configuration.streamMemoryCap = 1 << 20
    configuration.reassemblyMemoryCap = 1 << 22
    change(&configuration)
    dissector = FrameDissector(configuration: configuration)
    tracker = ConnectionTracker(configuration: configuration)
  }

  /// Sends one datagram through; packets of one frame in the order of inspection, the context of the last one.
  @discardableResult
  mutating func send(_ datagram: [UInt8], at time: Double? = nil) -> PacketContext {
    if let time { seconds = time }
    fresh = []
    history = []
    var context = PacketContext()
    let span = unsafe datagram.span.bytes
    let time = UInt64(seconds * 1e9)
    let count = dissector.dissect(
      Packet(bytes: span, stamp: FrameStamp(time: time, linkType: .raw), direction: .receive))
    for index in (0..<count).reversed() {
      let packet = dissector.packet(at: index)
      let bytes = dissector.bytes(of: packet, in: span)
      context = tracker.track(packet, bytes: bytes, time: time)
      guard context.hasStreamData else { continue }
      repeat {
        let window = tracker.window(bytes: bytes)
        if fresh.isEmpty {
          history = (0..<window.freshOffset).map { window.bytes.byte(at: $0) }
          streamOffset = window.streamOffset + UInt64(window.freshOffset)
        }
        fresh += (window.freshOffset..<window.bytes.byteCount).map { window.bytes.byte(at: $0) }
      } while tracker.nextWindow()
    }
    return context
  }

  var freshText: String { String(decoding: fresh, as: UTF8.self) }
  var historyText: String { String(decoding: history, as: UTF8.self) }

  /// All flows that ended so far.
  mutating func ended() -> [Flow] {
    var flows: [Flow] = []
    while let flow = tracker.nextEndedFlow() {
      tracker.close(flow)
      flows.append(flow)
    }
    return flows
  }
}

@Suite("Flow")
struct FlowTests {
  private func udp(_ from: UInt8, _ fromPort: UInt16, _ to: UInt8, _ toPort: UInt16, _ text: String = "x") -> [UInt8] {
    FrameBuilder.ipv4(from, to, protocol: 17, FrameBuilder.udp(fromPort, toPort, FrameBuilder.text(text)))
  }

  @Test("question and answer are one flow; who asks first is the client")
  func sides() {
    var harness = FlowHarness()
    let first = harness.send(udp(9, 5000, 1, 53), at: 10)
    #expect(first.isNewFlow && first.side == .toServer && !first.isEstablished)
    let second = harness.send(udp(1, 53, 9, 5000, "yy"), at: 11)
    #expect(second.flow == first.flow && second.side == .toClient && second.isEstablished && !second.isNewFlow)
    let third = harness.send(udp(9, 5000, 1, 53), at: 12)
    #expect(third.side == .toServer && third.isEstablished)
    let flow = harness.tracker.flow(first.flow)
    #expect(flow.client == IPAddress(v4: 0x0A00_0009) && flow.clientPort == 5000)
    #expect(flow.server == IPAddress(v4: 0x0A00_0001) && flow.serverPort == 53)
    #expect(flow.packetsToServer == 2 && flow.packetsToClient == 1)
    #expect(flow.bytesToServer == 58 && flow.bytesToClient == 30)
    #expect(flow.firstTime == 10_000_000_000 && flow.lastTime == 12_000_000_000)
    #expect(flow.identifier > 0 && flow.identifier < 1 << 53)
    #expect(flow.state == .established)
  }

  @Test("ports, addresses, protocols, VLANs and tunnels make different flows")
  func identities() {
    var harness = FlowHarness { $0.hashSeed = 7 }
    let inner = udp(1, 1, 2, 2)
    let datagrams = [
      inner, udp(1, 1, 2, 3), udp(1, 1, 3, 2),
      FrameBuilder.ipv4(protocol: 132, [0, 1, 0, 2] + [UInt8](repeating: 0, count: 8)),
      FrameBuilder.ipv4(8, 9, protocol: 4, inner),
      FrameBuilder.ipv6(1, 2, next: 17, FrameBuilder.udp(1, 2, [])),
    ]
    let flows = datagrams.map { harness.send($0).flow }
    // The tunnel's carrier has no flow of its own, and is tracked last.
    #expect(flows[4].isNone)
    #expect(Set(flows).count == datagrams.count)
    #expect(harness.tracker.statistics.flows == 6)
    #expect(datagrams.map { harness.send($0).isNewFlow } == [false, false, false, false, false, false])
    #expect(harness.tracker.statistics.flows == 6)
  }

  @Test("the third VLAN tag counts, too")
  func innermostVLAN() {
    var harness = FlowHarness()
    var packet = DecodedPacket()
    packet.transport = .udp
    packet.ipProtocol = 17
    packet.ipVersion = 4
    packet.vlans = (1, 2, 3)
    let one = harness.tracker.track(packet, bytes: RawSpan(), time: 1)
    packet.vlans.2 = 4
    let two = harness.tracker.track(packet, bytes: RawSpan(), time: 1)
    #expect(one.isNewFlow && two.isNewFlow && one.flow != two.flow)
  }

  @Test("an echo and its reply are one flow")
  func echo() {
    var harness = FlowHarness()
    let request = harness.send(FrameBuilder.ipv4(1, 2, protocol: 1, [8, 0, 0, 0, 0, 1, 0, 1]))
    let reply = harness.send(FrameBuilder.ipv4(2, 1, protocol: 1, [0, 0, 0, 0, 0, 1, 0, 1]))
    #expect(request.flow == reply.flow && reply.side == .toClient && reply.isEstablished)
    let flow = harness.tracker.flow(request.flow)
    #expect(flow.icmp == (8, 0, 0, 0))
  }

  @Test("an error message belongs to the flow that it speaks of, and makes none")
  func errors() {
    var harness = FlowHarness()
    let question = udp(1, 1000, 2, 53)
    let message: [UInt8] = [3, 3, 0, 0, 0, 0, 0, 0]
    let stray = harness.send(FrameBuilder.ipv4(2, 1, protocol: 1, message + question))
    #expect(stray.flow.isNone)
    let flow = harness.send(question).flow
    let error = harness.send(FrameBuilder.ipv4(2, 1, protocol: 1, message + question))
    #expect(error.flow == flow && error.side == .toClient && !error.isEstablished)
    let fromRouter = harness.send(FrameBuilder.ipv4(77, 1, protocol: 1, [11, 0, 0, 0, 0, 0, 0, 0] + question))
    #expect(fromRouter.flow == flow && fromRouter.side == .toClient)
  }

  @Test("flows end when they were silent for too long: unanswered ones sooner")
  func timeouts() {
    var harness = FlowHarness()
    harness.send(udp(1, 1, 2, 2), at: 1000)
    harness.send(udp(3, 1, 4, 2), at: 1000)
    harness.send(udp(4, 2, 3, 1), at: 1000)
    // Something else, to move the clock on.
    harness.send(udp(5, 5, 5, 6), at: 1029)
    #expect(harness.ended().isEmpty)
    harness.send(udp(5, 5, 5, 6), at: 1033)
    let first = harness.ended()
    #expect(first.map(\.client) == [IPAddress(v4: 0x0A00_0001)] && first.first?.ending == .timeout)
    for second in stride(from: 1040.0, through: 1310, by: 10) { harness.send(udp(5, 5, 5, 6), at: second) }
    #expect(harness.ended().map(\.client) == [IPAddress(v4: 0x0A00_0003)])
    #expect(harness.tracker.statistics.timeouts == 2)
  }

  @Test("a packet after the time-out makes a new flow, also after a long silence of all")
  func lateComers() {
    var harness = FlowHarness()
    let before = harness.send(udp(1, 1, 2, 2), at: 1000)
    let identifier = harness.tracker.flow(before.flow).identifier
    let after = harness.send(udp(2, 2, 1, 1), at: 1_000_000)
    #expect(after.isNewFlow && after.side == .toServer)
    #expect(harness.tracker.flow(after.flow).identifier != identifier)
    #expect(harness.ended().map(\.identifier) == [identifier])
  }

  @Test("the clock does not run backwards")
  func clock() {
    var harness = FlowHarness()
    harness.send(udp(1, 1, 2, 2), at: 1000)
    let context = harness.send(udp(1, 1, 2, 2), at: 10)
    #expect(!context.isNewFlow)
    #expect(harness.tracker.flow(context.flow).lastTime == 1_000_000_000_000)
  }

  @Test("at the end of traffic each flow ends once")
  func finish() {
    var harness = FlowHarness()
    for port in UInt16(1)...100 { harness.send(udp(1, port, 2, 53)) }
    harness.tracker.finish()
    let flows = harness.ended()
    #expect(Set(flows.map(\.clientPort)) == Set(1...100) && flows.count == 100)
    #expect(flows.allSatisfy { $0.ending == .shutdown })
    #expect(harness.ended().isEmpty)
    #expect(harness.tracker.statistics.activeFlows == 0)
  }

  @Test("a seed makes flow numbers repeat; without one they do not")
  func identifiers() {
    func identifier(_ seed: UInt64?) -> UInt64 {
      var harness = FlowHarness { $0.hashSeed = seed }
      let context = harness.send(udp(1, 1, 2, 2))
      return harness.tracker.flow(context.flow).identifier
    }
    #expect(identifier(5) == identifier(5))
    #expect(identifier(5) != identifier(6))
    #expect(identifier(nil) != identifier(nil))
  }

  @Test("flow bits keep what was set, each for itself", arguments: [UInt8(0), 63, 64, 130, 255])
  func bits(_ bit: UInt8) {
    var harness = FlowHarness()
    let index = harness.send(udp(1, 1, 2, 2)).flow
    harness.tracker.withFlow(index) { $0.setBit(bit, to: true) }
    #expect((0...255).filter { harness.tracker.flow(index).hasBit(UInt8($0)) } == [Int(bit)])
    harness.tracker.withFlow(index) { $0.setBit(bit, to: false) }
    #expect((0...255).filter { harness.tracker.flow(index).hasBit(UInt8($0)) } == [])
  }

  @Test("a flood of flows stays within the cap, takes the silent ones first, and is counted")
  func flood() {
    var harness = FlowHarness { $0.flowMemoryCap = 1 << 18 }
    let capacity = UInt64(harness.tracker.flowCapacity)
    var packet = DecodedPacket()
    packet.transport = .udp
    packet.ipProtocol = 17
    packet.ipVersion = 4
    packet.destination = IPAddress(v4: 0x0A00_0001)
    packet.destinationPort = 53
    let count: UInt64 = 1_000_000
    for number in 0..<count {
      packet.source = IPAddress(v4: UInt32(truncatingIfNeeded: number))
      packet.sourcePort = UInt16(truncatingIfNeeded: number >> 4)
      _ = harness.tracker.track(packet, bytes: RawSpan(), time: 1_000_000_000 + number)
    }
    let statistics = harness.tracker.statistics
    #expect(statistics.flows == count)
    #expect(statistics.activeFlows <= capacity && statistics.activeFlows >= capacity - 1)
    #expect(statistics.evictions == count - statistics.activeFlows)
    #expect(statistics.withoutFlow == 0)
    // The last one is there.
    #expect(!harness.tracker.track(packet, bytes: RawSpan(), time: 2_000_000_000).isNewFlow)
  }

  @Test("broken and fragmented packets have no flow")
  func none() {
    var harness = FlowHarness()
    #expect(harness.send([0x45, 0, 0]).flow.isNone)
    #expect(
      harness.send(FrameBuilder.ipv4(protocol: 17, fragment: 0x2000, [UInt8](repeating: 0, count: 16))).flow.isNone)
    #expect(harness.send(FrameBuilder.ipv4(protocol: 6, [1, 2, 3])).flow.isNone)
    #expect(harness.tracker.statistics.flows == 0)
  }
}
