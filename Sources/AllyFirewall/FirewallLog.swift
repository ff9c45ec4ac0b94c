public import AllyPacket

/// One `log` statement that a packet ran into.
public struct FirewallLogEvent: Sendable, BitwiseCopyable {
  public var stamp: FrameStamp
  public var direction: Direction
  /// The `log` statement, the how-manieth of the policy from 0; ``FirewallPolicy/logStatements`` has its text.
  public var statement: Int
  /// The rule, the how-manieth of the policy from 0; ``FirewallPolicy/rules`` has its place.
  public var rule: Int
  /// What connection tracking said.
  public var connectionState: ConnectionStateSet
  /// The packet.
  public var layers: PacketLayers
}

/// Log events between the core that inspects and whoever writes them down: a ring of fixed size. When it is full, new
/// events are lost and counted.
@safe
struct LogQueue: ~Copyable {
  private let memory: UnsafeMutablePointer<FirewallLogEvent>
  private let capacity: Int
  private var head = 0
  private var count = 0
  private(set) var lost: UInt64 = 0

  init(capacity: Int) {
    self.capacity = max(capacity, 1)
    unsafe memory = .allocate(capacity: self.capacity)
  }

  deinit { unsafe memory.deallocate() }

  mutating func append(_ event: FirewallLogEvent) {
    guard count < capacity else {
      lost &+= 1
      return
    }
    var slot = head &+ count
    if slot >= capacity { slot &-= capacity }
    // 0 <= slot < capacity; events are plain values, so that overwriting an old one releases nothing.
    unsafe (memory + slot).initialize(to: event)
    count &+= 1
  }

  mutating func next() -> FirewallLogEvent? {
    guard count > 0 else { return nil }
    defer {
      head = head &+ 1 == capacity ? 0 : head &+ 1
      count &-= 1
    }
    return unsafe memory[head]
  }
}
