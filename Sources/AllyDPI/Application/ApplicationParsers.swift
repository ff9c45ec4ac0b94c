/// The parsers that the engine has. A new protocol is one more line.
enum ApplicationParsers {
  static let all: [any (ApplicationParser & SendableMetatype).Type] = [
    HTTP2Parser.self, HTTPParser.self, DNSParser.self, TLSParser.self, SSHParser.self, MQTTParser.self, DNP3Parser.self,
    ModbusParser.self, QUICParser.self, SIPParser.self, SNMPParser.self, KerberosParser.self, DHCPParser.self,
    RFBParser.self,
    SMTPParser.self, FTPParser.self, FTPDataParser.self, SMBParser.self, DCERPCParser.self,
    PostgreSQLParser.self, NTPParser.self, IKEParser.self, NFSParser.self, TFTPParser.self, RDPParser.self,
    BitTorrentParser.self, ENIPParser.self, IMAPParser.self, TelnetParser.self,
  ]

  /// No protocol.
  static var none: UInt8 { .max }

  /// A bit for each parser of some protocols, at its place.
  static func mask(of protocols: ApplicationProtocolSet) -> UInt32 {
    var mask: UInt32 = 0
    for (place, parser) in all.enumerated() where protocols.contains(parser.applicationProtocol) { mask |= 1 << place }
    return mask
  }

  /// A protocol's place in ``all``; ``none`` when there is no parser for it.
  static func index(of application: ApplicationProtocol) -> UInt8 {
    all.firstIndex { $0.applicationProtocol == application }.map { UInt8($0) } ?? none
  }
}
