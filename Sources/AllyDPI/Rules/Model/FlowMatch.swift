/// `flow`.
public struct FlowMatch: Sendable, Equatable {
  public enum State: Sendable { case established, notEstablished, stateless }
  public enum Side: Sendable { case toServer, toClient }
  public var state: State? = nil
  public var side: Side? = nil
  /// `only_stream`: reassembled data only.
  public var onlyStream: Bool = false
  /// `no_stream`: packets only.
  public var noStream: Bool = false
  /// `only_frag`: packets put together from fragments only.
  public var onlyFragments: Bool = false
  /// `no_frag`: packets not put together from fragments only.
  public var noFragments: Bool = false
  public init() {}
}

/// `flowbits`, `hostbits`, `xbits`: named bits that rules leave for each other.
public struct StateBits: Sendable, Equatable {
  public enum Action: Sendable {
    case set, unset, toggle
    /// Some of the names is set.
    case isSet
    /// None of… as Suricata: some of the names is not set.
    case isNotSet
    /// Whether the action decides on a match, or follows one.
    public var isCondition: Bool { self == .isSet || self == .isNotSet }
  }
  /// Whose bit: the flow's (`flowbits`), or a host's or pair's (`hostbits`, `xbits`).
  public enum Track: Sendable { case flow, sourceHost, destinationHost, hostPair }
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
