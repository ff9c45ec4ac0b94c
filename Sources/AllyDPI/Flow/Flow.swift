import AllyPacket

/// A flow's place in its ``FlowTable``. Valid until the flow ends.
struct FlowIndex: BitwiseCopyable, Sendable, Hashable {
  var rawValue: UInt32
  static var none: FlowIndex { FlowIndex(rawValue: .max) }
  /// A flow that there was: not to be looked up.
  static var ended: FlowIndex { FlowIndex(rawValue: .max - 1) }
  var isNone: Bool { rawValue == .max }
}

/// Which way a packet runs in its flow: by who spoke first, or for TCP by who opened the connection.
enum FlowSide: UInt8, BitwiseCopyable, Sendable {
  case toServer, toClient

  var opposite: FlowSide { self == .toServer ? .toClient : .toServer }
}

/// A conversation between two endpoints.
struct Flow: BitwiseCopyable, Sendable {
  /// The number for records: 53 bits, so that JSON readers keep it exact.
  var identifier: UInt64
  /// That of the flow that announced this one; 0 for none.
  var parent: UInt64 = 0
  var client: IPAddress
  var server: IPAddress
  var clientPort: UInt16
  var serverPort: UInt16
  var ipProtocol: UInt8
  var state: State = .new
  /// Why it ended; of use only for flows from ``ConnectionTracker/nextEndedFlow()``.
  var ending: Ending = .none
  var flags: Flags = []
  /// VLAN ids as in ``FlowKey/vlan``.
  var vlan: UInt32
  /// ICMP type and code of the first packet of either side.
  var icmp: (type: UInt8, code: UInt8, replyType: UInt8, replyCode: UInt8) = (0, 0, 0, 0)

  /// Of ESP; 0 for other protocols.
  var securityParametersIndex: UInt32 = 0

  var packetsToServer: UInt64 = 0
  var packetsToClient: UInt64 = 0
  var bytesToServer: UInt64 = 0
  var bytesToClient: UInt64 = 0
  /// Nanoseconds since 1970.
  var firstTime: UInt64
  var lastTime: UInt64

  /// The smallest and largest hop limit of each side.
  var hopLimits = HopLimits()
  /// All flags that TCP segments of each side had, and how far the connection came.
  var tcpFlagsToServer: UInt8 = 0
  var tcpFlagsToClient: UInt8 = 0
  var tcpState = TCPConnection.State.none
  /// Bytes of a side's stream are missing for good.
  var hasGapToServer = false
  var hasGapToClient = false

  /// The TCP session's place in the stream pool.
  var stream: UInt32 = .max
  /// For the application-layer state of the engine; the flow table does not look at it.
  var application: UInt32 = .max
  /// The protocol that was found, by its place in ``ApplicationParsers/all``; kept for records.
  var protocolNumber: UInt8 = ApplicationParsers.none
  /// What each of its sides was found to speak, and what was spoken before.
  var protocols = FlowProtocols()
  /// Flow bits 0 to 255.
  var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  enum State: UInt8, BitwiseCopyable, Sendable { case new, established, closed }

  struct HopLimits: BitwiseCopyable, Sendable {
    var leastToServer: UInt8 = .max
    var mostToServer: UInt8 = 0
    var leastToClient: UInt8 = .max
    var mostToClient: UInt8 = 0

    mutating func swapSides() {
      swap(&leastToServer, &leastToClient)
      swap(&mostToServer, &mostToClient)
    }

    @inline(__always)
    mutating func take(_ value: UInt8, from side: FlowSide) {
      if side == .toServer {
        leastToServer = min(leastToServer, value)
        mostToServer = max(mostToServer, value)
      } else {
        leastToClient = min(leastToClient, value)
        mostToClient = max(mostToClient, value)
      }
    }
  }

  enum Ending: UInt8, BitwiseCopyable, Sendable {
    case none
    /// Silent for longer than its state allows.
    case timeout
    /// Gave way to a new flow at the memory cap.
    case evicted
    /// A new connection took its endpoints.
    case reused
    /// The traffic ended.
    case shutdown
  }

  struct Flags: OptionSet, BitwiseCopyable, Sendable {
    let rawValue: UInt32
    static var seenToServer: Flags { Flags(rawValue: 1) }
    static var seenToClient: Flags { Flags(rawValue: 2) }
    /// Every later packet is dropped (decision 11).
    static var drop: Flags { Flags(rawValue: 4) }
    /// Every later packet passes without inspection.
    static var pass: Flags { Flags(rawValue: 8) }
    /// Rules that look at addresses alone have been evaluated for this side.
    static var addressRulesToServer: Flags { Flags(rawValue: 16) }
    static var addressRulesToClient: Flags { Flags(rawValue: 32) }
    /// An alert was written for the flow.
    static var alerted: Flags { Flags(rawValue: 64) }
    /// A drop record was written for this side.
    static var dropRecordedToServer: Flags { Flags(rawValue: 256) }
    static var dropRecordedToClient: Flags { Flags(rawValue: 512) }
    /// Neither inspected nor followed any more (`bypass`).
    static var bypassed: Flags { Flags(rawValue: 4096) }
    /// Bits beyond 255, or numbers, were set for the flow: they lie in a table.
    static var hasNotes: Flags { Flags(rawValue: 8192) }
    /// Rules on what a side was found to speak have been evaluated.
    static var protocolToldToServer: Flags { Flags(rawValue: 16384) }
    static var protocolToldToClient: Flags { Flags(rawValue: 32768) }
    static func protocolTold(_ side: FlowSide) -> Flags {
      side == .toServer ? .protocolToldToServer : .protocolToldToClient
    }
    /// What a side sends is encrypted: rules on payloads do not look at it any more.
    static var encryptedToServer: Flags { Flags(rawValue: 128) }
    static var encryptedToClient: Flags { Flags(rawValue: 65536) }
    static func encrypted(_ side: FlowSide) -> Flags { side == .toServer ? .encryptedToServer : .encryptedToClient }
  }

  /// Takes the other side for the client.
  mutating func swapSides() {
    swap(&client, &server)
    swap(&clientPort, &serverPort)
    swap(&packetsToServer, &packetsToClient)
    swap(&bytesToServer, &bytesToClient)
    swap(&tcpFlagsToServer, &tcpFlagsToClient)
    swap(&hasGapToServer, &hasGapToClient)
    hopLimits.swapSides()
    protocols.swapSides()
    let seen = flags.intersection([.seenToServer, .seenToClient])
    if seen == .seenToServer || seen == .seenToClient {
      flags.subtract(seen)
      flags.formUnion(seen == .seenToServer ? .seenToClient : .seenToServer)
    }
  }

  /// Whether flow bit `bit` (0 to 255) is set.
  func hasBit(_ bit: UInt8) -> Bool { word(bit) & 1 &<< UInt64(bit & 63) != 0 }

  mutating func setBit(_ bit: UInt8, to value: Bool) {
    let mask: UInt64 = 1 &<< UInt64(bit & 63)
    let new = value ? word(bit) | mask : word(bit) & ~mask
    switch bit &>> 6 {
    case 0: bits.0 = new
    case 1: bits.1 = new
    case 2: bits.2 = new
    default: bits.3 = new
    }
  }

  private func word(_ bit: UInt8) -> UInt64 {
    switch bit &>> 6 {
    case 0: bits.0
    case 1: bits.1
    case 2: bits.2
    default: bits.3
    }
  }
}
