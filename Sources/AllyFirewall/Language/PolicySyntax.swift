import AllyPacket

/// A policy as it was written: variables replaced, values read, names of chains and sets not yet looked up.
struct PolicySyntax: Sendable {
  var tables: [TableSyntax] = []
}

/// Which packets a table sees.
enum TableFamily: String, Sendable {
  case ip
  case ip6
  case inet
}

struct TableSyntax: Sendable {
  var family: TableFamily
  var name: String
  var sets: [SetSyntax] = []
  var chains: [ChainSyntax] = []
}

struct SetSyntax: Sendable {
  var name: String
  var type: ValueType
  var hasIntervals = false
  var mergesIntervals = false
  var elements: [ValueRange] = []
  /// As a listing writes them.
  var listedElements: [String] = []
}

struct ChainSyntax: Sendable {
  var name: String
  /// For a chain that packets enter by themselves.
  var base: BaseChainSyntax?
  var rules: [RuleSyntax] = []
}

struct BaseChainSyntax: Sendable {
  var hook: FirewallHook
  var priority: Int
  var listedPriority: String
  /// Whether packets that no rule decides about pass.
  var accepts = true
}

struct RuleSyntax: Sendable {
  var line: Int
  var steps: [StepSyntax] = []
  var listed: [ListedPiece] = []
}

/// A piece of a rule as a listing writes it.
enum ListedPiece: Sendable, Equatable {
  case text(String)
  /// `counter`, the how-manieth of its rule, followed by its numbers.
  case counter(Int)
}

/// One step of a rule; steps run from left to right until one does not match.
enum StepSyntax: Sendable {
  case network(ipv4: Bool)
  /// The packet's transport header is there and of one of these protocols.
  case transport(ByteSet)
  case match(FieldSyntax, OperandSyntax, negated: Bool)
  case connectionState(ConnectionStateSet, negated: Bool)
  case tcpFlags(TCPFlagsTest)
  case counter(packets: UInt64, bytes: UInt64)
  case log(LogStatement)
  case verdict(VerdictSyntax)
}

enum FieldSyntax: Sendable {
  case sourceAddress(ValueType)
  case destinationAddress(ValueType)
  case sourcePort
  case destinationPort
  case ipProtocol
  case headerProtocol
  case icmpType(ValueType)
  case icmpCode(ValueType)

  var type: ValueType {
    switch self {
    case .sourceAddress(let type), .destinationAddress(let type), .icmpType(let type), .icmpCode(let type): type
    case .sourcePort, .destinationPort: .service
    case .ipProtocol, .headerProtocol: .ipProtocol
    }
  }
}

enum OperandSyntax: Sendable {
  case ranges([ValueRange])
  case namedSet(Token)
}

enum VerdictSyntax: Sendable {
  case accept
  case drop
  case reject(Rejection)
  case jump(Token)
  case goto(Token)
  case `return`
  /// Goes on with the next rule.
  case `continue`
}

/// A comparison of TCP's control bits.
struct TCPFlagsTest: Sendable, BitwiseCopyable, Equatable {
  enum Comparison: UInt8, Sendable, BitwiseCopyable {
    /// Any of `value` is set.
    case any
    /// `bits & mask` is `value`.
    case equal
    case notEqual
  }

  var comparison: Comparison
  var mask: UInt8
  var value: UInt8

  @inline(__always)
  func matches(_ bits: UInt8) -> Bool {
    switch comparison {
    case .any: bits & value != 0
    case .equal: bits & mask == value
    case .notEqual: bits & mask != value
    }
  }
}
