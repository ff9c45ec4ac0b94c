/// Options that read numbers out of a buffer.
enum ByteKeywords {
  static let table: [Keyword] = [
    Keyword("byte_test", .plain, byteTest),
    Keyword("byte_jump", .plain, byteJump),
    Keyword("byte_extract", .plain, byteExtract),
    Keyword("byte_math", .plain, byteMath),
    Keyword("isdataat", .plain, isDataAt),
  ]

  // MARK: - byte_test

  /// `COUNT, [!]OPERATOR, VALUE, OFFSET[, relative][, little][, string, dec][, bitmask N]`.
  @Sendable
  private static func byteTest(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count >= 4 else {
      throw option.value.expected("the number of bytes, an operator, a value and an offset")
    }
    var test = ByteTest(
      byteCount: try builder.value(parts[0], in: 0...23), comparison: .equal,
      value: try builder.value(parts[2], in: 0...Int.max), offset: try builder.value(parts[3], in: offsets))
    try comparison(parts[1], &test)
    var format = ByteFormatText()
    for part in parts[4...] {
      if part.string == "relative" {
        test.isRelative = true
      } else if try !format.take(part, takesBitmask: true) {
        throw part.expected("relative, big, little, string, hex, dec, oct or bitmask")
      }
    }
    test.view = builder.view(isRelative: test.isRelative)
    test.format = try format.format(count: test.byteCount, textLimit: 23, at: parts[0])
    test.bitmask = format.bitmask
    if format.isDCE, !builder.hasSticky { try builder.restrict(to: [.dcerpc, .smb], at: option.keyword) }
    builder.append(.byteTest(test), at: option.keyword)
  }

  private static func comparison(_ text: RuleSlice, _ test: inout ByteTest) throws(RuleSyntaxError) {
    var rest = text
    test.isNegated = rest.skip(UInt8(ascii: "!"))
    switch rest.trimmed.string {
    case "<": test.comparison = .less
    case "<=": test.comparison = .lessOrEqual
    case ">": test.comparison = .greater
    case ">=": test.comparison = .greaterOrEqual
    case "=": test.comparison = .equal
    case "" where test.isNegated: test.comparison = .equal
    case "&": test.comparison = .and
    case "^": test.comparison = .xor
    default: throw text.expected("one of < <= = >= > & ^, with or without a '!' in front")
    }
  }

  // MARK: - byte_jump

  /// `COUNT, OFFSET[, relative][, multiplier N][, align][, from_beginning|from_end][, post_offset N][, …]`.
  @Sendable
  private static func byteJump(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count >= 2 else { throw option.value.expected("the number of bytes and an offset") }
    var jump = ByteJump(
      byteCount: try builder.value(parts[0], in: 0...23), offset: try builder.value(parts[1], in: offsets))
    var format = ByteFormatText()
    for part in parts[2...] {
      let (word, value) = part.firstWord
      switch word.string {
      case "relative": jump.isRelative = true
      case "align": jump.aligns = true
      case "multiplier": jump.multiplier = UInt32(try value.number(in: 1...Int(UInt16.max)))
      case "post_offset": jump.postOffset = try builder.value(value, in: offsets)
      case "from_beginning": try setOrigin(.beginning, of: &jump, word)
      case "from_end": try setOrigin(.end, of: &jump, word)
      default:
        guard try format.take(part, takesBitmask: true) else {
          throw part.expected(
            "relative, multiplier, align, from_beginning, from_end, post_offset, big, little, string, hex, dec, oct "
              + "or bitmask")
        }
      }
    }
    jump.view = builder.view(isRelative: jump.isRelative)
    jump.format = try format.format(count: jump.byteCount, textLimit: 23, at: parts[0])
    jump.bitmask = format.bitmask
    if format.isDCE, !builder.hasSticky { try builder.restrict(to: [.dcerpc, .smb], at: option.keyword) }
    builder.append(.byteJump(jump), at: option.keyword)
  }

  private static func setOrigin(
    _ origin: ByteJump.Origin, of jump: inout ByteJump, _ word: RuleSlice
  ) throws(RuleSyntaxError) {
    guard jump.origin == .bytesRead else { throw word.error("expected only one of from_beginning and from_end") }
    jump.origin = origin
  }

  // MARK: - byte_extract

  /// `COUNT, OFFSET, NAME[, relative][, multiplier N][, align 2|4][, little][, string, dec]`.
  @Sendable
  private static func byteExtract(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    guard parts.count >= 3 else { throw option.value.expected("the number of bytes, an offset and a name") }
    let count = try parts[0].number(in: 0...23)
    var extract = ByteExtract(
      byteCount: count, offset: try parts[1].number(in: offsets), variable: try builder.define(parts[2]))
    var format = ByteFormatText()
    for part in parts[3...] {
      let (word, value) = part.firstWord
      switch word.string {
      case "relative": extract.isRelative = true
      case "multiplier": extract.multiplier = UInt32(try value.number(in: 1...Int(UInt16.max)))
      case "align":
        extract.alignment = try value.number(in: 2...4)
        guard extract.alignment != 3 else { throw value.expected("2 or 4") }
      default:
        guard try format.take(part, takesBitmask: false) else {
          throw part.expected("relative, multiplier, align, big, little, string, hex, dec or oct")
        }
      }
    }
    extract.view = builder.view(isRelative: extract.isRelative)
    extract.format = try format.format(count: .constant(count), textLimit: format.extractLimit, at: parts[0])
    if format.isDCE, !builder.hasSticky { try builder.restrict(to: [.dcerpc, .smb], at: option.keyword) }
    builder.append(.byteExtract(extract), at: option.keyword)
  }

  // MARK: - byte_math

  /// `bytes COUNT, offset OFFSET, oper OPERATOR, rvalue VALUE, result NAME[, relative][, endian little][, string dec]
  /// [, bitmask N]`.
  @Sendable
  private static func byteMath(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    var fields: [String: RuleSlice] = [:]
    var isRelative = false
    var format = ByteFormatText()
    for part in option.value.separated() {
      let (word, value) = part.firstWord
      switch word.string {
      case "relative": isRelative = true
      case "bytes", "offset", "oper", "rvalue", "result", "endian", "string":
        guard fields.updateValue(value, forKey: word.string) == nil else {
          throw word.error("expected \(word.quoted) only once")
        }
        if word.string == "endian" { _ = try format.takeOrder(value) }
        if word.string == "string" { try format.takeDigits(value) }
      default:
        guard word.string == "bitmask", try format.take(part, takesBitmask: true) else {
          throw part.expected("bytes, offset, oper, rvalue, result, relative, endian, string or bitmask")
        }
      }
    }
    guard let bytes = fields["bytes"], let offset = fields["offset"], let oper = fields["oper"],
      let rvalue = fields["rvalue"], let result = fields["result"]
    else { throw option.value.error("expected bytes, offset, oper, rvalue and result") }
    let operand = try builder.value(rvalue, in: 0...Int(UInt32.max))
    let count = try builder.value(bytes, in: 0...10)
    var math = ByteMath(
      byteCount: count, offset: try offset.number(in: offsets), operation: try operation(oper), operand: operand,
      variable: try builder.define(result))
    math.isRelative = isRelative
    math.view = builder.view(isRelative: math.isRelative)
    math.format = try format.format(count: count, textLimit: 10, at: bytes)
    math.bitmask = format.bitmask
    if format.isDCE, !builder.hasSticky { try builder.restrict(to: [.dcerpc, .smb], at: option.keyword) }
    builder.append(.byteMath(math), at: option.keyword)
  }

  private static func operation(_ text: RuleSlice) throws(RuleSyntaxError) -> ByteMath.Operation {
    switch text.string {
    case "+": return .add
    case "-": return .subtract
    case "*": return .multiply
    case "/": return .divide
    case "<<": return .shiftLeft
    case ">>": return .shiftRight
    default: throw text.expected("one of + - * / << >>")
    }
  }

  // MARK: - isdataat

  /// `[!]POSITION[, relative][, rawbytes]`.
  @Sendable
  private static func isDataAt(_ builder: inout RuleBuilder, _ option: RuleOptionText) throws(RuleSyntaxError) {
    let parts = option.value.separated()
    var position = parts[0]
    let isNegated = position.skip(UInt8(ascii: "!"))
    var match = IsDataAt(position: try builder.value(position.trimmed, in: NumberText.short))
    match.isNegated = isNegated
    for part in parts[1...] {
      switch part.string {
      case "relative": match.isRelative = true
      // Nothing is decoded here, so that the bytes are always raw.
      case "rawbytes": break
      default: throw part.expected("relative or rawbytes")
      }
    }
    match.view = builder.view(isRelative: match.isRelative)
    if isNegated && match.isRelative, builder.dialect == .suricata, case .constant(1) = match.position,
      builder.endsLastOption(in: match.view)
    {
      return
    }
    builder.append(.isDataAt(match), at: option.keyword)
  }

  private static let offsets = -Int(UInt16.max)...Int(UInt16.max)
}

/// The words that say how a number is written: order, digits, mask.
struct ByteFormatText {
  private(set) var bitmask: UInt32?
  private var isLittleEndian = false
  private var isText = false
  private var hasOrder = false
  /// The byte order that the DCE/RPC header says.
  private(set) var isDCE = false
  private var base: RuleSlice?

  /// Takes the word if it is one of these.
  mutating func take(_ part: RuleSlice, takesBitmask: Bool) throws(RuleSyntaxError) -> Bool {
    let (word, value) = part.firstWord
    switch word.string {
    case "big", "little": return try takeOrder(part)
    case "string":
      isText = true
      if !value.isEmpty { base = value }
    case "hex", "dec", "oct": base = word
    case "bitmask" where takesBitmask: bitmask = UInt32(try value.anyNumber(in: 1...Int(UInt32.max)))
    case "dce": isDCE = true
    default: return false
    }
    return true
  }

  mutating func takeOrder(_ text: RuleSlice) throws(RuleSyntaxError) -> Bool {
    hasOrder = true
    switch text.string {
    case "big": isLittleEndian = false
    case "little": isLittleEndian = true
    default: throw text.expected("big or little")
    }
    return true
  }

  mutating func takeDigits(_ text: RuleSlice) throws(RuleSyntaxError) {
    isText = true
    base = text
  }

  /// How many digits `byte_extract` reads: as many as 64 bits can have.
  var extractLimit: Int {
    switch base?.string {
    case "hex": 14
    case "oct": 23
    default: 20
    }
  }

  /// - Parameters:
  ///   - textLimit: the most digits.
  ///   - place: where the count stands.
  func format(count: RuleValue, textLimit: Int, at place: RuleSlice) throws(RuleSyntaxError) -> ByteFormat {
    if isDCE {
      guard !isText, !hasOrder else { throw place.error("expected no 'string', 'big' or 'little' beside 'dce'") }
    }
    let limit = isText ? textLimit : 8
    if let number = count.constant, number > limit {
      throw place.expected("at most \(limit) bytes")
    }
    guard isText else {
      if let base { throw base.error("expected 'string' beside \(base.quoted)") }
      return isDCE ? .dce : .binary(isLittleEndian: isLittleEndian)
    }
    switch base?.string {
    case "hex": return .digits(base: 16)
    case "dec": return .digits(base: 10)
    case "oct": return .digits(base: 8)
    case nil: return .digits(base: 0)
    default: throw (base ?? place).expected("hex, dec or oct")
    }
  }
}
