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
