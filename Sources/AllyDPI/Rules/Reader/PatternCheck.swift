internal import CPCRE2

/// Whether PCRE2 takes a pattern. Patterns are compiled for use later, by the engine.
enum PatternCheck {
  /// How many groups of a pattern capture.
  ///
  /// - Parameter text: where the pattern stands.
  static func groupCount(_ pattern: PatternMatch, at text: RuleSlice) throws(RuleSyntaxError) -> Int {
    var code: Int32 = 0
    var offset = 0
    // An empty array may have no address, and PCRE2 wants one: a NUL behind the pattern sees to it.
    let compiled = unsafe (pattern.pattern + [0]).withUnsafeBufferPointer { buffer in
      unsafe pcre2_compile_8(buffer.baseAddress, buffer.count - 1, pattern.compileOptions, &code, &offset, nil)
    }
    if let compiled = unsafe compiled {
      var count: UInt32 = 0
      _ = unsafe pcre2_pattern_info_8(compiled, UInt32(PCRE2_INFO_CAPTURECOUNT), &count)
      unsafe pcre2_code_free_8(compiled)
      return Int(count)
    }
    throw RuleSyntaxError(
      offset: text.range.lowerBound + min(offset, text.range.count), reason: "PCRE2 says: \(message(code))")
  }

  private static func message(_ code: Int32) -> String {
    // The longest message of PCRE2 has fewer than 120 bytes.
    var bytes = [UInt8](repeating: 0, count: 256)
    let length = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
      unsafe pcre2_get_error_message_8(code, buffer.baseAddress, buffer.count)
    }
    guard length > 0 else { return "error \(code)" }
    return String(decoding: bytes.prefix(Int(length)), as: UTF8.self)
  }
}

extension PatternMatch {
  /// The flags as PCRE2's compile options.
  var compileOptions: UInt32 {
    var options: UInt32 = 0
    if caseless { options |= PCRE2_CASELESS }
    if dotAll { options |= PCRE2_DOTALL }
    if multiline { options |= PCRE2_MULTILINE }
    if extended { options |= PCRE2_EXTENDED }
    if anchored { options |= PCRE2_ANCHORED }
    if dollarEndOnly { options |= PCRE2_DOLLAR_ENDONLY }
    if ungreedy { options |= PCRE2_UNGREEDY }
    return options
  }
}
