/// What a policy's rules counted.
public struct PolicyCounters: Sendable, Equatable {
  /// The `counter` statements, in the order of the text.
  public var statements: [PacketCount]
  /// The packets about which each rule gave a verdict (a jump is one), in the order of the text.
  public var rules: [PacketCount]
  /// The packets that no rule decided about, for each base chain in the order in which packets enter them.
  public var policies: [PacketCount]
}
