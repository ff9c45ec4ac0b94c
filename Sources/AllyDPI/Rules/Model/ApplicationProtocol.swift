/// A protocol above TCP and UDP. The raw value is its name in rules and records.
public enum ApplicationProtocol: String, Sendable, BitwiseCopyable, CaseIterable {
  case http1, http2, dns, tls, ssh, smtp, ftp
  case ftpData = "ftp-data"
  case smb, dcerpc, nfs, ntp, tftp, ike, krb5, quic, dhcp, snmp, sip, rfb, mqtt, telnet, rdp, imap, pop3, modbus, dnp3
  case enip, irc, ldap, pgsql, mysql, nntp, ssdp, sunrpc
  case bittorrentDHT = "bittorrent-dht"
  case netbiosNameService = "netbios-ns"
  case netbiosDatagram = "netbios-dgm"
  case wins, jabber
}

/// Some application protocols.
public struct ApplicationProtocolSet: SetAlgebra, Sendable, BitwiseCopyable, Hashable {
  private var bits: UInt64

  private init(bits: UInt64) { self.bits = bits }
  public init() { bits = 0 }
  public init(_ one: ApplicationProtocol) { bits = Self.bit(of: one) }

  private static func bit(of one: ApplicationProtocol) -> UInt64 {
    UInt64(1) << UInt64(ApplicationProtocol.allCases.firstIndex(of: one) ?? 63)
  }

  public var isEmpty: Bool { bits == 0 }
  public func contains(_ member: ApplicationProtocol) -> Bool { bits & Self.bit(of: member) != 0 }
  public mutating func insert(
    _ member: ApplicationProtocol
  ) -> (inserted: Bool, memberAfterInsert: ApplicationProtocol) {
    let isNew = !contains(member)
    bits |= Self.bit(of: member)
    return (isNew, member)
  }
  public mutating func remove(_ member: ApplicationProtocol) -> ApplicationProtocol? {
    guard contains(member) else { return nil }
    bits &= ~Self.bit(of: member)
    return member
  }
  public mutating func update(with member: ApplicationProtocol) -> ApplicationProtocol? {
    insert(member).inserted ? nil : member
  }
  public func union(_ other: Self) -> Self { Self(bits: bits | other.bits) }
  public func intersection(_ other: Self) -> Self { Self(bits: bits & other.bits) }
  public func symmetricDifference(_ other: Self) -> Self { Self(bits: bits ^ other.bits) }
  public mutating func formUnion(_ other: Self) { bits |= other.bits }
  public mutating func formIntersection(_ other: Self) { bits &= other.bits }
  public mutating func formSymmetricDifference(_ other: Self) { bits ^= other.bits }

  /// The protocols, in the order of their declaration.
  public var members: [ApplicationProtocol] { ApplicationProtocol.allCases.filter(contains) }

  /// `http`: whichever version.
  public static var http: Self { [.http1, .http2] }
  /// Those that carry files.
  public static var files: Self { [.http1, .http2, .smtp, .ftpData, .smb, .nfs] }
}

extension ApplicationProtocolSet {
  /// What a rule's header, `app-layer-protocol` or `service` means by a name.
  ///
  /// - Parameter name: in lower case.
  public init?(named name: String) {
    switch name {
    case "http": self = .http
    case "ssl": self = [.tls]
    // DCE/RPC travels over TCP and UDP, and in SMB's named pipes.
    case "dcerpc": self = [.dcerpc, .smb]
    case "netbios-ssn": self = [.smb]
    case "kerberos": self = [.krb5]
    case "ikev2": self = [.ike]
    default:
      guard let one = ApplicationProtocol(rawValue: name) else { return nil }
      self.init(one)
    }
  }

  /// For messages.
  var names: String { self == .http ? "http" : members.map(\.rawValue).joined(separator: ", ") }

  /// The transports that carry any of them.
  public var transports: (tcp: Bool, udp: Bool) {
    var result = (tcp: false, udp: false)
    for one in members {
      switch one {
      case .dns, .krb5, .dcerpc, .sip, .sunrpc, .nfs, .ldap, .enip, .dnp3:
        result = (true, true)
      case .ntp, .tftp, .ike, .quic, .dhcp, .snmp, .ssdp, .bittorrentDHT, .netbiosNameService, .netbiosDatagram:
        result.udp = true
      default: result.tcp = true
      }
    }
    return result
  }
}
