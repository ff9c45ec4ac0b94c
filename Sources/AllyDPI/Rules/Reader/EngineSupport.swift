/// What the engine evaluates of all that the rule language can say.
///
/// Reading a rule and evaluating it are two things: a rule that reads and asks for something that is not listed here does
/// not load, and its ``RuleProblem`` says where it asks. A parser or evaluator that is added enters itself in
/// ``current``.
public struct EngineSupport: Sendable {
  public var buffers: Set<InspectionBuffer>
  public var protocols: ApplicationProtocolSet
  public var features: Set<RuleFeature>
  public var numbers: Set<ApplicationNumber>
  public var flags: Set<ApplicationFlags>

  public init(
    buffers: Set<InspectionBuffer>, protocols: ApplicationProtocolSet, features: Set<RuleFeature>,
    numbers: Set<ApplicationNumber> = [], flags: Set<ApplicationFlags> = []
  ) {
    self.buffers = buffers
    self.protocols = protocols
    self.features = features
    self.numbers = numbers
    self.flags = flags
  }

  /// What this version of the engine evaluates.
  public static let current = EngineSupport(
    buffers: [
      .payload, .frame, .base64Data, .ipSource, .ipDestination, .ipv4Header, .ipv6Header, .tcpHeader, .udpHeader,
      .icmpv4Header,
      .icmpv6Header,
      .httpURI, .httpURIRaw, .httpMethod, .httpProtocol, .httpRequestLine, .httpResponseLine, .httpHeader,
      .httpHeaderRaw, .httpHeaderNames, .httpRequestHeader, .httpResponseHeader, .httpHost, .httpHostRaw,
      .httpUserAgent, .httpCookie, .httpContentType, .httpContentLength, .httpReferer, .httpAccept,
      .httpAcceptEncoding, .httpAcceptLanguage, .httpConnection, .httpLocation, .httpServer, .httpStart,
      .httpStatusCode, .httpStatusMessage, .httpRequestBody, .httpResponseBody, .http2HeaderName, .fileData, .fileName,
      .fileMagic, .dnsQuery, .dcerpcStubData, .smbNamedPipe, .smbShare, .smbNTLMSSPUser, .smbNTLMSSPDomain,
      .tlsServerName, .tlsCertificates, .tlsCertificateSubject, .tlsCertificateIssuer, .tlsCertificateSerial,
      .tlsCertificateFingerprint, .tlsRandom, .tlsRandomTime, .tlsRandomBytes, .ja3Hash, .ja3String, .ja3sHash,
      .ja3sString, .ja4Hash,
      .sshProtocol, .sshSoftware, .sshHassh, .sshHasshString, .sshHasshServer, .sshHasshServerString,
      .mqttConnectClientID, .mqttConnectUserName, .mqttConnectPassword, .mqttConnectWillTopic,
      .mqttConnectWillMessage, .mqttPublishTopic, .mqttPublishMessage, .mqttSubscribeTopic, .mqttUnsubscribeTopic,
      .dnp3Data, .quicVersion, .quicServerName, .quicUserAgent, .quicCYUHash, .quicCYUString,
      .sipMethod, .sipURI, .sipProtocol, .sipStatusCode, .sipStatusMessage, .sipRequestLine, .sipResponseLine,
      .sipHeader, .sipBody, .snmpCommunity, .snmpUser, .krb5ClientName, .krb5ServerName, .rfbName,
      .ikeInitiatorSPI, .ikeResponderSPI, .ikeVendor, .ikeKeyExchangePayload, .ikeNoncePayload,
    ],
    protocols: [
      .http1, .http2, .dns, .tls, .ssh, .mqtt, .dnp3, .modbus, .quic, .sip, .snmp, .krb5, .dhcp, .rfb, .smtp, .ftp,
      .ftpData, .dcerpc, .smb, .pgsql, .ntp, .ike, .nfs, .tftp, .rdp, .bittorrentDHT, .imap,
      .telnet, .enip,
    ],
    features: [
      .applicationProtocol, .applicationEvents, .transforms, .base64, .dataSets, .dataReputations, .addressReputations,
      .flowIntegers,
      .streamSizes, .flowAge, .checksums, .icmpv6MTU, .services, .bypass, .tlsVersion, .tlsState, .certificateValidity,
      .dnp3Objects, .modbus, .cipServices, .krb5TicketEncryption, .http2Settings, .ikeAttributes, .fileDigests,
      .ftpDataCommand,
      .ftpBounce, .dcerpc, .dcerpcByteOrder,
    ],
    numbers: [
      .dnsOpcode, .fileSize, .tlsCertificateChainLength, .tlsCertificateNotBefore, .tlsCertificateNotAfter,
      .http2FrameType, .http2ErrorCode, .http2Priority, .http2Window, .http2SizeUpdate,
      .mqttType, .mqttQualityOfService, .mqttProtocolVersion, .mqttReasonCode, .mqttSessionPresent, .dnp3Function,
      .snmpVersion, .snmpPDUType, .krb5MessageType, .krb5ErrorCode,
      .dhcpLeaseTime, .dhcpRenewalTime, .dhcpRebindingTime, .rfbSecurityType, .rfbSecurityResult,
      .ikeExchangeType, .ikeKeyExchangePayloadLength, .ikeNoncePayloadLength, .nfsProcedure, .nfsVersion,
      .enipCommand,
    ],
    flags: [.mqttHeader, .mqttConnect, .dnp3Indications])

  /// All that can be read: for those who look at rules and run none.
  public static let everything = EngineSupport(
    buffers: Set(InspectionBuffer.allCases), protocols: ApplicationProtocolSet(ApplicationProtocol.allCases),
    features: Set(RuleFeature.allCases), numbers: Set(ApplicationNumber.allCases),
    flags: Set(ApplicationFlags.allCases))
}

/// Abilities of an engine that only some rules ask for. The raw value is for messages.
public enum RuleFeature: String, Sendable, Hashable, CaseIterable {
  case transforms = "transforms"
  case base64 = "base64_decode"
  case dataSets = "dataset"
  case dataReputations = "datarep"
  case addressReputations = "iprep"
  case fileDigests = "file digests"
  case flowIntegers = "flowint"
  case streamSizes = "stream_size"
  case flowAge = "flow.age"
  case checksums = "checksum keywords"
  case icmpv6MTU = "icmpv6.mtu"
  case applicationProtocol = "app-layer-protocol"
  case applicationEvents = "app-layer-event"
  case dcerpc = "dcerpc.iface and dcerpc.opnum"
  case dcerpcByteOrder = "the byte order of DCE/RPC"
  case tlsVersion = "tls.version"
  case tlsState = "ssl_state"
  case certificateValidity = "tls_cert_expired and tls_cert_valid"
  case modbus = "modbus"
  case dnp3Objects = "dnp3_obj"
  case cipServices = "cip_service"
  case http2Settings = "http2.settings"
  case ikeAttributes = "ike.chosen_sa_attribute"
  case krb5TicketEncryption = "krb5.ticket_encryption"
  case ftpDataCommand = "ftpdata_command"
  case ftpBounce = "ftpbounce"
  case services = "service"
  case bypass = "bypass"
}

extension RuleOption {
  /// The ability that the option asks for; nil for what every engine has.
  public var feature: RuleFeature? {
    switch self {
    case .base64Decode: .base64
    case .dataset: .dataSets
    case .dataReputation: .dataReputations
    case .ipReputation: .addressReputations
    case .fileDigest: .fileDigests
    case .flowInteger: .flowIntegers
    case .streamSize: .streamSizes
    case .flowAge: .flowAge
    case .checksum: .checksums
    case .icmpv6MTU: .icmpv6MTU
    case .applicationProtocol: .applicationProtocol
    case .applicationEvent: .applicationEvents
    case .dcerpcInterface, .dcerpcOperation: .dcerpc
    case .tlsVersion: .tlsVersion
    case .tlsState: .tlsState
    case .certificateValidity: .certificateValidity
    case .modbus: .modbus
    case .dnp3Object: .dnp3Objects
    case .cipService: .cipServices
    case .http2Setting: .http2Settings
    case .ikeAttribute: .ikeAttributes
    case .krb5TicketEncryption: .krb5TicketEncryption
    case .ftpDataCommand: .ftpDataCommand
    case .ftpBounce: .ftpBounce
    case .byteTest(let test): test.format == .dce ? .dcerpcByteOrder : nil
    case .byteJump(let jump): jump.format == .dce ? .dcerpcByteOrder : nil
    case .byteExtract(let extract): extract.format == .dce ? .dcerpcByteOrder : nil
    case .byteMath(let math): math.format == .dce ? .dcerpcByteOrder : nil
    default: nil
    }
  }
}

extension EngineSupport {
  /// Why the engine cannot evaluate an option; nil when it can.
  func objection(to option: RuleOption) -> String? {
    if let view = option.view {
      guard buffers.contains(view.buffer) else { return "the buffer '\(view.buffer.rawValue)'" }
      if !view.transforms.isEmpty, !features.contains(.transforms) { return RuleFeature.transforms.rawValue }
    }
    if let feature = option.feature, !features.contains(feature) { return "'\(feature.rawValue)'" }
    switch option {
    case .applicationProtocol(let match):
      if case .protocols(let asked) = match.subject, asked.isDisjoint(with: protocols) {
        return "'app-layer-protocol' with \(asked.names)"
      }
      return nil
    case .applicationNumber(let number, _) where !numbers.contains(number): return "'\(number.rawValue)'"
    case .applicationFlags(let field, _, _) where !flags.contains(field): return "'\(field.rawValue)'"
    default: return nil
    }
  }

  /// Complains about the first thing in a rule that the engine cannot evaluate.
  ///
  /// - Parameter places: where each option stands.
  func check(_ rule: Rule, places: [RuleSlice], header: RuleHeader) throws(RuleSyntaxError) {
    func complain(_ what: String, _ place: RuleSlice) -> RuleSyntaxError {
      place.unsupported("the engine does not support \(what) yet")
    }
    if let asked = header.applicationProtocols, asked.isDisjoint(with: protocols) {
      throw complain("the protocol \(header.protocolText.quoted)", header.protocolText)
    }
    for (option, place) in zip(rule.options, places) {
      if let what = objection(to: option) { throw complain(what, place) }
    }
    if rule.bypasses, !features.contains(.bypass) { throw complain("'bypass'", header.protocolText) }
    if rule.servicesReplacePorts {
      // A service that the engine does not know is told by its ports.
      if !features.contains(.services) { throw complain("'service'", header.protocolText) }
    } else if let asked = rule.applicationProtocols, asked.isDisjoint(with: protocols) {
      throw complain("\(asked.names), which the rule's options are about,", header.protocolText)
    }
  }
}
