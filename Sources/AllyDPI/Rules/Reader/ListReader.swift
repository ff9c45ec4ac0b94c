/// Reads the lists of the header: `item`, `!item`, `$VARIABLE`, `[item, ![item, item], $VARIABLE]`.
struct ListReader<Set: NegatableSet> {
  /// Reads one item that is neither a list nor a variable.
  let item: (RuleSlice) throws(RuleSyntaxError) -> Set
  let lookUp: RuleVariables.LookUp<ListParts<Set>>
  /// For messages: "addresses", "ports".
  let what: String
  /// Lists may stand in each other this deep: reading recurses.
  private let deepest = 64

  init(
    item: @escaping (RuleSlice) throws(RuleSyntaxError) -> Set,
    lookUp: @escaping RuleVariables.LookUp<ListParts<Set>>, what: String
  ) {
    self.item = item
    self.lookUp = lookUp
    self.what = what
  }

  /// Reads a whole field.
  func read(_ field: RuleSlice) throws(RuleSyntaxError) -> ListParts<Set> {
    var rest = field
    // `a,b` without brackets is a list too.
    return try list(&rest, end: nil, depth: 0)
  }

  private func list(_ rest: inout RuleSlice, end: UInt8?, depth: Int) throws(RuleSyntaxError) -> ListParts<Set> {
    var parts = ListParts<Set>()
    while true {
      rest.skipSpaces()
      // A comma may stand behind the last item.
      if !parts.isEmpty, isAtEnd(rest, end) { break }
      try element(&rest, depth, into: &parts)
      rest.skipSpaces()
      if isAtEnd(rest, end) { break }
      let separator = rest
      guard rest.skip(UInt8(ascii: ",")) else {
        throw separator.expected(end == nil ? "','" : "',' or ']' in the list")
      }
    }
    if end != nil { _ = rest.skip(UInt8(ascii: "]")) }
    return parts
  }

  private func isAtEnd(_ rest: RuleSlice, _ end: UInt8?) -> Bool { end == nil ? rest.isEmpty : rest.first == end }

  private func element(
    _ rest: inout RuleSlice, _ depth: Int, into parts: inout ListParts<Set>
  ) throws(RuleSyntaxError) {
    let isNegated = rest.skip(UInt8(ascii: "!"))
    rest.skipSpaces()
    let start = rest
    let read: ListParts<Set>
    if rest.skip(UInt8(ascii: "[")) {
      guard depth < deepest else { throw start.error("expected at most \(deepest) lists in each other") }
      read = try list(&rest, end: UInt8(ascii: "]"), depth: depth + 1)
    } else {
      let bytes = rest.text.bytes
      let end =
        rest.range.first { bytes[$0] == UInt8(ascii: ",") || bytes[$0] == UInt8(ascii: "]") || bytes[$0].isSpace }
        ?? rest.range.upperBound
      var name = rest.slice(rest.range.lowerBound..<end)
      rest.range = end..<rest.range.upperBound
      guard !name.isEmpty else { throw start.expected(what) }
      read = try name.skip(UInt8(ascii: "$")) ? lookUp(name) : ListParts(named: item(name))
    }
    if isNegated {
      parts.negate(try read.set(at: start, of: what))
    } else {
      parts.merge(read)
    }
  }
}

/// What a list names and what it negates.
///
/// The list means the union of the one without the union of the other; when it only negates, that is taken from
/// everything. A list or variable inside a list adds its parts to the outer one's, as if its text stood there:
/// `[$EXTERNAL_NET,10.1.1.1]` with the usual `!$HOME_NET` is 10.1.1.1 without the home network. A negated one is
/// worked out first: `![10.0.0.0/8,!10.1.1.1]` is everything outside 10.0.0.0/8, and 10.1.1.1.
struct ListParts<Set: NegatableSet> {
  private var named: Set?
  private var negated: Set?

  init(named: Set? = nil) { self.named = named }

  var isEmpty: Bool { named == nil && negated == nil }

  mutating func merge(_ other: ListParts) {
    if let set = other.named { named = named?.union(set) ?? set }
    if let set = other.negated { negate(set) }
  }

  mutating func negate(_ set: Set) { negated = negated?.union(set) ?? set }

  /// - Parameters:
  ///   - place: where the list stands.
  ///   - what: "addresses", "ports".
  func set(at place: RuleSlice, of what: String) throws(RuleSyntaxError) -> Set {
    guard let negated else { return named ?? .everything }
    var result = (named ?? .everything).subtracting(negated)
    result.containsNegation = true
    guard !result.isEmpty else {
      throw place.error("no \(what) are left: what is negated covers all that is named")
    }
    return result
  }
}

extension ListParts: Sendable where Set: Sendable {}

/// What ``ListReader`` computes with.
protocol NegatableSet {
  static var everything: Self { get }
  var isEmpty: Bool { get }
  /// Whether a negation took part.
  var containsNegation: Bool { get set }
  func union(_ other: Self) -> Self
  func subtracting(_ other: Self) -> Self
}
