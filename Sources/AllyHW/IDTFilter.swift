/// Who raises an interrupt.
@frozen
public enum InterruptSource: Sendable, BitwiseCopyable, Hashable {
  /// Software on a core, through its interrupt command register.
  case core(LocalAPICID)
  /// A PCI function, by pin or by message.
  case device(RequesterID)
  /// The MMU of a core, about a redirected access (paper §4.3).
  case redirection(LocalAPICID)
}

/// What keeps unauthorised interrupts off a DPI core (paper §3, and "IDT" in Table 1): the pairs of vector and source
/// that its Interrupt Descriptor Table has a handler for. All else is dropped and counted.
///
/// A filter without entries that is ``isEnabled`` drops everything. OS cores have theirs disabled.
@frozen
public struct IDTFilter: Sendable, BitwiseCopyable {
  /// How many pairs fit.
  @inlinable public static var capacity: Int { 32 }

  @usableFromInline var sources: InlineArray<32, InterruptSource>
  @usableFromInline var vectors: InlineArray<32, UInt8>
  @usableFromInline var count: Int
  public var isEnabled: Bool
  /// Interrupts that were not let through.
  public private(set) var dropped: UInt64

  public init(isEnabled: Bool) {
    sources = .init(repeating: .core(LocalAPICID(0)))
    vectors = .init(repeating: 0)
    count = 0
    self.isEnabled = isEnabled
    dropped = 0
  }

  /// Lets `vector` through when it comes from `source`; false when there is no room.
  @discardableResult
  public mutating func authorize(_ source: InterruptSource, vector: UInt8) -> Bool {
    if isAuthorized(source, vector: vector) { return true }
    guard count < Self.capacity else { return false }
    sources[count] = source
    vectors[count] = vector
    count &+= 1
    return true
  }

  /// Takes an authorisation back.
  public mutating func revoke(_ source: InterruptSource, vector: UInt8) {
    for index in 0..<count where sources[index] == source && vectors[index] == vector {
      count &-= 1
      sources[index] = sources[count]
      vectors[index] = vectors[count]
      return
    }
  }

  public func isAuthorized(_ source: InterruptSource, vector: UInt8) -> Bool {
    for index in 0..<count where sources[index] == source && vectors[index] == vector { return true }
    return false
  }

  /// Whether an interrupt reaches the core; one that does not is counted.
  public mutating func admit(_ source: InterruptSource, vector: UInt8) -> Bool {
    if !isEnabled || isAuthorized(source, vector: vector) { return true }
    dropped &+= 1
    return false
  }
}
