/// What an operator sets on the engine; the defaults are Suricata's.
public struct DPIConfiguration: Sendable {
  /// Rule variables, by name without `$`: the text after `=`. `HOME_NET`, `EXTERNAL_NET` and the usual server and port
  /// groups are there from the start.
  public var addressVariables: [String: String]
  public var portVariables: [String: String]
  /// Which rules come first (`action-order`); actions left out come last.
  public var actionOrder: [RuleAction] = [.pass, .drop, .reject, .alert]
  /// `-k none` clears it: packets whose checksum is wrong then take part.
  public var validatesChecksums = true
  /// `pcap-file.checksum-checks: auto`: when more than a tenth of the first ``checksumSample`` frames have a wrong checksum of
  /// TCP, the capture was taken in front of a network card that computes them, and frames' own are not looked at any more; those of what
  /// tunnels carry are. For captures alone.
  public var doubtsChecksums = false
  /// `pcap-file.checksum-checks: no`: to rules on checksums (`ipv4-csum`, …) every one is right. What ``validatesChecksums`` says is
  /// about streams and changes nothing for them.
  public var trustsChecksums = false
  /// Frames after which that is decided.
  public static var checksumSample: UInt64 { 1000 }
  /// `--simulate-ips`, `--inline`: `drop` and `reject` rules act on the frame.
  public var isInline = false
  /// `stream.inline`: stream data is looked at as it comes, not when it is acknowledged; nil for inline engines alone.
  public var streamInline: Bool?
  /// `stream.midstream`: TCP connections without a seen handshake are picked up.
  public var midstream = false
  /// `stream.midstream-policy`: what becomes of TCP connections without a seen handshake. As of every such policy,
  /// those that stop traffic mean `ignore` to an engine that is not inline.
  public var midstreamPolicy = ExceptionPolicy.ignore
  /// `app-layer.error-policy`: what becomes of flows whose application turns out to be none that its parser knows.
  public var applicationPolicy = ExceptionPolicy.ignore
  /// `stream.async-oneside`.
  public var asyncOneSide = false
  /// Bytes of each direction that are reassembled; 0 for all.
  public var reassemblyDepth: UInt32 = 1 << 20
  /// `decoder.teredo`, `decoder.vxlan`, `decoder.geneve`.
  public var tunnels = TunnelSettings()
  /// `vlan.use-for-tracking`: packets with other VLAN ids are of other flows.
  public var tracksVLANs = true
  /// `defrag.timeout`: seconds that a datagram waits for its next fragment.
  public var defragmentationTimeout: UInt32 = 60
  /// `host-os-policy`: what hosts run.
  public var hostSystems = HostSystems()
  /// `flow-timeouts`.
  public var flowTimeouts = FlowTimeouts()
  /// Caps in bytes.
  public var flowMemoryCap = 128 << 20
  public var streamMemoryCap = 64 << 20
  public var reassemblyMemoryCap = 256 << 20
  public var defragmentationMemoryCap = 32 << 20
  /// Seeds the flow hash; chosen at random when nil.
  public var hashSeed: UInt64? = nil
  /// Records for one packet at most (`packet-alert-max`); what ranks behind is counted.
  public var maximumAlertsPerPacket = 15
  /// Counts of thresholds, and bits of hosts and pairs of hosts, that are kept; older ones give way.
  public var thresholdEntries = 1 << 14
  public var stateBitEntries = 1 << 14
  /// Which kinds of EVE records are written. Drops are recorded inline only.
  public var records: RecordKinds = [.alerts, .drops]
  /// What EVE records hold beyond the least.
  public var recordOptions = RecordOptions()
  /// Reads a file that a rule names, such as the one behind `load`; a name without a folder is meant beside the rule's own
  /// file. nil when it cannot be read.
  public var readResource: @Sendable (_ name: String, _ place: RuleLocation) -> [UInt8]? = { _, _ in nil }
  /// `pcre.match-limit`, `pcre.match-limit-recursion`: how often a search may back up, and how deep it may nest, before it is given up.
  public var patternMatchLimit: UInt32 = 3500
  public var patternDepthLimit: UInt32 = 1500
  /// `detect.inspection-recursion-limit`: attempts to match a rule's payload options.
  public var attemptLimit = 3000
  /// `datasets`: sets that rules can name without saying what they are.
  public var dataSets: [DataSetSetting] = []
  /// What is known of addresses (`reputation-files`), for `iprep`.
  public var addressReputations = AddressReputations()
  /// `asn1-max-frames`: objects within each other, and one behind the other, that `asn1` looks at.
  public var asn1Depth: UInt16 = 30
  /// What parsers of application protocols keep.
  public var application = ApplicationLimits()
  /// What records say of files, besides what rules need.
  public var files = FileSettings()
  /// Where compiled pattern databases are kept from one start to the next; nil for nowhere.
  public var databaseCache: (any DatabaseCache)? = nil
  /// Pattern databases use AVX2 at most, for tools that emulate a processor and stop at AVX-512.
  public var limitsVectorsToAVX2 = false

  public init() {
    addressVariables = [
      "HOME_NET": "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]",
      "EXTERNAL_NET": "!$HOME_NET",
      "HTTP_SERVERS": "$HOME_NET",
      "SMTP_SERVERS": "$HOME_NET",
      "SQL_SERVERS": "$HOME_NET",
      "DNS_SERVERS": "$HOME_NET",
      "TELNET_SERVERS": "$HOME_NET",
      "AIM_SERVERS": "$EXTERNAL_NET",
      "DC_SERVERS": "$HOME_NET",
      "DNP3_SERVER": "$HOME_NET",
      "DNP3_CLIENT": "$HOME_NET",
      "MODBUS_CLIENT": "$HOME_NET",
      "MODBUS_SERVER": "$HOME_NET",
      "ENIP_CLIENT": "$HOME_NET",
      "ENIP_SERVER": "$HOME_NET",
    ]
    portVariables = [
      "HTTP_PORTS": "80",
      "SHELLCODE_PORTS": "!80",
      "ORACLE_PORTS": "1521",
      "SSH_PORTS": "22",
      "DNP3_PORTS": "20000",
      "MODBUS_PORTS": "502",
      "FILE_DATA_PORTS": "[$HTTP_PORTS,110,143]",
      "FTP_PORTS": "21",
      "GENEVE_PORTS": "6081",
      "VXLAN_PORTS": "4789",
      "TEREDO_PORTS": "3544",
    ]
  }
}

/// Seconds of silence after which flows of a protocol are over, by their state: `flow-timeouts`. Without, they are what Suricata has
/// when its settings do not say; those of its stock file are in Configuration/ally.yaml.
public struct FlowTimeouts: Sendable {
  public struct Times: BitwiseCopyable, Sendable {
    public var new: UInt32
    public var established: UInt32
    public var closed: UInt32

    public init(new: UInt32, established: UInt32, closed: UInt32) {
      self.new = new
      self.established = established
      self.closed = closed
    }
  }

  public var tcp = Times(new: 30, established: 300, closed: 0)
  public var udp = Times(new: 30, established: 300, closed: 0)
  public var icmp = Times(new: 30, established: 300, closed: 0)
  /// All other protocols (`default`).
  public var other = Times(new: 30, established: 300, closed: 0)

  public init() {}
}

/// What an operator wants of files that applications carry, besides what rules need.
public struct FileSettings: Sendable {
  /// `file-store`, `force-hash`: digests besides those that records show.
  public var digests: [FileDigestMatch.Kind] = []
  /// `file-store`, `force-magic`.
  public var magic = false
  /// `force-filestore`: every file is kept, not only those of rules.
  public var storesAll = false

  public init() {}
}
