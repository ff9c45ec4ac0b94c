/// Numbers and bits in the messages of applications.
enum NumberKeywords {
  static let table: [Keyword] =
    comparisons.map { comparison($0.rawValue, $0) } + equalities.map(equality) + [
      Keyword("dns.opcode", .plain) { builder, option throws(RuleSyntaxError) in
        let match = try NumberText.equality(option.value, in: NumberText.byte)
        try builder.restrict(to: [.dns], at: option.keyword)
        builder.append(.applicationNumber(.dnsOpcode, match), at: option.keyword)
      },
      comparison("nfs_version", .nfsVersion),
      Keyword("mqtt.type", .plain) { builder, option throws(RuleSyntaxError) in
        try named(&builder, option, .mqttType, values: mqttTypes, takesNumbers: false, takesNegation: false)
      },
      Keyword("http2.frametype", .plain) { builder, option throws(RuleSyntaxError) in
        try named(&builder, option, .http2FrameType, values: http2FrameTypes, takesNegation: false)
      },
      Keyword("http2.errorcode", .plain) { builder, option throws(RuleSyntaxError) in
        try named(&builder, option, .http2ErrorCode, values: http2ErrorCodes)
      },
      Keyword("rfb.secresult", .plain) { builder, option throws(RuleSyntaxError) in
        try named(
          &builder, option, .rfbSecurityResult, values: rfbResults, takesNumbers: false,
          takesNegation: false)
      },
      Keyword("dnp3_func", .plain) { builder, option throws(RuleSyntaxError) in
        try named(&builder, option, .dnp3Function, values: dnp3Functions)
      },
      Keyword("mqtt.connack.session_present", .plain) { builder, option throws(RuleSyntaxError) in
        try named(
          &builder, option, .mqttSessionPresent, values: ["yes": 1, "true": 1, "no": 0, "false": 0], takesNumbers: false
        )
      },
      Keyword("filesize", .plain, fileSize),
      Keyword("mqtt.flags", .plain) { builder, option throws(RuleSyntaxError) in
        try flags(&builder, option, .mqttHeader, values: ["retain": 0x01, "dup": 0x08])
      },
      Keyword("mqtt.connect.flags", .plain) { builder, option throws(RuleSyntaxError) in
        try flags(&builder, option, .mqttConnect, values: mqttConnectFlags)
      },
      Keyword("dnp3_ind", .plain) { builder, option throws(RuleSyntaxError) in
        try flags(&builder, option, .dnp3Indications, values: dnp3Indications)
      },
      Keyword("http2.settings", .plain, http2Setting),
    ]

  private static let comparisons: [ApplicationNumber] = [
    .http2Priority, .http2Window, .http2SizeUpdate, .tlsCertificateChainLength,
    .mqttProtocolVersion, .snmpVersion, .nfsProcedure,
    .nfsVersion, .rfbSecurityType, .ikeExchangeType, .ikeKeyExchangePayloadLength, .ikeNoncePayloadLength,
    .dhcpLeaseTime, .dhcpRebindingTime, .dhcpRenewalTime,
  ]

  /// Numbers that are only compared for equality.
  private static let equalities: [ApplicationNumber] = [
    .mqttQualityOfService, .mqttReasonCode, .snmpPDUType, .krb5MessageType, .krb5ErrorCode, .enipCommand,
  ]

  private static func equality(_ number: ApplicationNumber) -> Keyword {
    Keyword(number.rawValue, .plain) { builder, option throws(RuleSyntaxError) in
      let value = UInt32(try option.value.number(in: limits(of: number)))
      try builder.restrict(to: number.protocols, at: option.keyword)
      builder.append(.applicationNumber(number, .equal(value)), at: option.keyword)
    }
  }

  private static func comparison(_ name: String, _ number: ApplicationNumber) -> Keyword {
    Keyword(name, .plain) { builder, option throws(RuleSyntaxError) in
      let match = try NumberText.match(
        option.value, in: limits(of: number), includesEnds: number.protocols == [.nfs])
      try builder.restrict(to: number.protocols, at: option.keyword)
      if let side = number.side { try builder.restrict(to: side, at: option.keyword) }
      builder.append(.applicationNumber(number, match), at: option.keyword)
    }
  }

  private static func limits(of number: ApplicationNumber) -> ClosedRange<Int> {
    switch number {
    case .dnsOpcode, .http2Priority, .krb5MessageType, .mqttProtocolVersion, .mqttReasonCode, .ikeExchangeType:
      NumberText.byte
    case .mqttQualityOfService: 0...2
    case .enipCommand: NumberText.short
    default: NumberText.long
    }
  }

  /// A number, or its name.
  private static func named(
    _ builder: inout RuleBuilder, _ option: RuleOptionText, _ number: ApplicationNumber, values: [String: UInt32],
    takesNumbers: Bool = true, takesNegation: Bool = true
  ) throws(RuleSyntaxError) {
    var name = option.value
    let isNegated = takesNegation && name.skip(UInt8(ascii: "!"))
    name = name.trimmed
    let match: NumberMatch
    if let value = values[name.lowercased] {
      match = isNegated ? .notEqual(value) : .equal(value)
    } else {
      guard takesNumbers, let first = name.first,
        first.isDigit || first == UInt8(ascii: "<") || first == UInt8(ascii: ">")
      else { throw name.expected("one of \(values.keys.sorted().joined(separator: ", "))") }
      match = try NumberText.match(option.value, in: NumberText.byte)
    }
    try builder.restrict(to: number.protocols, at: option.keyword)
    builder.append(.applicationNumber(number, match), at: option.keyword)
  }

  /// Names of bits, each with or without `!`.
  private static func flags(
    _ builder: inout RuleBuilder, _ option: RuleOptionText, _ field: ApplicationFlags, values: [String: UInt32]
  ) throws(RuleSyntaxError) {
    var set: UInt32 = 0
    var clear: UInt32 = 0
    for part in option.value.separated() {
      var name = part
      let isNegated = field != .dnp3Indications && name.skip(UInt8(ascii: "!"))
      name = name.trimmed
      guard let bit = values[name.lowercased] else {
        throw part.expected("one of \(values.keys.sorted().joined(separator: ", "))")
      }
      guard (set | clear) & bit == 0 else { throw part.error("expected \(part.quoted) only once") }
      if isNegated { clear |= bit } else { set |= bit }
    }
    try builder.restrict(to: field.protocols, at: option.keyword)
    builder.append(.applicationFlags(field, set: set, clear: clear), at: option.keyword)
  }

  /// A comparison in bytes, with a unit or without: `>10MB`.
  @Sendable
  private static func fileSize(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let units: [(String, Int)] = [("kib", 10), ("mib", 20), ("gib", 30), ("kb", 10), ("mb", 20), ("gb", 30)]
    guard let (unit, shift) = units.first(where: { option.value.lowercased.hasSuffix($0.0) }) else {
      try append(try NumberText.match(option.value, in: NumberText.long), to: &builder, option)
      return
    }
    var text = option.value
    text.range = text.range.lowerBound..<text.range.upperBound - unit.utf8.count
    let match = try NumberText.match(text, in: 0...Int(UInt32.max) >> shift)
    try append(match.multiplied(by: UInt32(1) << UInt32(shift)), to: &builder, option)
  }

  private static func append(
    _ match: NumberMatch, to builder: inout RuleBuilder, _ option: RuleOptionText
  ) throws(RuleSyntaxError) {
    try builder.restrict(to: .files, at: option.keyword)
    builder.append(.applicationNumber(.fileSize, match), at: option.keyword)
  }

  /// `SETTINGS_NAME` with a comparison behind it, or `SETTINGS_NAME=N`.
  @Sendable
  private static func http2Setting(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let value = option.value
    let end =
      value.range.first { index in
        let byte = value.text.bytes[index]
        return byte.isSpace || byte == UInt8(ascii: "<") || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "=")
      } ?? value.range.upperBound
    let name = value.slice(value.range.lowerBound..<end)
    guard let setting = http2Settings[name.string.uppercased()] else {
      throw name.expected("one of \(http2Settings.keys.sorted().joined(separator: ", "))")
    }
    let rest = value.slice(end..<value.range.upperBound).trimmed
    let match: NumberMatch = rest.isEmpty ? .greaterOrEqual(0) : try NumberText.match(rest, in: NumberText.long)
    try builder.restrict(to: [.http2], at: option.keyword)
    builder.append(.http2Setting(setting, match), at: option.keyword)
  }

  // RFC 6143 §7.1.3.
  private static let rfbResults: [String: UInt32] = ["ok": 0, "fail": 1, "toomany": 2, "unknown": 3]

  // RFC 9113 §6.5.2.
  private static let http2Settings: [String: UInt16] = [
    "SETTINGS_HEADER_TABLE_SIZE": 1, "SETTINGS_ENABLE_PUSH": 2, "SETTINGS_MAX_CONCURRENT_STREAMS": 3,
    "SETTINGS_INITIAL_WINDOW_SIZE": 4, "SETTINGS_MAX_FRAME_SIZE": 5, "SETTINGS_MAX_HEADER_LIST_SIZE": 6,
  ]

  // RFC 9113 §6.
  private static let http2FrameTypes: [String: UInt32] = [
    "data": 0, "headers": 1, "priority": 2, "rststream": 3, "settings": 4, "pushpromise": 5, "ping": 6, "goaway": 7,
    "windowupdate": 8, "continuation": 9,
  ]

  // RFC 9113 §7.
  private static let http2ErrorCodes: [String: UInt32] = [
    "no_error": 0, "protocol_error": 1, "internal_error": 2, "flow_control_error": 3, "settings_timeout": 4,
    "stream_closed": 5, "frame_size_error": 6, "refused_stream": 7, "cancel": 8, "compression_error": 9,
    "connect_error": 10, "enhance_your_calm": 11, "inadequate_security": 12, "http_1_1_required": 13,
  ]

  // MQTT 5.0 §2.1.2.
  private static let mqttTypes: [String: UInt32] = [
    "unassigned": 0, "connect": 1, "connack": 2, "publish": 3, "puback": 4, "pubrec": 5, "pubrel": 6, "pubcomp": 7,
    "subscribe": 8, "suback": 9, "unsubscribe": 10, "unsuback": 11, "pingreq": 12, "pingresp": 13, "disconnect": 14,
    "auth": 15,
  ]

  // MQTT 5.0 §3.1.2.3.
  private static let mqttConnectFlags: [String: UInt32] = [
    "username": 0x80, "password": 0x40, "will_retain": 0x20, "will": 0x04, "clean_session": 0x02,
  ]

  // IEEE 1815 §4.2.2.5.
  private static let dnp3Functions: [String: UInt32] = [
    "confirm": 0, "read": 1, "write": 2, "select": 3, "operate": 4, "direct_operate": 5, "direct_operate_nr": 6,
    "immed_freeze": 7, "immed_freeze_nr": 8, "freeze_clear": 9, "freeze_clear_nr": 10, "freeze_at_time": 11,
    "freeze_at_time_nr": 12, "cold_restart": 13, "warm_restart": 14, "initialize_data": 15, "initialize_appl": 16,
    "start_appl": 17, "stop_appl": 18, "save_config": 19, "enable_unsolicited": 20, "disable_unsolicited": 21,
    "assign_class": 22, "delay_measure": 23, "record_current_time": 24, "open_file": 25, "close_file": 26,
    "delete_file": 27, "get_file_info": 28, "authenticate_file": 29, "abort_file": 30, "activate_config": 31,
    "authenticate_req": 32, "authenticate_err": 33, "response": 129, "unsolicited_response": 130,
    "authenticate_resp": 131,
  ]

  // IEEE 1815 §4.2.2.6: the first octet stands above the second.
  private static let dnp3Indications: [String: UInt32] = [
    "all_stations": 0x0100, "class_1_events": 0x0200, "class_2_events": 0x0400, "class_3_events": 0x0800,
    "need_time": 0x1000, "local_control": 0x2000, "device_trouble": 0x4000, "device_restart": 0x8000,
    "no_func_code_support": 0x0001, "object_unknown": 0x0002, "parameter_error": 0x0004,
    "event_buffer_overflow": 0x0008, "already_executing": 0x0010, "config_corrupt": 0x0020, "reserved_2": 0x0040,
    "reserved_1": 0x0080,
  ]
}

extension NumberMatch {
  /// In another unit.
  fileprivate func multiplied(by factor: UInt32) -> NumberMatch {
    switch self {
    case .equal(let n): .equal(n * factor)
    case .notEqual(let n): .notEqual(n * factor)
    case .less(let n): .less(n * factor)
    case .lessOrEqual(let n): .lessOrEqual(n * factor)
    case .greater(let n): .greater(n * factor)
    case .greaterOrEqual(let n): .greaterOrEqual(n * factor)
    // Both ends are inside, and what lies between them and their neighbours is too.
    case .range(let r): .range((r.lowerBound - 1) * factor + 1...(r.upperBound + 1) * factor - 1)
    case .notRange(let r): .notRange(r.lowerBound * factor...r.upperBound * factor)
    }
  }
}
