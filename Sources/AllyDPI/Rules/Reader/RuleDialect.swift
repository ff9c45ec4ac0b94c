/// Whose way of writing a rule follows. The two languages are one but for a few words: `http_uri` stands behind its content
/// in Suricata's older rules, and in front of its contents, as a sticky buffer, in Snort 3's.
enum RuleDialect {
  case suricata, snort

  /// Snort's when the rule uses a word that only Snort has, modifiers behind a comma, or a buffer in front of any content.
  init(_ options: [RuleOptionText]) {
    var hasContent = false
    for option in options {
      if Self.snortOnly.contains(option.name) {
        self = .snort
        return
      }
      switch option.name {
      case "content":
        if !option.modifiers.isEmpty {
          self = .snort
          return
        }
        hasContent = true
      case "http_header", "http_raw_header", "http_uri", "http_raw_uri", "http_method", "http_cookie",
        "http_client_body", "http_stat_code", "http_stat_msg":
        if option.hasValue || !hasContent {
          self = .snort
          return
        }
      default: break
      }
    }
    self = .suricata
  }

  private static let snortOnly: Set = [
    "service", "bufferlen", "raw_data", "rem", "sip_header", "sip_body", "sip_method", "sip_stat_code", "ber_data",
    "ber_skip", "file_type", "http_param", "http_trailer", "http_true_ip", "http_version", "js_data", "vba_data",
  ]
}
