/// Comparisons with numbers, as most keywords write them.
enum NumberText {
  /// `5`, `=5`, `!5`, `!=5`, `<5`, `<=5`, `>5`, `>=5`, and the ranges `5-9` and `5<>9`, which leave out both ends, and
  /// `5<=>9`, which does not.
  ///
  /// - Parameter includesEnds: for keywords whose ranges never leave out their ends.
  static func match(
    _ text: RuleSlice, in limits: ClosedRange<Int>, includesEnds: Bool = false
  ) throws(RuleSyntaxError) -> NumberMatch {
    func number(_ text: RuleSlice) throws(RuleSyntaxError) -> UInt32 {
      UInt32(try text.trimmed.number(in: limits))
    }
    var rest = text
    if rest.skip("<=") { return .lessOrEqual(try number(rest)) }
    if rest.skip(">=") { return .greaterOrEqual(try number(rest)) }
    if rest.skip("!=") || rest.skip("!") { return .notEqual(try number(rest)) }
    if rest.skip("<") { return .less(try number(rest)) }
    if rest.skip(">") { return .greater(try number(rest)) }
    if rest.skip("=") { return .equal(try number(rest)) }
    guard let (first, last, isInclusive) = range(rest) else { return .equal(try number(rest)) }
    let low = try number(first)
    let high = try number(last)
    if isInclusive {
      guard low <= high else { throw text.error("expected the lower number first, found \(text.quoted)") }
      return .range(low...high)
    }
    if includesEnds {
      guard low < high else { throw text.error("expected the lower number first, found \(text.quoted)") }
      return .range(low...high)
    }
    guard low < high, high - low > 1 else {
      throw text.error("expected a range with a number inside (both ends are left out), found \(text.quoted)")
    }
    return .range(low + 1...high - 1)
  }

  private static func range(_ text: RuleSlice) -> (first: RuleSlice, last: RuleSlice, isInclusive: Bool)? {
    for index in text.range where index > text.range.lowerBound {
      let first = text.slice(text.range.lowerBound..<index)
      var last = text.slice(index..<text.range.upperBound)
      if last.skip("<=>") { return (first, last, true) }
      if last.skip("<>") || last.skip("-") { return (first, last, false) }
    }
    return nil
  }

  /// `5` or `!5`.
  static func equality(_ text: RuleSlice, in limits: ClosedRange<Int>) throws(RuleSyntaxError) -> NumberMatch {
    var rest = text
    let isNegated = rest.skip(UInt8(ascii: "!"))
    let number = UInt32(try rest.trimmed.number(in: limits))
    return isNegated ? .notEqual(number) : .equal(number)
  }

  static let byte = 0...Int(UInt8.max)
  static let short = 0...Int(UInt16.max)
  static let long = 0...Int(UInt32.max)
}

extension Keyword {
  /// A keyword whose value is a comparison with a number.
  static func number(
    _ name: String, in limits: ClosedRange<Int>, isUnique: Bool = false,
    _ option: @escaping @Sendable (NumberMatch) -> RuleOption
  ) -> Keyword {
    Keyword(name, .plain, isUnique: isUnique) { builder, text throws(RuleSyntaxError) in
      builder.append(option(try NumberText.match(text.value, in: limits)), at: text.keyword)
    }
  }

  /// A keyword whose value is one number.
  static func exactly(
    _ name: String, in limits: ClosedRange<Int>, _ option: @escaping @Sendable (NumberMatch) -> RuleOption
  ) -> Keyword {
    Keyword(name, .plain) { builder, text throws(RuleSyntaxError) in
      builder.append(option(.equal(UInt32(try text.value.number(in: limits)))), at: text.keyword)
    }
  }
}
