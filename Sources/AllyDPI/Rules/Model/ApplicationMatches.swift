/// A number in an application's message that rules compare. The raw value is the keyword.
public enum ApplicationNumber: String, Sendable, BitwiseCopyable, Hashable, CaseIterable {
  case dnsOpcode = "dns.opcode"
  case http2FrameType = "http2.frametype"
  case http2ErrorCode = "http2.errorcode"
  case http2Priority = "http2.priority"
  case http2Window = "http2.window"
  case http2SizeUpdate = "http2.size_update"
  /// Certificates in the chain.
  case tlsCertificateChainLength = "tls.cert_chain_len"
  case mqttType = "mqtt.type"
  case mqttQualityOfService = "mqtt.qos"
  case mqttProtocolVersion = "mqtt.protocol_version"
  case mqttReasonCode = "mqtt.reason_code"
  /// 0 or 1.
  case mqttSessionPresent = "mqtt.connack.session_present"
  case snmpVersion = "snmp.version"
  case snmpPDUType = "snmp.pdu_type"
  case krb5MessageType = "krb5_msg_type"
  case krb5ErrorCode = "krb5_err_code"
  case nfsProcedure = "nfs_procedure"
  case nfsVersion = "nfs.version"
  case rfbSecurityType = "rfb.sectype"
  case rfbSecurityResult = "rfb.secresult"
  case ikeExchangeType = "ike.exchtype"
  case ikeKeyExchangePayloadLength = "ike.key_exchange_payload_length"
  case ikeNoncePayloadLength = "ike.nonce_payload_length"
  // In seconds.
  case dhcpLeaseTime = "dhcp.leasetime"
  case dhcpRebindingTime = "dhcp.rebinding_time"
  case dhcpRenewalTime = "dhcp.renewal_time"
  case dnp3Function = "dnp3_func"
  case enipCommand = "enip_command"
  /// Of the file in bytes.
  case fileSize = "filesize"
  // Seconds since 1970.
  case tlsCertificateNotBefore = "tls_cert_notbefore"
  case tlsCertificateNotAfter = "tls_cert_notafter"
}

extension ApplicationNumber {
  /// The protocols whose messages have it.
  public var protocols: ApplicationProtocolSet {
    switch self {
    case .dnsOpcode: [.dns]
    case .http2FrameType, .http2ErrorCode, .http2Priority, .http2Window, .http2SizeUpdate: [.http2]
    case .tlsCertificateChainLength, .tlsCertificateNotBefore, .tlsCertificateNotAfter: [.tls]
    case .mqttType, .mqttQualityOfService, .mqttProtocolVersion, .mqttReasonCode, .mqttSessionPresent: [.mqtt]
    case .snmpVersion, .snmpPDUType: [.snmp]
    case .krb5MessageType, .krb5ErrorCode: [.krb5]
    case .nfsProcedure, .nfsVersion: [.nfs]
    case .rfbSecurityType, .rfbSecurityResult: [.rfb]
    case .ikeExchangeType, .ikeKeyExchangePayloadLength, .ikeNoncePayloadLength: [.ike]
    case .dhcpLeaseTime, .dhcpRebindingTime, .dhcpRenewalTime: [.dhcp]
    case .dnp3Function: [.dnp3]
    case .enipCommand: [.enip]
    case .fileSize: .files
    }
  }
}

extension ApplicationNumber {
  /// The side whose messages have it; nil when both sides' have.
  public var side: FlowMatch.Side? {
    switch self {
    case .nfsProcedure, .nfsVersion: .toServer
    default: nil
    }
  }
}

/// Bits in an application's message that rules ask for.
public enum ApplicationFlags: String, Sendable, BitwiseCopyable, Hashable, CaseIterable {
  /// `mqtt.flags`: the fixed header's: retain 0x01, dup 0x08.
  case mqttHeader = "mqtt.flags"
  /// `mqtt.connect.flags`: user name 0x80, password 0x40, will retain 0x20, will 0x04, clean session 0x02.
  case mqttConnect = "mqtt.connect.flags"
  /// `dnp3_ind`: the internal indications of a response, 16 bits; any of the bits will do.
  case dnp3Indications = "dnp3_ind"

  public var protocols: ApplicationProtocolSet { self == .dnp3Indications ? [.dnp3] : [.mqtt] }
}

/// `app-layer-protocol`: what the flow was found to be.
public struct ApplicationProtocolMatch: Sendable, Equatable {
  public enum Subject: Sendable, Equatable {
    /// One of these.
    case protocols(ApplicationProtocolSet)
    /// `failed`: detection gave up.
    case failed
  }
  public var subject: Subject
  public var isNegated: Bool
}

/// `app-layer-event`: something odd that a parser, or protocol detection, met.
public struct ApplicationEvent: Sendable, Hashable {
  /// nil for events of protocol detection itself.
  public var protocols: ApplicationProtocolSet?
  /// Suricata's name without the protocol: `missing_host_header`.
  public var name: String
}

/// `dcerpc.iface`: the interface that a DCE/RPC request is about.
public struct DCERPCInterface: Sendable, Equatable {
  /// The 16 bytes in the order in which the UUID is written.
  public var uuid: [UInt8]
  /// Of the interface's version.
  public var version: NumberMatch? = nil
  /// `any_frag`: in every fragment of a request, not only in the first.
  public var anyFragment: Bool = false
}

/// `tls.version`, `ssl_version`, in the protocol's numbers: SSL 2 0x0200, SSL 3 0x0300, TLS 1.0 0x0301 … TLS 1.3 0x0304.
public struct TLSVersionMatch: Sendable, Equatable {
  /// One of these.
  public var versions: [UInt16]
  public var isNegated: Bool = false
}

/// `ssl_state`: how far the handshake has come.
public struct TLSStateMatch: Sendable, Equatable {
  public enum State: String, Sendable, CaseIterable {
    case clientHello = "client_hello"
    case serverHello = "server_hello"
    case clientKeyExchange = "client_keyx"
    case serverKeyExchange = "server_keyx"
    case unknown
  }
  /// One of these; a state with a `!` stands in ``excluded``.
  public var states: [State] = []
  public var excluded: [State] = []
}

/// `tls_cert_expired`, `tls_cert_valid`: the certificate against the packet's time.
public enum CertificateValidity: Sendable { case expired, valid }

/// `modbus`: all parts that are not nil must hold for one message.
public struct ModbusMatch: Sendable, Equatable {
  /// `access read|write [discretes|coils|input|holding[, address N[, value N]]]`.
  public struct Access: Sendable, Equatable {
    public enum Table: String, Sendable { case discretes, coils, input, holding }
    public var isWrite: Bool
    public var table: Table? = nil
    public var address: NumberMatch? = nil
    public var value: NumberMatch? = nil
  }
  /// Classes of function codes: assigned public 0x01, unassigned public 0x02, user 0x04, reserved 0x08.
  public struct Category: Sendable, Equatable {
    public var bits: UInt8
    public var isNegated: Bool
  }
  public var unit: NumberMatch? = nil
  public var function: UInt8? = nil
  public var subfunction: UInt16? = nil
  public var category: Category? = nil
  public var access: Access? = nil
}

/// `cip_service`: of EtherNet/IP. What is nil may be anything.
public struct CIPService: Sendable, Equatable {
  public var service: UInt8
  public var classNumber: UInt16?
  public var attribute: UInt16?
}

/// `ftpdata_command`.
public enum FTPDataCommand: String, Sendable, BitwiseCopyable, CaseIterable { case retr, stor }
