/// Sticky buffers, and the lengths of buffers.
enum BufferKeywords {
  static let table: [Keyword] =
    InspectionBuffer.allCases.filter { $0 != .frame && $0 != .base64Data }.map { sticky($0.rawValue, $0) }
    + olderNames.map { sticky($0, $1) }
    + [
      Keyword("frame", .plain, frame),
      .number("dsize", in: NumberText.short, isUnique: true) { .dsize($0) },
      Keyword("bsize", .plain) { builder, option throws(RuleSyntaxError) in
        guard builder.hasSticky else {
          throw option.keyword.error("expected a sticky buffer in front of 'bsize'; for the payload there is 'dsize'")
        }
        let length = try NumberText.match(option.value, in: NumberText.long)
        builder.append(.bufferSize(builder.view, length), at: option.keyword)
      },
      // Snort's: of whatever buffer is in force, the packet's payload too.
      Keyword("bufferlen", .plain) { builder, option throws(RuleSyntaxError) in
        let parts = option.value.separated()
        if parts.count > 1 { throw parts[1].unsupported("'bufferlen' relative to a match is not supported") }
        let length = try NumberText.match(parts[0], in: NumberText.long)
        builder.append(.bufferSize(builder.view, length), at: option.keyword)
      },
      Keyword("urilen", .plain, uriLength),
    ]

  /// Names that rules used before the ones with a dot. Those that stood behind a content are in ``ModifierKeywords``.
  private static let olderNames: [(String, InspectionBuffer)] = [
    ("raw_data", .payload),
    ("http_accept", .httpAccept), ("http_accept_enc", .httpAcceptEncoding),
    ("http_accept_lang", .httpAcceptLanguage), ("http_connection", .httpConnection),
    ("http_content_len", .httpContentLength), ("http_content_type", .httpContentType),
    ("http_header_names", .httpHeaderNames), ("http_protocol", .httpProtocol), ("http_referer", .httpReferer),
    ("http_request_line", .httpRequestLine), ("http_response_line", .httpResponseLine), ("http_start", .httpStart),
    ("dns_query", .dnsQuery),
    ("tls_sni", .tlsServerName), ("tls_cert_issuer", .tlsCertificateIssuer),
    ("tls_cert_subject", .tlsCertificateSubject), ("tls_cert_serial", .tlsCertificateSerial),
    ("tls_cert_fingerprint", .tlsCertificateFingerprint), ("ja3_hash", .ja3Hash), ("ja3_string", .ja3String),
    ("ssh_proto", .sshProtocol), ("ssh_software", .sshSoftware),
    ("file_data", .fileData), ("dce_stub_data", .dcerpcStubData),
    ("smb_named_pipe", .smbNamedPipe), ("smb_share", .smbShare),
    ("krb5_cname", .krb5ClientName), ("krb5_sname", .krb5ServerName), ("dnp3_data", .dnp3Data),
  ]

  private static func sticky(_ name: String, _ buffer: InspectionBuffer) -> Keyword {
    Keyword(name, .none) { builder, option throws(RuleSyntaxError) in
      try builder.select(BufferView(buffer), at: option.keyword)
    }
  }

  /// `PROTOCOL.NAME`, or `NAME` alone when the rule's header says the protocol.
  @Sendable
  private static func frame(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var name = option.value.string
    let prefix = name.prefix { $0 != "." }
    if name.contains("."), let protocols = ApplicationProtocolSet(named: String(prefix)) {
      try builder.restrict(to: protocols, at: option.value)
      name.removeFirst(prefix.count + 1)
    } else if builder.rule.applicationProtocols == nil {
      throw option.value.expected("a frame with its protocol in front, such as 'dns.pdu'")
    }
    try builder.select(BufferView(.frame, parameter: name), at: option.keyword)
  }

  /// `N[, norm|raw]`: the length of the request's target.
  @Sendable
  private static func uriLength(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    var buffer = InspectionBuffer.httpURI
    if parts.count > 1 {
      switch parts[1].lowercased {
      case "norm": break
      case "raw": buffer = .httpURIRaw
      default: throw parts[1].expected("norm or raw")
      }
    }
    guard parts.count <= 2 else { throw parts[2].expected("a length, and norm or raw") }
    let length = try NumberText.match(parts[0], in: NumberText.short)
    try builder.restrict(to: .http, at: option.keyword)
    builder.append(.bufferSize(BufferView(buffer), length), at: option.keyword)
  }
}
