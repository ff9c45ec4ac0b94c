/// The ports of one side of a rule, with variables, nesting and negation resolved.
public struct PortList: Sendable, Equatable {
  /// Sorted, disjoint, not touching; what is negated is already taken out.
  public var included: [ClosedRange<UInt16>]
  /// Whether the list is every port.
  public var isAny: Bool

  public init(included: [ClosedRange<UInt16>], isAny: Bool) {
    self.included = included
    self.isAny = isAny
  }

  /// `any`.
  public static var any: PortList { PortList(included: [0...UInt16.max], isAny: true) }

  /// Whether `port` is in the list.
  public func contains(_ port: UInt16) -> Bool {
    isAny || included.contains { $0.contains(port) }
  }
}
