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
  /// What the flow's application protocol must be, from the header, `service` and the options; nil for whatever it is.
  public var applicationProtocols: ApplicationProtocolSet? = nil
  /// Snort's `service`: once the protocol is known, the header's ports do not count.
  public var servicesReplacePorts: Bool = false
  /// The side that `flow` names, else the one that alone has the buffers of the rule; nil for both.
  public var side: FlowMatch.Side? = nil

  public var sid: UInt32 = 0
  public var gid: UInt32 = 1
  /// 0 when the rule does not say.
  public var rev: UInt32 = 0
  public var message: String = ""
  /// As written; it may be one that no classification knows.
  public var classtype: String? = nil
  /// 1 is the highest; from `priority`, else from the classification, else 3.
  public var priority: UInt32 = 3
  /// The classification's description, for `alert.category`; empty without.
  public var category: String = ""
  /// `reference` options in their order.
  public var references: [RuleReference] = []
  /// `metadata` pairs in their order; a word without a value is not kept, as Suricata does not record it.
  public var metadata: [(key: String, value: String)] = []
  /// All options that take part in matching, in their order.
  public var options: [RuleOption] = []
  /// The names that `byte_extract` and `byte_math` define; ``RuleValue/variable(_:)`` is an index into it.
  public var byteVariables: [String] = []
  /// The first `threshold` or `detection_filter`, or the `threshold` of a threshold file.
  public var threshold: Threshold? = nil
  /// What follows it: each is asked in turn, and the first that holds back decides.
  public var furtherThresholds: [Threshold] = []
  /// `rate_filter` of a threshold file.
  public var rateFilter: RateFilter? = nil
  /// `suppress` lines of a threshold file.
  public var suppressions: [Suppression] = []
  /// `target`: which side the attack is aimed at, for records.
  public var target: Target? = nil
  /// `noalert`, `flowbits:noalert`: the rule matches without writing a record.
  public var noAlert: Bool = false
  /// `alert`: a rule of another action writes a record besides.
  public var alsoAlerts: Bool = false
  public var tag: Tag? = nil
  /// `tag` options behind the first.
  public var furtherTags: [Tag] = []
  /// `filestore`: files are kept; it changes no verdict.
  public var storesFiles: Bool = false
  /// `config: logging disable`: the transaction has no record of its own.
  public var silencesRecord: Bool = false
  /// `bypass`: behind a match the flow is not inspected any more.
  public var bypasses: Bool = false
  /// The rule's text, for records that carry it; continuation lines are joined, bytes that are not UTF-8 replaced.
  public var text: String = ""

  /// The side that `target` names.
  public enum Target: Sendable { case source, destination }
}

/// `reference`: a scheme such as `cve` or `url`, and what stands after the comma.
public struct RuleReference: Sendable, Equatable {
  public var scheme: String
  public var value: String
  public init(scheme: String, value: String) {
    self.scheme = scheme
    self.value = value
  }
}

/// Where something stands in a rule file: for messages.
public struct RuleLocation: Sendable, Hashable {
  public var file: String
  /// From 1.
  public var line: Int
  /// From 1, in characters of UTF-8; a byte that is none counts as one.
  public var column: Int
  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }
}

/// What a rule asks for when it matches. `reject` is `rejectsrc`; `config` asks for nothing but what its `config` option says.
public enum RuleAction: String, Sendable, CaseIterable {
  case alert, pass, drop, reject, rejectsrc, rejectdst, rejectboth, config
}

/// The protocol in a rule's header.
public enum RuleProtocol: String, Sendable, CaseIterable {
  case ip
  /// Also written `ipv4`, `ipv6`.
  case ip4, ip6
  case tcp, udp, sctp
  /// ICMP of both families.
  case icmp
  case icmpv4, icmpv6
  /// Packets that did not decode, too.
  case pkthdr
  /// TCP packets only, never the reassembled stream.
  case tcpPkt = "tcp-pkt"
  /// The reassembled stream only.
  case tcpStream = "tcp-stream"
}

/// `->` and `<>`.
public enum RuleDirection: Sendable { case forward, both }
