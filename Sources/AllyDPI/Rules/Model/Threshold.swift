/// `threshold` and `detection_filter`.
public struct Threshold: Sendable, Equatable {
  public enum Kind: Sendable, BitwiseCopyable {
    /// At most `count` alerts in `seconds`.
    case limit
    /// One alert per `count` matches in `seconds`.
    case threshold
    /// One alert in `seconds`, once `count` matches are there.
    case both
    /// `detection_filter`: alerts from the match after the first `count` in `seconds` on.
    case detectionFilter
  }
  /// What the matches are counted by.
  public enum Track: Sendable, BitwiseCopyable { case bySource, byDestination, byBoth, byRule, byFlow }
  public var kind: Kind
  public var track: Track
  public var count: UInt32
  public var seconds: UInt32

  public init(kind: Kind, track: Track, count: UInt32, seconds: UInt32) {
    self.kind = kind
    self.track = track
    self.count = count
    self.seconds = seconds
  }
}

/// `rate_filter`: from the match after the first `count` in `seconds` on, another action for `timeout` seconds.
public struct RateFilter: Sendable, Equatable {
  public var track: Threshold.Track
  public var count: UInt32
  public var seconds: UInt32
  public var newAction: RuleAction
  /// Seconds; 0 for ever.
  public var timeout: UInt32

  public init(track: Threshold.Track, count: UInt32, seconds: UInt32, newAction: RuleAction, timeout: UInt32) {
    self.track = track
    self.count = count
    self.seconds = seconds
    self.newAction = newAction
    self.timeout = timeout
  }
}

/// `suppress`: the rule's alerts are not written for these addresses.
public struct Suppression: Sendable, Equatable {
  public enum Side: Sendable, BitwiseCopyable {
    /// Whatever the addresses.
    case everything
    case source, destination
    /// Source or destination.
    case either
  }
  public var side: Side
  public var addresses: AddressList

  public init(side: Side, addresses: AddressList) {
    self.side = side
    self.addresses = addresses
  }
}
