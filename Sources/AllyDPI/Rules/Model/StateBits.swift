/// `flowvar`, `pktvar`: a text that a group of a pattern captured, and what it has to hold.
public struct VariableMatch: Sendable, Equatable {
  public var scope: PatternMatch.Capture.Scope
  public var name: String
  public var text: [UInt8]
}

/// `flowbits`, `hostbits`, `xbits`: named bits that rules leave for each other.
public struct StateBits: Sendable, Equatable {
  public enum Action: Sendable {
    // Done when the rule matches.
    case set, unset, toggle
    /// Condition: at least one of the names is set.
    case isSet
    /// Condition: at least one of the names is not set.
    case isNotSet

    /// Whether the action decides on a match, or follows one.
    public var isCondition: Bool { self == .isSet || self == .isNotSet }
  }
  /// Whose bit: the flow's (`flowbits`), or a host's or pair's (`hostbits`, `xbits`).
  public enum Track: Sendable, BitwiseCopyable { case flow, sourceHost, destinationHost, hostPair }
  public var action: Action
  /// One name, or several for the two conditions.
  public var names: [String]
  public var track: Track
  /// Seconds until a bit that is set expires; nil for as long as its flow or host lives.
  public var expiry: UInt32? = nil

  public init(action: Action, names: [String], track: Track) {
    self.action = action
    self.names = names
    self.track = track
  }
}
