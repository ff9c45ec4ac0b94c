public import AllyPacket

/// One signature as written in a rule file: the header, and the options in their order.
///
/// Rules are cold: they are read, checked, and compiled into a ``DetectionProgram``; nothing on the packet path looks at
/// them.
public struct Rule: Sendable {
  public var location: RuleLocation
  public var action: RuleAction
  public var ruleProtocol: RuleProtocol
  public var source: AddressList
  public var sourcePorts: PortList
  public var direction: RuleDirection
  public var destination: AddressList
  public var destinationPorts: PortList

  public var sid: UInt32 = 0
  public var gid: UInt32 = 1
  public var rev: UInt32 = 0
  public var message: String = ""
  public var classtype: String? = nil
  /// 1 (highest) to 255; from `priority`, else from the classification, else 3.
  public var priority: UInt8 = 3
  /// The classification's description, for `alert.category`; empty without.
  public var category: String = ""
  public var references: [String] = []
  /// `metadata` pairs in their order.
  public var metadata: [(key: String, value: String)] = []
  /// All options that take part in matching, in their order.
  public var options: [RuleOption] = []
  /// `threshold` or `detection_filter`, at most one.
  public var threshold: Threshold? = nil
  /// `noalert`: the rule matches without writing a record.
  public var noAlert: Bool = false
  /// The rule's text, for records that carry it.
  public var text: String = ""
}

/// Where something stands in a rule file: for messages.
public struct RuleLocation: Sendable, Hashable {
  public var file: String
  /// From 1.
  public var line: Int
  /// From 1, in characters.
  public var column: Int
  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }
}

public enum RuleAction: String, Sendable, CaseIterable {
  case alert, pass, drop, reject, rejectsrc, rejectdst, rejectboth
}

/// The protocol in a rule's header.
public enum RuleProtocol: String, Sendable, CaseIterable {
  case ip, ip4, ip6, tcp, udp, icmp, icmpv4, icmpv6, sctp
  /// Packets that did not decode, too.
  case pkthdr
  /// TCP packets only, never the reassembled stream.
  case tcpPkt = "tcp-pkt"
  /// The reassembled stream only.
  case tcpStream = "tcp-stream"
}

public enum RuleDirection: Sendable { case forward, both }

/// Ranges of addresses with those to leave out: matches an address that lies in one of `included` and in none of
/// `excluded`. Variables and nesting are already resolved; `any` is one range of everything.
public struct AddressList: Sendable, Equatable {
  public struct Range: Sendable, Equatable {
    public var first: IPAddress
    public var last: IPAddress
    public init(first: IPAddress, last: IPAddress) {
      self.first = first
      self.last = last
    }
  }
  public var included: [Range]
  public var excluded: [Range]
  /// As written, for the order of rules that look at addresses alone.
  public var isAny: Bool
  public init(included: [Range], excluded: [Range], isAny: Bool) {
    self.included = included
    self.excluded = excluded
    self.isAny = isAny
  }
}

/// Ports of a rule, likewise resolved.
public struct PortList: Sendable, Equatable {
  public var included: [ClosedRange<UInt16>]
  public var excluded: [ClosedRange<UInt16>]
  public var isAny: Bool
  public init(included: [ClosedRange<UInt16>], excluded: [ClosedRange<UInt16>], isAny: Bool) {
    self.included = included
    self.excluded = excluded
    self.isAny = isAny
  }
}

/// Which bytes a content or pattern is looked for in. The next buffers (`http.uri`, …) become new cases.
public enum InspectionBuffer: Sendable, Hashable {
  /// The packet's payload, or the reassembled stream.
  case payload
}

/// An option that takes part in matching.
public enum RuleOption: Sendable {
  case content(ContentMatch)
  case pcre(PatternMatch)
  case dsize(NumberMatch)
  case tcpFlags(TCPFlagsMatch)
  case flow(FlowMatch)
  case ttl(NumberMatch)
  case icmpType(NumberMatch)
  case icmpCode(NumberMatch)
  /// Protocol number; `!`, `<`, `>` as in ``NumberMatch``.
  case ipProtocol(NumberMatch)
}

/// `content` with its modifiers.
public struct ContentMatch: Sendable {
  public var buffer: InspectionBuffer = .payload
  /// The literal, escapes and hex resolved; never empty.
  public var bytes: [UInt8]
  public var isNegated: Bool = false
  public var isCaseless: Bool = false
  public var isRaw: Bool = false
  /// `startswith` is offset 0 with depth of the length; it is kept apart for error messages.
  public var startsWith: Bool = false
  public var endsWith: Bool = false
  /// Absolute: first byte at which the match may begin.
  public var offset: Int? = nil
  /// Absolute: the match lies within this many bytes from `offset`.
  public var depth: Int? = nil
  /// Relative to the end of the previous match.
  public var distance: Int? = nil
  /// Relative: the match ends within this many bytes from the previous match's end plus `distance`.
  public var within: Int? = nil
  public var fastPattern: FastPattern? = nil
  public var location: RuleLocation

  public var isRelative: Bool { distance != nil || within != nil }

  public struct FastPattern: Sendable {
    /// `fast_pattern:only`.
    public var only: Bool = false
    /// `fast_pattern:offset,length`: the part of the literal to search for.
    public var chop: Range<Int>? = nil
    public init(only: Bool = false, chop: Range<Int>? = nil) {
      self.only = only
      self.chop = chop
    }
  }

  public init(bytes: [UInt8], location: RuleLocation) {
    self.bytes = bytes
    self.location = location
  }
}

/// `pcre`.
public struct PatternMatch: Sendable {
  public var buffer: InspectionBuffer = .payload
  /// Between the delimiters, as written.
  public var pattern: [UInt8]
  public var isNegated: Bool = false
  public var caseless: Bool = false  // i
  public var dotAll: Bool = false  // s
  public var multiline: Bool = false  // m
  public var extended: Bool = false  // x
  public var anchored: Bool = false  // A
  public var dollarEndOnly: Bool = false  // E
  public var ungreedy: Bool = false  // G
  public var relative: Bool = false  // R
  public var location: RuleLocation

  public init(pattern: [UInt8], location: RuleLocation) {
    self.pattern = pattern
    self.location = location
  }
}

/// A comparison with one or two numbers, as `dsize`, `ttl`, `itype` … write it.
public enum NumberMatch: Sendable, Equatable {
  case equal(UInt32)
  case notEqual(UInt32)
  case less(UInt32)
  case lessOrEqual(UInt32)
  case greater(UInt32)
  case greaterOrEqual(UInt32)
  /// Inclusive at both ends, whatever the keyword's own notation is: the reader converts.
  case range(ClosedRange<UInt32>)
  case notRange(ClosedRange<UInt32>)

  @inlinable
  public func matches(_ value: UInt32) -> Bool {
    switch self {
    case .equal(let n): value == n
    case .notEqual(let n): value != n
    case .less(let n): value < n
    case .lessOrEqual(let n): value <= n
    case .greater(let n): value > n
    case .greaterOrEqual(let n): value >= n
    case .range(let r): r.contains(value)
    case .notRange(let r): !r.contains(value)
    }
  }
}

/// `flags:[!|*|+]FSRPAUCE0[,MASK]`.
public struct TCPFlagsMatch: Sendable, Equatable {
  public enum Modifier: Sendable { case exactly, any, all, not }
  public var flags: UInt8
  /// Bits to look away from.
  public var ignored: UInt8
  public var modifier: Modifier
  public init(flags: UInt8, ignored: UInt8, modifier: Modifier) {
    self.flags = flags
    self.ignored = ignored
    self.modifier = modifier
  }
}

/// `flow`.
public struct FlowMatch: Sendable, Equatable {
  public enum State: Sendable { case established, notEstablished, stateless }
  public enum Side: Sendable { case toServer, toClient }
  public var state: State? = nil
  public var side: Side? = nil
  public var onlyStream: Bool = false
  public var noStream: Bool = false
  public var onlyFragments: Bool = false
  public var noFragments: Bool = false
  public init() {}
}

/// `threshold` and `detection_filter`.
public struct Threshold: Sendable, Equatable {
  public enum Kind: Sendable { case limit, threshold, both, detectionFilter, rate }
  public enum Track: Sendable { case bySource, byDestination, byBoth, byRule, byFlow }
  public var kind: Kind
  public var track: Track
  public var count: UInt32
  public var seconds: UInt32
  public init(kind: Kind, track: Track, count: UInt32, seconds: UInt32) {
    self.kind = kind
    self.track = track
    self.count = count
    self.seconds = seconds
  }
}
