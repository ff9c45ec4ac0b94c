/// What EVE records hold beyond the least: the options of `outputs.eve-log` and of its types. The defaults are those of a
/// run without a configuration.
public struct RecordOptions: Sendable {
  /// `alert`.
  public struct Alert: Sendable {
    /// `payload`, `payload-printable`: the payload, or the stream data, that the rule matched in.
    public var payload = true
    public var payloadPrintable = true
    /// `payload-buffer-size`: bytes of stream data at most.
    public var payloadBytes = 4096
    /// `packet`: the frame.
    public var packet = true
    /// `http-body`, `http-body-printable`: the body of the transaction that the rule matched in.
    public var httpBody = false
    public var httpBodyPrintable = false
    /// `tagged-packets`: packets that come after an alert of a rule with `tag` (event type `packet`).
    public var taggedPackets = true
    /// `metadata.app-layer`: what is known of the transaction.
    public var application = true
    /// `metadata.flow`: the flow's counters so far.
    public var flow = true
    /// `metadata.rule.metadata`: the rule's `metadata`.
    public var ruleMetadata = true
    /// `metadata.rule.raw`: the rule's text.
    public var ruleText = false
    /// `metadata.rule.reference`: the rule's references.
    public var ruleReferences = false
    /// `verdict`: what became of the packet.
    public var verdict = false

    public init() {}
  }

  /// `drop`.
  public struct Drop: Sendable {
    /// `alerts`: with the alert that dropped the packet.
    public var alerts = true
    /// `flows: all`: every packet of a dropped flow; else the first of each side and those that a rule drops.
    public var everyPacket = false
    public var verdict = false

    public init() {}
  }

  /// `http`.
  public struct HTTP: Sendable {
    public var extended = true
    /// `custom`: header fields by their names in Suricata's list (`accept-encoding`, `org-src-ip`, …).
    public var custom: [String] = []
    public enum HeaderDump: String, Sendable { case none, both, request, response }
    /// `dump-all-headers`.
    public var headers = HeaderDump.none

    public init() {}
  }

  /// `dns`.
  public struct DNS: Sendable {
    /// `version`: 2 writes `query` and `answer`, 3 `request` and `response`.
    public var version = 2
    public var requests = true
    public var responses = true
    /// `formats`: answers one by one, and by their types.
    public var detailed = true
    public var grouped = true
    /// `types`: names of record types that are written; empty for all.
    public var types: [String] = []

    public init() {}
  }

  /// `tls`.
  public struct TLS: Sendable {
    public var extended = true
    /// `custom`: exactly these fields.
    public var custom: [String] = []
    /// `session-resumption`: connections without a certificate of their own.
    public var sessionResumption = true
    public var ja4 = false

    public init() {}
  }

  /// `smtp`.
  public struct SMTP: Sendable {
    public var extended = true
    /// `custom`: header fields by their names in Suricata's list.
    public var custom: [String] = []
    /// `md5`: `body`, `subject`.
    public var digests: [String] = []

    public init() {}
  }

  /// `files`.
  public struct Files: Sendable {
    public var magic = false
    /// `force-hash`.
    public var md5 = false
    public var sha1 = false
    public var sha256 = false

    public init() {}
  }

  public var alert = Alert()
  public var drop = Drop()
  public var http = HTTP()
  public var dns = DNS()
  public var tls = TLS()
  public var smtp = SMTP()
  public var files = Files()
  /// The other types with `extended: yes` (`dhcp`).
  public var extended: RecordKinds = []
  /// Types with `passwords: yes` (`mqtt`, `pgsql`).
  public var passwords: RecordKinds = [.mqtt]
  /// `ja4` of `quic`.
  public var quicJA4 = false
  /// `packethdr` of `anomaly`: the packet's headers.
  public var anomalyPacket = false
  /// `community-id`, `community-id-seed`: the seed when records carry a community id; nil when they do not.
  public var communityIDSeed: UInt16?
  /// `ethernet`: the hardware addresses of the frame.
  public var ethernet = false
  /// `metadata` of `eve-log`: flow bits and flow integers.
  public var stateBits = true
  /// `pcap-file`: the capture's name; nil when records do not carry it.
  public var captureName: String?
  /// `xff`: the address that a proxy says it speaks for.
  public var forwarded: ForwardedFor?

  /// `xff` of HTTP.
  public struct ForwardedFor: Sendable {
    /// `mode: overwrite`: it takes the address's place; else it is a field of its own.
    public var overwrites = false
    /// `deployment: forward`: the first address of the header; else the last.
    public var isForward = false
    public var header = "X-Forwarded-For"

    public init() {}
  }

  public init() {}
}
