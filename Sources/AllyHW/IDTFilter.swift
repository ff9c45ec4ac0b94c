/// Who raises an interrupt.
@frozen
public enum InterruptSource: Sendable, BitwiseCopyable, Hashable {
  /// Software on a core, through its interrupt command register.
  case core(LocalAPICID)
  /// A PCI function, by pin or by message.
  case device(RequesterID)
  /// The MMU of a core, about a redirected access (paper §4.3).
  case redirection(LocalAPICID)
  /// A DPI core in a PCI function's place. It goes where the OS says, so no DPI core should take it: an OS that routes the
  /// function's interrupt to a DPI core would have that core interrupt itself for ever.
  case mimicked(RequesterID)
}

/// What keeps unauthorised interrupts off a DPI core (paper §3, and "IDT" in Table 1): what its Interrupt Descriptor
/// Table has a handler for, by source, vector and delivery mode. All else is dropped and counted, whatever its
/// delivery mode: NMIs and INIT too.
///
/// A filter without entries that is ``isEnabled`` drops everything. OS cores have theirs disabled. To drop an interrupt
/// takes one look at a bit, mostly.
@frozen
public struct IDTFilter: Sendable, BitwiseCopyable {
  /// How many entries fit: the redirection IPIs of 63 cores, and as many others.
  @inlinable public static var capacity: Int { 128 }

  @usableFromInline
  struct Entry: Sendable, BitwiseCopyable, Equatable {
    var source: InterruptSource
    /// 0 when the delivery mode has none.
    var vector: UInt8
    var mode: DeliveryMode
  }

  @usableFromInline var entries: InlineArray<128, Entry>
  @usableFromInline var count: Int
  /// Vectors that some entry is about.
  private var vectors: VectorSet
  public var isEnabled: Bool
  /// Interrupts that were not let through.
  public private(set) var dropped: UInt64

  public init(isEnabled: Bool) {
    entries = .init(repeating: Entry(source: .core(LocalAPICID(0)), vector: 0, mode: .fixed))
    count = 0
    vectors = VectorSet()
    self.isEnabled = isEnabled
    dropped = 0
  }

  /// The entry that an interrupt has to match. Lowest priority is fixed, by the time that it reaches a core.
  private static func entry(_ source: InterruptSource, _ vector: UInt8, _ mode: DeliveryMode) -> Entry {
    Entry(source: source, vector: mode.usesVector ? vector : 0, mode: mode.usesVector ? .fixed : mode)
  }

  /// Lets `vector` through when it comes from `source`; or an interrupt of a delivery mode without vectors. False when
  /// there is no room.
  @discardableResult
  public mutating func authorize(_ source: InterruptSource, vector: UInt8, mode: DeliveryMode = .fixed) -> Bool {
    if isAuthorized(source, vector: vector, mode: mode) { return true }
    guard count < Self.capacity else { return false }
    let entry = Self.entry(source, vector, mode)
    entries[count] = entry
    count &+= 1
    vectors.insert(entry.vector)
    return true
  }

  /// Takes an authorisation back.
  public mutating func revoke(_ source: InterruptSource, vector: UInt8, mode: DeliveryMode = .fixed) {
    let entry = Self.entry(source, vector, mode)
    for index in 0..<count where entries[index] == entry {
      count &-= 1
      entries[index] = entries[count]
      break
    }
    vectors = VectorSet()
    for index in 0..<count { vectors.insert(entries[index].vector) }
  }

  public func isAuthorized(_ source: InterruptSource, vector: UInt8, mode: DeliveryMode = .fixed) -> Bool {
    let entry = Self.entry(source, vector, mode)
    guard vectors.contains(entry.vector) else { return false }
    for index in 0..<count where entries[index] == entry { return true }
    return false
  }

  /// Whether an interrupt would reach the core.
  func admits(_ source: InterruptSource, vector: UInt8, mode: DeliveryMode) -> Bool {
    !isEnabled || isAuthorized(source, vector: vector, mode: mode)
  }

  /// Whether an interrupt reaches the core; one that does not is counted.
  public mutating func admit(_ source: InterruptSource, vector: UInt8, mode: DeliveryMode = .fixed) -> Bool {
    if admits(source, vector: vector, mode: mode) { return true }
    dropped &+= 1
    return false
  }
}
