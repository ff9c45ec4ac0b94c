public import AllyPacket

/// Where a base chain looks at packets.
///
/// A NIC has two ways instead of nft's five hooks: `input` chains judge what the wire brings to the operating system
/// (`Direction.receive`), `output` chains what the operating system sends (`Direction.transmit`), and `forward`
/// chains judge both ways, as an appliance in the middle of a wire does.
public enum FirewallHook: String, Sendable, CaseIterable {
  case input
  case forward
  case output

  /// Whether chains of this hook see frames that travel in `direction`.
  public func sees(_ direction: Direction) -> Bool {
    switch self {
    case .input: direction == .receive
    case .forward: true
    case .output: direction == .transmit
    }
  }
}
