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
  /// Where the text of groups goes: of the first ones, and of those that are named `flow_NAME` or `pkt_NAME`.
  public var captures: [Capture] = []
  /// Of the pattern's first byte.
  public var location: RuleLocation

  /// A group's text kept under a name.
  public struct Capture: Sendable, Equatable {
    /// For how long: the flow's life, or for the packet.
    public enum Scope: String, Sendable, BitwiseCopyable {
      case flow
      case packet = "pkt"
    }
    public var scope: Scope
    public var name: String
  }

  /// Where the groups with a name of ours go.
  var captureScopes: [Capture.Scope] {
    let text = String(decoding: pattern, as: UTF8.self)
    let named = [Capture.Scope.flow, .packet].filter { text.contains("<\($0.rawValue)_") }
    return captures.map(\.scope) + named
  }

  public init(pattern: [UInt8], location: RuleLocation) {
    self.pattern = pattern
    self.location = location
  }
}
