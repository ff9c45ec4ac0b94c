/// `pcre`.
public struct PatternMatch: Sendable {
  public var view: BufferView = .payload
  /// Between the delimiters, as written.
  public var pattern: [UInt8]
  public var isNegated: Bool = false
  /// `i`.
  public var caseless: Bool = false
  /// `s`: `.` matches a line feed.
  public var dotAll: Bool = false
  /// `m`.
  public var multiline: Bool = false
  /// `x`.
  public var extended: Bool = false
  /// `A`: at the start of the buffer, or of what is left of it.
  public var anchored: Bool = false
  /// `E`.
  public var dollarEndOnly: Bool = false
  /// `G`.
  public var ungreedy: Bool = false
  /// `R`: the search begins at the end of the previous match.
  public var relative: Bool = false
  /// `O`: the configured match limit does not count; the bound that protects the core does.
  public var overridesMatchLimit: Bool = false
  /// Of the pattern's first byte.
  public var location: RuleLocation

  public init(pattern: [UInt8], location: RuleLocation) {
    self.pattern = pattern
    self.location = location
  }
}
