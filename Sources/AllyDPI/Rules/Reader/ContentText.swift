/// The literal of a content: characters, `|41 42|` in hexadecimal, and `\` in front of `"`, `;`, `:` and `\`.
enum ContentText {
  static func bytes(of text: RuleSlice) throws(RuleSyntaxError) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.range.count)
    var index = text.range.lowerBound
    while index < text.range.upperBound {
      let byte = text.text.bytes[index]
      let rest = text.slice(index..<text.range.upperBound)
      switch byte {
      case UInt8(ascii: "|"):
        index = try hexadecimal(rest, into: &result)
      case UInt8(ascii: "\\"):
        guard rest.range.count > 1, isEscapable(text.text.bytes[index + 1]) else {
          throw rest.slice(index..<min(index + 2, text.range.upperBound))
            .expected("one of \\\" \\; \\: \\\\ (a backslash itself is written \\\\)")
        }
        result.append(text.text.bytes[index + 1])
        index += 2
      case UInt8(ascii: "\""):
        throw rest.error("expected a quote within a content to be written \\\" or |22|")
      default:
        result.append(byte)
        index += 1
      }
    }
    guard !result.isEmpty else { throw text.error("expected at least one byte of content") }
    return result
  }

  private static func isEscapable(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\"") || byte == UInt8(ascii: ";") || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "\\")
  }

  /// Reads `|..|` and returns where it ends.
  private static func hexadecimal(_ text: RuleSlice, into result: inout [UInt8]) throws(RuleSyntaxError) -> Int {
    var index = text.range.lowerBound + 1
    var high: UInt8? = nil
    while index < text.range.upperBound {
      let byte = text.text.bytes[index]
      let place = text.slice(index..<index + 1)
      if byte == UInt8(ascii: "|") {
        guard high == nil else { throw place.error("expected two hexadecimal digits for each byte, found one") }
        return index + 1
      }
      if let digit = byte.hexDigit {
        if let first = high { result.append(first << 4 | digit) }
        high = high == nil ? digit : nil
      } else if byte != UInt8(ascii: " ") {
        throw place.expected("a hexadecimal digit or '|'")
      }
      index += 1
    }
    throw text.error("expected '|' at the end of the hexadecimal bytes")
  }
}
