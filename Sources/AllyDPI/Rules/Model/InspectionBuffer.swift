/// Which bytes a content, pattern or byte operation looks at. The raw value is the sticky buffer's keyword, which sets it
/// for the options behind it; `pkt_data` sets it back.
///
/// Whether the engine fills a buffer is not said here but in ``EngineSupport``.
public enum InspectionBuffer: String, Sendable, BitwiseCopyable, Hashable, CaseIterable {
  /// The packet's payload, or the reassembled stream.
  case payload = "pkt_data"
  /// What `base64_decode` gave.
  case base64Data = "base64_data"

  // One packet's headers.
  /// The IPv4 header with its options.
  case ipv4Header = "ipv4.hdr"
  /// The IPv6 header with its extension headers.
  case ipv6Header = "ipv6.hdr"
  /// The TCP header with its options.
  case tcpHeader = "tcp.hdr"
  /// The 8 bytes of the UDP header.
  case udpHeader = "udp.hdr"
  /// The ICMP header, 8 bytes or as long as the type has it.
  case icmpv4Header = "icmpv4.hdr"
  /// Likewise.
  case icmpv6Header = "icmpv6.hdr"
  /// The source address, 4 or 16 bytes in network order.
  case ipSource = "ip.src"
  /// The destination address, likewise.
  case ipDestination = "ip.dst"

  /// A part of an application's message by the name in ``BufferView/parameter``: `dns.pdu`, `smb1.data`.
  case frame

  // HTTP.
  /// The request target, normalised.
  case httpURI = "http.uri"
  /// As sent.
  case httpURIRaw = "http.uri.raw"
  case httpMethod = "http.method"
  /// The version in request or response line: `HTTP/1.1`.
  case httpProtocol = "http.protocol"
  /// Without its line end.
  case httpRequestLine = "http.request_line"
  /// Without its line end.
  case httpResponseLine = "http.response_line"
  /// All header lines, normalised, each with CR LF; without the cookies.
  case httpHeader = "http.header"
  /// All header lines as sent, cookies too.
  case httpHeaderRaw = "http.header.raw"
  /// The names of the headers: CR LF, then each with CR LF behind it, then CR LF.
  case httpHeaderNames = "http.header_names"
  /// One header line `name: value` after the other of a request; each on its own.
  case httpRequestHeader = "http.request_header"
  /// Likewise of a response.
  case httpResponseHeader = "http.response_header"
  /// In lower case, without port.
  case httpHost = "http.host"
  /// As sent.
  case httpHostRaw = "http.host.raw"
  case httpUserAgent = "http.user_agent"
  /// The value of `Cookie` or `Set-Cookie`.
  case httpCookie = "http.cookie"
  case httpContentType = "http.content_type"
  case httpContentLength = "http.content_len"
  case httpReferer = "http.referer"
  case httpAccept = "http.accept"
  case httpAcceptEncoding = "http.accept_enc"
  case httpAcceptLanguage = "http.accept_lang"
  case httpConnection = "http.connection"
  case httpLocation = "http.location"
  case httpServer = "http.server"
  /// The request or response line and all header lines with their line ends, and the empty line behind them.
  case httpStart = "http.start"
  case httpStatusCode = "http.stat_code"
  case httpStatusMessage = "http.stat_msg"
  case httpRequestBody = "http.request_body"
  /// Unchunked and decompressed.
  case httpResponseBody = "http.response_body"
  /// One header name after the other; each on its own.
  case http2HeaderName = "http2.header_name"

  // Files that HTTP, SMTP, FTP, SMB and NFS carry.
  /// The file's content; with HTTP the response's body.
  case fileData = "file.data"
  case fileName = "file.name"
  /// What libmagic says of the file.
  case fileMagic = "file.magic"

  /// Each question's name on its own, without the last dot.
  case dnsQuery = "dns.query"

  // TLS.
  /// The server name that the client asks for.
  case tlsServerName = "tls.sni"
  /// Each certificate of the chain on its own, in DER.
  case tlsCertificates = "tls.certs"
  /// Distinguished names as Suricata prints them: `C=US, O=Example`.
  case tlsCertificateSubject = "tls.cert_subject"
  case tlsCertificateIssuer = "tls.cert_issuer"
  /// Hexadecimal digits in pairs with colons, upper case.
  case tlsCertificateSerial = "tls.cert_serial"
  /// SHA-1, hexadecimal digits in pairs with colons, lower case.
  case tlsCertificateFingerprint = "tls.cert_fingerprint"
  /// The 32 bytes of a hello's random.
  case tlsRandom = "tls.random"
  /// Its first 4 bytes.
  case tlsRandomTime = "tls.random_time"
  /// Its last 28 bytes.
  case tlsRandomBytes = "tls.random_bytes"
  case ja3Hash = "ja3.hash"
  case ja3String = "ja3.string"
  case ja3sHash = "ja3s.hash"
  case ja3sString = "ja3s.string"
  case ja4Hash = "ja4.hash"

  // SSH.
  case sshProtocol = "ssh.proto"
  case sshSoftware = "ssh.software"
  case sshHassh = "ssh.hassh"
  case sshHasshString = "ssh.hassh.string"
  case sshHasshServer = "ssh.hassh.server"
  case sshHasshServerString = "ssh.hassh.server.string"

  // SMB and DCE/RPC.
  case smbNamedPipe = "smb.named_pipe"
  case smbShare = "smb.share"
  case smbNTLMSSPUser = "smb.ntlmssp_user"
  case smbNTLMSSPDomain = "smb.ntlmssp_domain"
  case dcerpcStubData = "dcerpc.stub_data"

  // QUIC.
  case quicVersion = "quic.version"
  case quicServerName = "quic.sni"
  case quicUserAgent = "quic.ua"
  case quicCYUHash = "quic.cyu.hash"
  case quicCYUString = "quic.cyu.string"

  // SIP.
  case sipMethod = "sip.method"
  case sipURI = "sip.uri"
  case sipProtocol = "sip.protocol"
  case sipStatusCode = "sip.stat_code"
  case sipStatusMessage = "sip.stat_msg"
  case sipRequestLine = "sip.request_line"
  case sipResponseLine = "sip.response_line"
  /// Snort's: all header lines.
  case sipHeader = "sip_header"
  /// Snort's: what follows the header lines.
  case sipBody = "sip_body"

  // Kerberos, SNMP, RFB.
  /// Each component of the name on its own.
  case krb5ClientName = "krb5.cname"
  case krb5ServerName = "krb5.sname"
  case snmpCommunity = "snmp.community"
  case snmpUser = "snmp.usm"
  case rfbName = "rfb.name"

  // MQTT.
  case mqttConnectClientID = "mqtt.connect.clientid"
  case mqttConnectUserName = "mqtt.connect.username"
  case mqttConnectPassword = "mqtt.connect.password"
  case mqttConnectWillTopic = "mqtt.connect.willtopic"
  case mqttConnectWillMessage = "mqtt.connect.willmessage"
  case mqttPublishTopic = "mqtt.publish.topic"
  case mqttPublishMessage = "mqtt.publish.message"
  /// Each topic on its own.
  case mqttSubscribeTopic = "mqtt.subscribe.topic"
  case mqttUnsubscribeTopic = "mqtt.unsubscribe.topic"

  // IKE and DNP3.
  case ikeInitiatorSPI = "ike.init_spi"
  case ikeResponderSPI = "ike.resp_spi"
  /// Each vendor on its own, in hexadecimal digits.
  case ikeVendor = "ike.vendor"
  case ikeKeyExchangePayload = "ike.key_exchange_payload"
  case ikeNoncePayload = "ike.nonce_payload"
  case dnp3Data = "dnp3.data"
}
