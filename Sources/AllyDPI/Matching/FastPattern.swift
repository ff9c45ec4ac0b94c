/// The literal by which a rule is found: a packet that does not hold it cannot match the rule.
struct FastPattern: Equatable {
  var literal: HyperscanDatabase.Literal
  let rarity: Rarity

  /// How often a literal is met by chance, in the order of preference: a few common ones make every scan report all the time,
  /// which costs an order of magnitude.
  enum Rarity: Int, Comparable {
    /// A byte or a run of one, or a few bytes that are everywhere: not searched for.
    case common
    /// Two or three bytes: searched for together, apart from those that let a scan skip more.
    case short
    case rare

    static func < (left: Rarity, right: Rarity) -> Bool { left.rawValue < right.rawValue }
  }

  /// - Returns: the best literal of a rule in the payload; nil when it has none that must be there.
  static func best(of rule: Rule) -> FastPattern? { best(of: rule) { $0.buffer == .payload }?.pattern }

  /// - Returns: the best literal of a rule in a transaction's buffer, and that buffer as the rule sees it.
  static func bestInTransaction(of rule: Rule) -> (literal: FastPattern, view: BufferView)? {
    best(of: rule) { $0.buffer.origin == .transaction }.map { ($0.pattern, $0.view) }
  }

  private static func best(
    of rule: Rule, in isSearched: (BufferView) -> Bool
  ) -> (pattern: FastPattern, view: BufferView)? {
    var best: (pattern: FastPattern, view: BufferView, score: Int)? = nil
    for case .content(let content) in rule.options where isSearched(content.view) && !content.isNegated {
      var bytes = content.bytes[...]
      if let chop = content.fastPattern?.chop, chop.lowerBound >= 0, chop.upperBound <= bytes.count, !chop.isEmpty {
        bytes = bytes[chop]
      }
      let pattern = FastPattern(bytes: Array(bytes), isCaseless: content.isCaseless)
      // The rule's author has chosen; but a literal that is everywhere finds nothing.
      if content.fastPattern != nil && pattern.rarity == .rare { return (pattern, content.view) }
      let score = pattern.score
      if score > best?.score ?? -1 { best = (pattern, content.view, score) }
    }
    return best.map { ($0.pattern, $0.view) }
  }

  private init(bytes: [UInt8], isCaseless: Bool) {
    literal = HyperscanDatabase.Literal(
      bytes: isCaseless ? bytes.map(LiteralSearch.lowercase) : bytes, isCaseless: isCaseless)
    if Set(bytes).count == 1 {
      rarity = .common
    } else if bytes.count > 3 {
      rarity = .rare
    } else {
      rarity = FastPattern.weight(of: literal) > 8 ? .short : .common
    }
  }

  /// How rarely the literal is met by chance: rare bytes count more than common ones, a byte seen before counts little,
  /// and what is matched in both cases counts less.
  var score: Int { FastPattern.weight(of: literal) + rarity.rawValue * 1000 }

  /// Whether it is met by chance more often than is good for a search that has another way: small numbers, or a word that begins
  /// what many protocols say.
  var isFrequent: Bool { FastPattern.weight(of: literal) <= 16 }

  private static func weight(of literal: HyperscanDatabase.Literal) -> Int {
    var seen: Set<UInt8> = []
    var score = 0
    for byte in literal.bytes {
      if !seen.insert(byte).inserted {
        score += 1
        continue
      }
      switch byte {
      case 0x00, 0xFF, 0x20, 0x0A, 0x0D: score += 2
      case 0x61...0x7A, 0x41...0x5A: score += literal.isCaseless ? 3 : 4
      case 0x21...0x7E: score += 4
      default: score += 6
      }
    }
    return score
  }
}
