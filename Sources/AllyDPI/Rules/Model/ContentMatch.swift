/// `content` with its modifiers.
public struct ContentMatch: Sendable {
  public var view: BufferView = .payload
  /// The literal, escapes and hex resolved; never empty.
  public var bytes: [UInt8]
  public var isNegated: Bool = false
  public var isCaseless: Bool = false
  /// `rawbytes`: nothing is decoded before the search here, so it changes nothing.
  public var isRaw: Bool = false
  /// `startswith` is offset 0 with depth of the length, and the reader sets them too; it is kept apart for messages.
  public var startsWith: Bool = false
  /// `endswith`: the match ends where the buffer ends.
  public var endsWith: Bool = false
  /// Absolute: first byte at which the match may begin.
  public var offset: RuleValue? = nil
  /// Absolute: the match lies within this many bytes from `offset`.
  public var depth: RuleValue? = nil
  /// Relative to the end of the previous match; may be negative.
  public var distance: RuleValue? = nil
  /// Relative: the match ends within this many bytes from the previous match's end plus `distance`.
  public var within: RuleValue? = nil
  public var fastPattern: FastPattern? = nil
  public var location: RuleLocation

  public var isRelative: Bool { distance != nil || within != nil }

  /// `fast_pattern`: this content is the one to search for first.
  public struct FastPattern: Sendable, Equatable {
    /// `fast_pattern:only`: the search alone decides, wherever the content stands.
    public var only: Bool
    /// `fast_pattern:offset,length`: the part of the literal to search for.
    public var chop: Range<Int>?

    public init(only: Bool = false, chop: Range<Int>? = nil) {
      self.only = only
      self.chop = chop
    }
  }

  public init(bytes: [UInt8], location: RuleLocation) {
    self.bytes = bytes
    self.location = location
  }
}
