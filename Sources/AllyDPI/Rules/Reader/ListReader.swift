/// Reads the lists of the header: `item`, `!item`, `$VARIABLE`, `[item, ![item, item], $VARIABLE]`.
///
/// A list means the union of what it names without the union of what it negates; when it names nothing but negations,
/// they are taken from everything. This holds at each level, so that `![10.0.0.0/8,!10.1.1.1]` is everything outside
/// 10.0.0.0/8, and 10.1.1.1.
struct ListReader<Set: NegatableSet> {
  /// Reads one item that is neither a list nor a variable.
  let item: (RuleSlice) throws(RuleSyntaxError) -> Set
  let lookUp: RuleVariables.LookUp<Set>
  /// For messages: "addresses", "ports".
  let what: String
  /// Lists may stand in each other this deep: reading recurses.
  private let deepest = 64

  init(
    item: @escaping (RuleSlice) throws(RuleSyntaxError) -> Set, lookUp: @escaping RuleVariables.LookUp<Set>,
    what: String
  ) {
    self.item = item
    self.lookUp = lookUp
    self.what = what
  }

  /// Reads a whole field.
  func read(_ field: RuleSlice) throws(RuleSyntaxError) -> Set {
    var rest = field
    // `a,b` without brackets is a list too.
    return try list(&rest, end: nil, depth: 0)
  }

  private func list(_ rest: inout RuleSlice, end: UInt8?, depth: Int) throws(RuleSyntaxError) -> Set {
    let start = rest
    var named: Set? = nil
    var negated: Set? = nil
    while true {
      rest.skipSpaces()
      // A comma may stand behind the last item.
      if named != nil || negated != nil, atEnd(rest, end) { break }
      let (set, isNegated) = try element(&rest, depth)
      if isNegated { negated = negated?.union(set) ?? set } else { named = named?.union(set) ?? set }
      rest.skipSpaces()
      if atEnd(rest, end) { break }
      let separator = rest
      guard rest.skip(UInt8(ascii: ",")) else {
        throw separator.expected(end == nil ? "','" : "',' or ']' in the list")
      }
    }
    if end != nil { _ = rest.skip(UInt8(ascii: "]")) }
    guard let negated else { return named ?? .everything }
    var result = (named ?? .everything).subtracting(negated)
    result.containsNegation = true
    guard !result.isEmpty else {
      throw start.error("no \(what) are left: what is negated covers all that is named")
    }
    return result
  }

  private func atEnd(_ rest: RuleSlice, _ end: UInt8?) -> Bool { end == nil ? rest.isEmpty : rest.first == end }

  private func element(_ rest: inout RuleSlice, _ depth: Int) throws(RuleSyntaxError) -> (Set, isNegated: Bool) {
    let isNegated = rest.skip(UInt8(ascii: "!"))
    rest.skipSpaces()
    let start = rest
    if rest.skip(UInt8(ascii: "[")) {
      guard depth < deepest else { throw start.error("expected at most \(deepest) lists in each other") }
      return (try list(&rest, end: UInt8(ascii: "]"), depth: depth + 1), isNegated)
    }
    let bytes = rest.text.bytes
    let end =
      rest.range.first { bytes[$0] == UInt8(ascii: ",") || bytes[$0] == UInt8(ascii: "]") || bytes[$0].isSpace }
      ?? rest.range.upperBound
    var name = rest.slice(rest.range.lowerBound..<end)
    rest.range = end..<rest.range.upperBound
    guard !name.isEmpty else { throw start.expected("\(what)") }
    let set = try name.skip(UInt8(ascii: "$")) ? lookUp(name) : item(name)
    return (set, isNegated)
  }
}

/// What ``ListReader`` computes with.
protocol NegatableSet {
  static var everything: Self { get }
  var isEmpty: Bool { get }
  /// Whether a negation took part.
  var containsNegation: Bool { get set }
  func union(_ other: Self) -> Self
  func subtracting(_ other: Self) -> Self
}
