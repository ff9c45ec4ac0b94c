/// What a local APIC has done with interrupts sent to it.
@frozen
public struct LocalAPICCounters: Sendable, BitwiseCopyable, Equatable {
  /// Interrupts that became pending.
  public var accepted: UInt64 = 0
  /// Interrupts that were pending already: an APIC keeps one of a vector.
  public var coalesced: UInt64 = 0
  /// Interrupts with vectors below 16, which are the processor's own.
  public var illegalVectors: UInt64 = 0
  /// Interrupts that the core took.
  public var acknowledged: UInt64 = 0

  @inlinable
  public init() {}
}

/// The local interrupt controller of one core, as far as fixed interrupts need it (Intel 64 SDM volume 3, §10.8).
@frozen
public struct LocalAPIC: Sendable, BitwiseCopyable {
  public let id: LocalAPICID
  /// IRR: accepted, and not yet taken by the core.
  public private(set) var requested: VectorSet
  /// ISR: taken, and not yet ended.
  public private(set) var inService: VectorSet
  /// TPR: vectors whose upper four bits are not above its upper four wait.
  public var taskPriority: UInt8
  public private(set) var counters: LocalAPICCounters

  public init(id: LocalAPICID) {
    self.id = id
    requested = VectorSet()
    inService = VectorSet()
    taskPriority = 0
    counters = LocalAPICCounters()
  }

  /// Accepts an interrupt; false when the vector is illegal.
  @discardableResult
  public mutating func accept(_ vector: UInt8) -> Bool {
    guard vector >= 16 else {
      counters.illegalVectors &+= 1
      return false
    }
    if requested.insert(vector) { counters.accepted &+= 1 } else { counters.coalesced &+= 1 }
    return true
  }

  /// The interrupt that the core would take now: the highest requested, if its priority class is above that of the one
  /// in service and above the task priority.
  public var pending: UInt8? {
    guard let vector = requested.highest else { return nil }
    let floor = max(taskPriority >> 4, (inService.highest ?? 0) >> 4)
    return vector >> 4 > floor ? vector : nil
  }

  /// The core takes the pending interrupt; nil when there is none.
  public mutating func acknowledge() -> UInt8? {
    guard let vector = pending else { return nil }
    requested.remove(vector)
    inService.insert(vector)
    counters.acknowledged &+= 1
    return vector
  }

  /// The core's write to EOI: ends the highest interrupt in service, and tells which; nil when none was.
  public mutating func endInterrupt() -> UInt8? {
    guard let vector = inService.highest else { return nil }
    inService.remove(vector)
    return vector
  }
}
