extension InspectionBuffer {
  /// Where a buffer's bytes come from.
  public enum Origin: Sendable, BitwiseCopyable {
    /// A packet's payload, the stream, or what was decoded from it on the way.
    case payload
    /// One packet's headers.
    case header
    /// A transaction of an application protocol.
    case transaction
  }

  public var origin: Origin {
    switch self {
    case .payload, .base64Data: .payload
    case .ipv4Header, .ipv6Header, .tcpHeader, .udpHeader, .icmpv4Header, .icmpv6Header, .ipSource, .ipDestination:
      .header
    default: .transaction
    }
  }

  /// Whether the buffer lies in one packet's headers: never in a stream.
  public var isHeader: Bool { origin == .header }

  /// The application protocols whose transactions have the buffer; nil for buffers of packets, and for frames, which say
  /// their protocol in their name.
  public var protocols: ApplicationProtocolSet? {
    switch self {
    case .payload, .base64Data, .ipv4Header, .ipv6Header, .tcpHeader, .udpHeader, .icmpv4Header, .icmpv6Header,
      .ipSource, .ipDestination, .frame:
      nil
    case .httpURI, .httpURIRaw, .httpMethod, .httpProtocol, .httpRequestLine, .httpResponseLine, .httpHeader,
      .httpHeaderRaw, .httpHeaderNames, .httpRequestHeader, .httpResponseHeader, .httpHost, .httpHostRaw,
      .httpUserAgent, .httpCookie, .httpContentType, .httpContentLength, .httpReferer, .httpAccept, .httpAcceptEncoding,
      .httpAcceptLanguage, .httpConnection, .httpLocation, .httpServer, .httpStart, .httpStatusCode,
      .httpStatusMessage, .httpRequestBody, .httpResponseBody:
      .http
    case .http2HeaderName: [.http2]
    case .fileData, .fileName, .fileMagic: .files
    case .dnsQuery: [.dns]
    case .tlsServerName, .tlsCertificates, .tlsCertificateSubject, .tlsCertificateIssuer, .tlsCertificateSerial,
      .tlsCertificateFingerprint, .tlsRandom, .tlsRandomTime, .tlsRandomBytes:
      [.tls]
    case .ja3Hash, .ja3String, .ja3sHash, .ja3sString, .ja4Hash: [.tls, .quic]
    case .sshProtocol, .sshSoftware, .sshHassh, .sshHasshString, .sshHasshServer, .sshHasshServerString: [.ssh]
    case .smbNamedPipe, .smbShare, .smbNTLMSSPUser, .smbNTLMSSPDomain: [.smb]
    case .dcerpcStubData: [.dcerpc, .smb]
    case .quicVersion, .quicServerName, .quicUserAgent, .quicCYUHash, .quicCYUString: [.quic]
    case .sipMethod, .sipURI, .sipProtocol, .sipStatusCode, .sipStatusMessage, .sipRequestLine, .sipResponseLine,
      .sipHeader, .sipBody:
      [.sip]
    case .krb5ClientName, .krb5ServerName: [.krb5]
    case .snmpCommunity, .snmpUser: [.snmp]
    case .rfbName: [.rfb]
    case .mqttConnectClientID, .mqttConnectUserName, .mqttConnectPassword, .mqttConnectWillTopic,
      .mqttConnectWillMessage, .mqttPublishTopic, .mqttPublishMessage, .mqttSubscribeTopic, .mqttUnsubscribeTopic:
      [.mqtt]
    case .ikeInitiatorSPI, .ikeResponderSPI, .ikeVendor, .ikeKeyExchangePayload, .ikeNoncePayload: [.ike]
    case .dnp3Data: [.dnp3]
    }
  }

  /// The side whose messages have the buffer; nil when both sides' have. A rule that uses it and does not name a side in
  /// `flow` is about that one.
  public var side: FlowMatch.Side? {
    switch self {
    case .httpURI, .httpURIRaw, .httpMethod, .httpRequestLine, .httpRequestHeader, .httpHost, .httpHostRaw,
      .httpUserAgent, .httpReferer, .httpAccept, .httpAcceptEncoding, .httpAcceptLanguage, .httpRequestBody,
      .dnsQuery, .tlsServerName, .ja3Hash, .ja3String, .ja4Hash, .sshHassh, .sshHasshString, .sipMethod, .sipURI,
      .sipRequestLine, .quicUserAgent, .quicServerName, .quicCYUHash, .quicCYUString, .mqttConnectClientID,
      .mqttConnectUserName, .mqttConnectPassword, .mqttConnectWillTopic, .mqttConnectWillMessage,
      .mqttPublishMessage, .mqttUnsubscribeTopic, .smbNTLMSSPUser, .smbNTLMSSPDomain, .smbShare, .smbNamedPipe,
      .ikeInitiatorSPI, .ikeVendor:
      .toServer
    case .httpResponseLine, .httpResponseHeader, .httpLocation, .httpServer, .httpStatusCode, .httpStatusMessage,
      .ja3sHash, .ja3sString, .sshHasshServer, .sshHasshServerString, .sipStatusCode, .sipStatusMessage,
      .sipResponseLine, .krb5ClientName, .krb5ServerName, .rfbName, .ikeResponderSPI:
      .toClient
    default: nil
    }
  }

  /// Whether a transaction may have several of it. Each is looked at on its own: all options for the buffer must hold
  /// within one.
  public var isRepeated: Bool {
    switch self {
    case .httpRequestHeader, .httpResponseHeader, .http2HeaderName, .fileData, .fileName, .fileMagic, .dnsQuery,
      .tlsCertificates, .krb5ClientName, .krb5ServerName, .mqttSubscribeTopic, .mqttUnsubscribeTopic, .ikeVendor,
      .quicCYUHash, .quicCYUString:
      true
    default: false
    }
  }
}
