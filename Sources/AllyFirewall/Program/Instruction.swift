import AllyPacket

/// One step of a compiled policy, 16 bytes. Rules follow each other; a match that fails goes on at ``otherwise``, the next
/// rule of its chain.
struct Instruction: Sendable, BitwiseCopyable {
  enum Operation: UInt8, Sendable, BitwiseCopyable {
    /// `argument` 4 or 6: the IP header's version.
    case network
    /// A transport header is there, of a protocol in byte set `first`.
    case transport
    case ipProtocol
    case headerProtocol
    case icmpType
    case icmpCode
    /// Ranges `first ..< first + count` of their kind.
    case sourceAddress4
    case destinationAddress4
    case sourceAddress6
    case destinationAddress6
    case sourcePort
    case destinationPort
    /// `argument`: the states.
    case connectionState
    /// Test `first`.
    case tcpFlags
    /// Counter `first`.
    case counter
    /// Log statement `first`, of rule `count`.
    case log
    /// Verdicts, of rule `count`.
    case accept
    case drop
    /// Rejection `first`.
    case reject
    /// To instruction `first`, and back behind this one at the end of that chain.
    case jump
    case goto
    case `return`
    /// Goes on with the next rule.
    case `continue`
    /// The end of a chain: as `return`, of no rule.
    case end
  }

  var operation: Operation
  var isNegated = false
  var argument: UInt16 = 0
  var first: UInt32 = 0
  var count: UInt32 = 0
  var otherwise: UInt32 = 0
}

/// Addresses from `lower` to `upper`, both of which belong to it.
struct AddressRange4: Sendable, BitwiseCopyable {
  var lower: UInt32
  var upper: UInt32
}

struct AddressRange6: Sendable, BitwiseCopyable {
  var lower: UInt128
  var upper: UInt128
}

struct PortRange: Sendable, BitwiseCopyable {
  var lower: UInt16
  var upper: UInt16
}

/// A chain that packets enter by themselves, in the order in which they do.
struct BaseChain: Sendable, BitwiseCopyable {
  var seesReceive: Bool
  var seesTransmit: Bool
  var seesIPv4: Bool
  var seesIPv6: Bool
  var accepts: Bool
  /// Its first instruction.
  var start: UInt32
}

/// A policy as flat arrays, without a name or a text in it but what logging needs.
struct Program: Sendable {
  var instructions: [Instruction] = []
  var byteSets: [ByteSet] = []
  var addresses4: [AddressRange4] = []
  var addresses6: [AddressRange6] = []
  var ports: [PortRange] = []
  var flagTests: [TCPFlagsTest] = []
  var rejections: [Rejection] = []
  /// In the order in which packets enter them.
  var baseChains: [BaseChain] = []
  /// What the `counter` statements start with, in the order of the text.
  var counters: [PacketCount] = []
  var logs: [LogStatement] = []
  /// How many rules there are; they are numbered in the order of the text.
  var ruleCount = 0
  var usesConnectionState = false

  /// The most chains that one packet may be in at once (as in nft).
  static let maximumDepth = 16
  /// The most instructions that one packet may take: what bounds the work per frame.
  static let maximumSteps = 1_000_000
}
