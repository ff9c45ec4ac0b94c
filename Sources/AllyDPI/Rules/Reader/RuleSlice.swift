/// A part of a rule's text that still knows where it stands.
struct RuleSlice {
  let text: RuleText
  var range: Range<Int>

  var isEmpty: Bool { range.isEmpty }
  var bytes: ArraySlice<UInt8> { text.bytes[range] }
  var first: UInt8? { range.isEmpty ? nil : text.bytes[range.lowerBound] }
  var last: UInt8? { range.isEmpty ? nil : text.bytes[range.upperBound - 1] }
  var location: RuleLocation { text.location(at: range.lowerBound) }

  /// The characters; bytes that are not UTF-8 are replaced.
  var string: String { String(decoding: bytes, as: UTF8.self) }
  /// In lower case: keywords and names of protocols and actions do not look at case.
  var lowercased: String { string.lowercased() }

  func slice(_ range: Range<Int>) -> RuleSlice { RuleSlice(text: text, range: range) }

  var trimmed: RuleSlice {
    var low = range.lowerBound
    var high = range.upperBound
    while low < high && text.bytes[low].isSpace { low += 1 }
    while high > low && text.bytes[high - 1].isSpace { high -= 1 }
    return slice(low..<high)
  }

  /// Takes one byte off the front if it is `byte`.
  mutating func skip(_ byte: UInt8) -> Bool {
    guard first == byte else { return false }
    range = range.lowerBound + 1..<range.upperBound
    return true
  }

  /// Takes `prefix` off the front if it is there.
  mutating func skip(_ prefix: StaticString) -> Bool {
    let count = prefix.utf8CodeUnitCount
    guard count <= range.count, string(ofFirst: count) == prefix.description else { return false }
    range = range.lowerBound + count..<range.upperBound
    return true
  }

  mutating func skipSpaces() {
    while let byte = first, byte.isSpace { range = range.lowerBound + 1..<range.upperBound }
  }

  private func string(ofFirst count: Int) -> String {
    String(decoding: text.bytes[range.lowerBound..<range.lowerBound + count], as: UTF8.self)
  }

  /// The parts between commas, trimmed; one empty part when there is nothing.
  func separated(by separator: UInt8 = UInt8(ascii: ",")) -> [RuleSlice] {
    var parts: [RuleSlice] = []
    var start = range.lowerBound
    for index in range where text.bytes[index] == separator {
      parts.append(slice(start..<index).trimmed)
      start = index + 1
    }
    parts.append(slice(start..<range.upperBound).trimmed)
    return parts
  }

  /// The parts between white space; none is empty.
  var words: [RuleSlice] {
    var parts: [RuleSlice] = []
    var rest = trimmed
    while !rest.isEmpty {
      let end = rest.range.first { text.bytes[$0].isSpace } ?? rest.range.upperBound
      parts.append(slice(rest.range.lowerBound..<end))
      rest = slice(end..<rest.range.upperBound).trimmed
    }
    return parts
  }

  /// The first word, and what follows it.
  var firstWord: (word: RuleSlice, rest: RuleSlice) {
    let all = trimmed
    let end = all.range.first { text.bytes[$0].isSpace } ?? all.range.upperBound
    return (slice(all.range.lowerBound..<end), slice(end..<all.range.upperBound).trimmed)
  }

  /// An error at the beginning of this part.
  func error(_ reason: String) -> RuleSyntaxError { RuleSyntaxError(offset: range.lowerBound, reason: reason) }

  /// An error here that says what was expected and what stands there instead.
  func expected(_ what: String) -> RuleSyntaxError { error("expected \(what), found \(quoted)") }

  /// The rule is not wrong, but asks for something that this version does not do.
  func unsupported(_ what: String) -> RuleSyntaxError {
    RuleSyntaxError(offset: range.lowerBound, reason: what, isUnsupported: true)
  }

  /// The text for a message: short, on one line.
  var quoted: String {
    if isEmpty { return "nothing" }
    var shown = ""
    for scalar in string.unicodeScalars {
      if shown.unicodeScalars.count == 40 {
        shown += "…"
        break
      }
      shown.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
    }
    return "'\(shown)'"
  }
}

// MARK: - Numbers

extension RuleSlice {
  /// A number in decimal digits.
  func number(in limits: ClosedRange<Int>) throws(RuleSyntaxError) -> Int {
    guard let value = decimal, limits.contains(value) else {
      throw expected("a number from \(limits.lowerBound) to \(limits.upperBound)")
    }
    return value
  }

  /// A number in decimal digits, or hexadecimal ones behind `0x`.
  func anyNumber(in limits: ClosedRange<Int>) throws(RuleSyntaxError) -> Int {
    guard let value = hexadecimal ?? decimal, limits.contains(value) else {
      throw expected("a number from \(limits.lowerBound) to \(limits.upperBound)")
    }
    return value
  }

  /// The value of the digits with an optional sign, when there is nothing else.
  private var decimal: Int? {
    var rest = self
    let isNegative = rest.skip(UInt8(ascii: "-"))
    if !isNegative { _ = rest.skip(UInt8(ascii: "+")) }
    guard !rest.isEmpty else { return nil }
    var value = 0
    for byte in rest.bytes {
      guard byte.isDigit else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int(byte - 0x30))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return isNegative ? -value : value
  }

  private var hexadecimal: Int? {
    var rest = self
    guard rest.skip("0x") || rest.skip("0X"), !rest.isEmpty, rest.range.count <= 15 else { return nil }
    var value = 0
    for byte in rest.bytes {
      guard let digit = byte.hexDigit else { return nil }
      value = value << 4 | Int(digit)
    }
    return value
  }
}
