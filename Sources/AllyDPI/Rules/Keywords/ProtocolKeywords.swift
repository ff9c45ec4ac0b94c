/// Keywords that single protocols have a few of: FTP, SIP, IKE, Kerberos, SSH.
enum ProtocolKeywords {
  static let table: [Keyword] = [
    Keyword("ftpbounce", .none) { builder, option throws(RuleSyntaxError) in
      try builder.restrict(to: [.ftp], at: option.keyword)
      builder.append(.ftpBounce, at: option.keyword)
    },
    Keyword("ftpdata_command", .plain) { builder, option throws(RuleSyntaxError) in
      guard let command = FTPDataCommand(rawValue: option.value.string) else {
        throw option.value.expected("retr or stor")
      }
      try builder.restrict(to: [.ftpData], at: option.keyword)
      builder.append(.ftpDataCommand(command), at: option.keyword)
    },
    Keyword("sip_method", .plain) { builder, option throws(RuleSyntaxError) in
      try anyOf(&builder, option, in: .sipMethod) { name throws(RuleSyntaxError) in
        guard !name.isEmpty, name.bytes.allSatisfy(\.isLetter) else { throw name.expected("the name of a SIP method") }
        return name.string
      }
    },
    Keyword("sip_stat_code", .plain) { builder, option throws(RuleSyntaxError) in
      try anyOf(&builder, option, in: .sipStatusCode) { code throws(RuleSyntaxError) in
        // One digit stands for a class of codes.
        let number = try code.number(in: 1...999)
        guard number < 10 || number >= 100 else { throw code.expected("a status code of three digits or one") }
        return number < 10 ? "\(number).." : "\(number)"
      }
    },
    Keyword("ssh.protoversion", .any) { builder, option throws(RuleSyntaxError) in
      try builder.restrict(to: [.ssh], at: option.keyword)
      // A server that says 1.99 speaks version 2 as well (RFC 4253 §5.1).
      let text = option.value
      let pattern = text.lowercased == "2_compat" ? "^(?:2|1\\.99)" : "^\(text.string.replacing(".", with: "\\."))"
      guard text.lowercased == "2_compat" || text.bytes.allSatisfy({ $0.isDigit || $0 == UInt8(ascii: ".") }) else {
        throw text.expected("a version such as 2.0, or 2_compat")
      }
      var match = PatternMatch(pattern: Array(pattern.utf8), location: text.location)
      match.view = BufferView(.sshProtocol)
      builder.append(.pcre(match), at: option.keyword)
    },
    Keyword("ike.chosen_sa_attribute", .plain) { builder, option throws(RuleSyntaxError) in
      let parts = option.value.separated(by: UInt8(ascii: "="))
      guard parts.count == 2, ikeAttributes.contains(parts[0].lowercased) else {
        throw option.value.expected("one of \(ikeAttributes.sorted().joined(separator: ", ")), '=' and a number")
      }
      let number = UInt32(try parts[1].number(in: NumberText.long))
      try builder.restrict(to: [.ike], at: option.keyword)
      builder.append(.ikeAttribute(parts[0].lowercased, number), at: option.keyword)
    },
    Keyword("krb5.ticket_encryption", .plain) { builder, option throws(RuleSyntaxError) in
      var text = option.value
      let isNegated = text.skip(UInt8(ascii: "!"))
      var types: [Int32] = []
      for part in text.trimmed.separated() {
        if part.lowercased == "weak" {
          types += weakEncryption
        } else if let named = encryption[part.lowercased] {
          types.append(named)
        } else {
          types.append(Int32(try part.number(in: Int(Int32.min)...Int(Int32.max))))
        }
      }
      try builder.restrict(to: [.krb5], at: option.keyword)
      builder.append(.krb5TicketEncryption(types, isNegated: isNegated), at: option.keyword)
    },
  ]

  /// One of several values, as a pattern for the whole buffer.
  private static func anyOf(
    _ builder: inout RuleBuilder, _ option: RuleOptionText, in buffer: InspectionBuffer,
    _ read: (RuleSlice) throws(RuleSyntaxError) -> String
  ) throws(RuleSyntaxError) {
    var text = option.value
    let isNegated = text.skip(UInt8(ascii: "!"))
    var values: [String] = []
    for part in text.trimmed.separated() { values.append(try read(part)) }
    var match = PatternMatch(pattern: Array("^(?:\(values.joined(separator: "|")))$".utf8), location: text.location)
    match.caseless = true
    match.isNegated = isNegated
    match.view = BufferView(buffer)
    try builder.restrict(toBuffer: buffer, at: option.keyword)
    builder.append(.pcre(match), at: option.keyword)
  }

  // Attributes of RFC 2409 Appendix A.
  private static let ikeAttributes: Set = [
    "alg_enc", "alg_hash", "alg_auth", "alg_dh", "alg_prf", "sa_group_type", "sa_life_type", "sa_life_duration",
    "sa_key_length", "sa_field_size",
  ]

  // RFC 3961 §8, RFC 6803, RFC 8009.
  private static let encryption: [String: Int32] = [
    "des-cbc-crc": 1, "des-cbc-md4": 2, "des-cbc-md5": 3, "des3-cbc-md5": 5, "des3-cbc-sha1": 7,
    "des3-cbc-sha1-kd": 16, "aes128-cts-hmac-sha1-96": 17, "aes256-cts-hmac-sha1-96": 18,
    "aes128-cts-hmac-sha256-128": 19, "aes256-cts-hmac-sha384-192": 20, "rc4-hmac": 23, "rc4-hmac-exp": 24,
    "camellia128-cts-cmac": 25, "camellia256-cts-cmac": 26, "subkey-keymaterial": 65,
  ]

  // RFC 6649 and RFC 8429 take these out of use.
  private static let weakEncryption: [Int32] = [1, 2, 3, 5, 7, 16, 23, 24]
}

extension UInt8 {
  fileprivate var isLetter: Bool { (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self) }
}
