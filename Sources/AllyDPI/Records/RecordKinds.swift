/// Kinds of EVE records, as `outputs.eve-log.types` names them.
public struct RecordKinds: OptionSet, Sendable, Hashable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// `alert`.
  public static var alerts: RecordKinds { RecordKinds(rawValue: 1) }
  /// `drop`: packets that do not pass.
  public static var drops: RecordKinds { RecordKinds(rawValue: 1 << 1) }
  /// `flow`: flows that ended.
  public static var flows: RecordKinds { RecordKinds(rawValue: 1 << 2) }
  /// `netflow`: the same, one record for each side.
  public static var netflows: RecordKinds { RecordKinds(rawValue: 1 << 3) }
  /// `anomaly` of type `decode`: decoder events.
  public static var decodeAnomalies: RecordKinds { RecordKinds(rawValue: 1 << 4) }
  /// `anomaly` of type `stream`: stream events.
  public static var streamAnomalies: RecordKinds { RecordKinds(rawValue: 1 << 5) }
  /// `anomaly` of type `applayer`: events of application protocols.
  public static var applicationAnomalies: RecordKinds { RecordKinds(rawValue: 1 << 6) }
  /// `stats`: what the engine counted.
  public static var statistics: RecordKinds { RecordKinds(rawValue: 1 << 7) }
  /// `metadata`: what rules noted about a flow, for packets without an alert.
  public static var metadata: RecordKinds { RecordKinds(rawValue: 1 << 8) }
  /// `files`: files that were transferred (`fileinfo`).
  public static var files: RecordKinds { RecordKinds(rawValue: 1 << 9) }
  /// `frame`: the parts of a protocol's messages.
  public static var frames: RecordKinds { RecordKinds(rawValue: 1 << 10) }

  // Transactions of application protocols.
  public static var http: RecordKinds { RecordKinds(rawValue: 1 << 16) }
  public static var dns: RecordKinds { RecordKinds(rawValue: 1 << 17) }
  public static var tls: RecordKinds { RecordKinds(rawValue: 1 << 18) }
  public static var smtp: RecordKinds { RecordKinds(rawValue: 1 << 19) }
  public static var ftp: RecordKinds { RecordKinds(rawValue: 1 << 20) }
  public static var ssh: RecordKinds { RecordKinds(rawValue: 1 << 21) }
  public static var smb: RecordKinds { RecordKinds(rawValue: 1 << 22) }
  public static var dcerpc: RecordKinds { RecordKinds(rawValue: 1 << 23) }
  public static var rdp: RecordKinds { RecordKinds(rawValue: 1 << 24) }
  public static var nfs: RecordKinds { RecordKinds(rawValue: 1 << 25) }
  public static var tftp: RecordKinds { RecordKinds(rawValue: 1 << 26) }
  public static var ike: RecordKinds { RecordKinds(rawValue: 1 << 27) }
  public static var krb5: RecordKinds { RecordKinds(rawValue: 1 << 28) }
  public static var bittorrentDHT: RecordKinds { RecordKinds(rawValue: 1 << 29) }
  public static var snmp: RecordKinds { RecordKinds(rawValue: 1 << 30) }
  public static var rfb: RecordKinds { RecordKinds(rawValue: 1 << 31) }
  public static var sip: RecordKinds { RecordKinds(rawValue: 1 << 32) }
  public static var quic: RecordKinds { RecordKinds(rawValue: 1 << 33) }
  public static var dhcp: RecordKinds { RecordKinds(rawValue: 1 << 34) }
  public static var mqtt: RecordKinds { RecordKinds(rawValue: 1 << 35) }
  public static var http2: RecordKinds { RecordKinds(rawValue: 1 << 36) }
  public static var pgsql: RecordKinds { RecordKinds(rawValue: 1 << 37) }
  public static var modbus: RecordKinds { RecordKinds(rawValue: 1 << 38) }
  public static var dnp3: RecordKinds { RecordKinds(rawValue: 1 << 39) }
  public static var enip: RecordKinds { RecordKinds(rawValue: 1 << 40) }
  public static var telnet: RecordKinds { RecordKinds(rawValue: 1 << 41) }

  /// The names behind `types`, but for `anomaly`, which is three kinds with a switch each.
  public static let byType: [String: RecordKinds] = [
    "alert": .alerts, "drop": .drops, "flow": .flows, "netflow": .netflows, "stats": .statistics,
    "metadata": .metadata, "files": .files, "frame": .frames, "http": .http, "dns": .dns, "tls": .tls, "smtp": .smtp,
    "ftp": .ftp, "ssh": .ssh, "smb": .smb, "dcerpc": .dcerpc, "rdp": .rdp, "nfs": .nfs, "tftp": .tftp, "ike": .ike,
    "ikev2": .ike, "krb5": .krb5, "bittorrent-dht": .bittorrentDHT, "snmp": .snmp, "rfb": .rfb, "sip": .sip,
    "quic": .quic, "dhcp": .dhcp, "mqtt": .mqtt, "http2": .http2, "pgsql": .pgsql, "modbus": .modbus, "dnp3": .dnp3,
    "enip": .enip, "telnet": .telnet,
  ]

  /// The transactions of every application protocol.
  public static let transactions = RecordKinds(rawValue: ~0 << 16)
}
