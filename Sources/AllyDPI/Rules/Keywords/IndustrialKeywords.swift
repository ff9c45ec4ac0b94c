/// Modbus, DNP3 and EtherNet/IP.
enum IndustrialKeywords {
  static let table: [Keyword] = [
    Keyword("modbus", .plain, modbus),
    Keyword("dnp3_obj", .plain) { builder, option throws(RuleSyntaxError) in
      let parts = option.value.separated()
      guard parts.count == 2 else { throw option.value.expected("a group and a variation") }
      let group = UInt8(try parts[0].number(in: NumberText.byte))
      let variation = UInt8(try parts[1].number(in: NumberText.byte))
      try builder.restrict(to: [.dnp3], at: option.keyword)
      builder.append(.dnp3Object(group: group, variation: variation), at: option.keyword)
    },
    Keyword("cip_service", .plain) { builder, option throws(RuleSyntaxError) in
      let parts = option.value.separated()
      guard parts.count <= 3 else { throw parts[3].expected("a service, a class and an attribute") }
      let service = UInt8(try parts[0].number(in: 0...127))
      let classNumber = parts.count > 1 ? UInt16(try parts[1].number(in: NumberText.short)) : nil
      let attribute = parts.count > 2 ? UInt16(try parts[2].number(in: NumberText.short)) : nil
      try builder.restrict(to: [.enip], at: option.keyword)
      builder.append(
        .cipService(CIPService(service: service, classNumber: classNumber, attribute: attribute)), at: option.keyword)
    },
  ]

  // MARK: - modbus

  /// `unit N, function N[, subfunction N]`, `function [!]CATEGORY`, `access read|write …`.
  @Sendable
  private static func modbus(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var match = ModbusMatch()
    for part in option.value.separated() {
      let (word, value) = part.firstWord
      switch word.string {
      case "unit" where match == ModbusMatch(): match.unit = try number(value, in: NumberText.byte)
      case "function" where match.function == nil && match.category == nil && match.access == nil:
        if value.first?.isDigit == true {
          match.function = UInt8(try value.number(in: NumberText.byte))
        } else {
          match.category = try category(value)
        }
      case "subfunction" where match.function != nil && match.subfunction == nil:
        match.subfunction = UInt16(try value.number(in: NumberText.short))
      case "access" where match.function == nil && match.category == nil && match.access == nil:
        match.access = try access(value)
      case "address":
        guard match.access?.table != nil, match.access?.address == nil else {
          throw word.error("expected 'access' and a table in front of 'address'")
        }
        match.access?.address = try number(value, in: NumberText.short)
      case "value":
        guard match.access?.address != nil, match.access?.isWrite == true else {
          throw word.error("expected 'access write', a table and 'address' in front of 'value'")
        }
        match.access?.value = try number(value, in: NumberText.short)
      default: throw part.expected("unit, function, subfunction, access, address or value")
      }
    }
    try builder.restrict(to: [.modbus], at: option.keyword)
    builder.append(.modbus(match), at: option.keyword)
  }

  /// A comparison; `0<>N` has no lower end and means less than N.
  private static func number(_ text: RuleSlice, in limits: ClosedRange<Int>) throws(RuleSyntaxError) -> NumberMatch {
    let match = try NumberText.match(text, in: limits)
    if case .range(let range) = match, range.lowerBound == 1 { return .less(range.upperBound + 1) }
    return match
  }

  private static func category(_ text: RuleSlice) throws(RuleSyntaxError) -> ModbusMatch.Category {
    var name = text
    let isNegated = name.skip(UInt8(ascii: "!"))
    let bits: [String: UInt8] = [
      "assigned": 0x01, "unassigned": 0x02, "public": 0x03, "user": 0x04, "reserved": 0x08, "all": 0x0F,
    ]
    guard let known = bits[name.trimmed.lowercased] else {
      throw text.expected("a function code, or assigned, unassigned, public, user, reserved or all")
    }
    return ModbusMatch.Category(bits: known, isNegated: isNegated)
  }

  private static func access(_ text: RuleSlice) throws(RuleSyntaxError) -> ModbusMatch.Access {
    let (kind, rest) = text.firstWord
    var access: ModbusMatch.Access
    switch kind.string {
    case "read": access = ModbusMatch.Access(isWrite: false)
    case "write": access = ModbusMatch.Access(isWrite: true)
    default: throw kind.expected("read or write")
    }
    guard !rest.isEmpty else { return access }
    guard let table = ModbusMatch.Access.Table(rawValue: rest.string) else {
      throw rest.expected("discretes, coils, input or holding")
    }
    guard !access.isWrite || table == .coils || table == .holding else {
      throw rest.error("expected coils or holding: \(rest.quoted) cannot be written")
    }
    access.table = table
    return access
  }
}
