import AllyPacket
import Testing

@testable import AllyDPI

/// What one engine dropped, another goes on dropping that has its memory.
@Suite struct DroppedFlowTests {
  private static let rules = "drop tcp any any -> any any (flow:established; content:\"attack\"; sid:1;)"

  /// Zeros for an engine and its successors.
  @safe
  private final class Memory {
    let bytes: UnsafeMutableRawBufferPointer

    init() {
      unsafe bytes = .allocate(byteCount: DPIEngine.droppedFlowMemory, alignment: 16)
      unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { unsafe bytes.deallocate() }
  }

  private func engine(_ memory: Memory) throws -> TestEngine {
    unsafe try TestEngine(Self.rules, droppedFlows: memory.bytes) { $0.isInline = true }
  }

  @Test func aSuccessorGoesOnDropping() throws {
    let memory = Memory()
    var blocked = Connection()
    var other = Connection(clientPort: 41_000)
    do {
      var first = try engine(memory)
      blocked.open(&first)
      other.open(&first)
      #expect(blocked.client("attack", &first) == .drop)
      #expect(other.client("fine", &first) == .accept)
    }
    var next = try engine(memory)
    next.takeOverConnections()
    #expect(blocked.client("more", &next) == .drop)
    #expect(blocked.server("an answer", &next) == .drop)
    #expect(other.client("fine", &next) == .accept)
    // And one after that, which sees it for the first time after a pause.
    var third = try engine(memory)
    third.takeOverConnections()
    #expect(blocked.client("still", &third) == .drop)
  }

  @Test func anEngineWithoutPredecessorKnowsNothing() throws {
    let memory = Memory()
    var blocked = Connection()
    var first = try engine(memory)
    blocked.open(&first)
    #expect(blocked.client("attack", &first) == .drop)
    var other = try engine(memory)
    #expect(blocked.client("more", &other) == .accept)
  }

  /// Inline, as `exception-policy: auto` has it.
  @Test func connectionsOfBeforeGoOnAsIfPickedUpInTheMiddle() throws {
    var known = Connection()
    var first = try TestEngine(Self.rules) { $0.isInline = true }
    known.open(&first)
    #expect(known.client("fine", &first) == .accept)

    func strict() throws -> TestEngine {
      try TestEngine(Self.rules) { configuration in
        configuration.isInline = true
        configuration.midstreamPolicy = .dropFlow
      }
    }
    var stranger = known
    var other = try strict()
    #expect(stranger.client("more", &other) == .drop, "nobody has taken over: it has no handshake")

    var next = try strict()
    next.takeOverConnections()
    #expect(known.client("more", &next) == .accept)
    #expect(known.server("an answer", &next) == .accept)
    #expect(known.client("att", &next) == .accept)
    #expect(known.client("ack", &next) == .drop, "its streams are inspected")
  }

  /// As long as the flow would have been remembered.
  @Test func whatIsSilentForLongIsForgotten() {
    let memory = Memory()
    let flows = unsafe DroppedFlows(in: memory.bytes)
    flows.note(7, until: 100)
    #expect(flows.contains(7, at: 100) && !flows.contains(7, at: 101) && !flows.contains(8, at: 1))
    flows.note(7, until: 200)
    #expect(flows.contains(7, at: 150))
  }

  /// Where too many flows meet, the one that is silent for longest gives way.
  @Test func theOldestGivesWay() {
    let memory = Memory()
    let flows = unsafe DroppedFlows(in: memory.bytes)
    for number in 0..<9 { flows.note(5 + UInt64(number) << 32, until: 100 + UInt64(number)) }
    #expect(!flows.contains(5, at: 1))
    for number in 1..<9 { #expect(flows.contains(5 + UInt64(number) << 32, at: 1)) }
  }
}
