public import AllyPacket

/// The addresses of one side of a rule, with variables, nesting and negation resolved.
public struct AddressList: Sendable, Equatable {
  /// An interval of addresses, both ends included.
  public struct Range: Sendable, Equatable {
    public var first: IPAddress
    public var last: IPAddress

    public init(first: IPAddress, last: IPAddress) {
      self.first = first
      self.last = last
    }

    /// Every IPv4 and IPv6 address.
    public static var everything: Range {
      Range(first: IPAddress(high: 0, low: 0), last: IPAddress(high: .max, low: .max))
    }

    /// The IPv4-mapped range, in which IPv4 addresses stand.
    public static var everyIPv4: Range { Range(first: IPAddress(v4: 0), last: IPAddress(v4: .max)) }
  }

  /// Sorted, disjoint, not touching; what is negated is already taken out. IPv4 and IPv6 do not mix: `::/0` leaves
  /// the IPv4-mapped range out.
  public var included: [Range]
  /// Whether the list is every address.
  public var isAny: Bool
  /// Whether a `!` took part, directly or in a variable. Suricata does not take such a rule for one that looks at
  /// addresses alone.
  public var containsNegation: Bool

  public init(included: [Range], isAny: Bool, containsNegation: Bool) {
    self.included = included
    self.isAny = isAny
    self.containsNegation = containsNegation
  }

  /// `any`.
  public static var any: AddressList { AddressList(included: [.everything], isAny: true, containsNegation: false) }

  /// Whether `address` is in the list.
  public func contains(_ address: IPAddress) -> Bool {
    if isAny { return true }
    var low = 0
    var high = included.count
    while low < high {
      let middle = (low + high) / 2
      if included[middle].last < address { low = middle + 1 } else { high = middle }
    }
    return low < included.count && !(address < included[low].first)
  }
}
