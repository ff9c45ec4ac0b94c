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
  /// Interrupts that came while software had the APIC disabled.
  public var disabled: UInt64 = 0

  @inlinable
  public init() {}
}

/// What came for a core besides vectors, and what it does about it.
@frozen
public struct CoreSignals: Sendable, BitwiseCopyable, Equatable {
  /// A non-maskable interrupt waits.
  public var nonMaskable = false
  /// A system management interrupt waits.
  public var systemManagement = false
  /// An external controller's interrupt waits.
  public var external = false
  /// INIT came: the core waits for a start-up interrupt and runs nothing until then.
  public var isInitialized = false
  /// The page number of a start-up interrupt that came after INIT: where the core begins, at 4,096 times it.
  public var startUpPage: UInt8?

  @inlinable
  public init() {}
}

/// The local interrupt controller of one core (Intel 64 SDM volume 3, chapter 10; xAPIC).
///
/// It begins as firmware hands it over: enabled, logical destinations flat.
@frozen
public struct LocalAPIC: Sendable, BitwiseCopyable {
  public let id: LocalAPICID
  /// IRR: accepted, and not yet taken by the core.
  public private(set) var requested: VectorSet
  /// ISR: taken, and not yet ended.
  public private(set) var inService: VectorSet
  /// TMR: of the accepted, those that were level-triggered.
  public private(set) var levelTriggered: VectorSet
  /// TPR: vectors whose upper four bits are not above its upper four wait.
  public var taskPriority: UInt8
  /// SVR bit 8: without it, no vectors are accepted.
  public var isEnabled: Bool
  /// SVR bits 7–0.
  var spuriousVector: UInt8
  /// LDR bits 31–24.
  public var logicalID: UInt8
  /// DFR bits 31–28: 15 for the flat model of logical destinations, 0 for the cluster model.
  public var destinationFormat: UInt8
  public private(set) var signals: CoreSignals
  public private(set) var counters: LocalAPICCounters
  var errors: UInt32
  var commandHigh: UInt32
  var commandLow: UInt32
  var localVectors: InlineArray<6, UInt32>

  public init(id: LocalAPICID) {
    self.id = id
    requested = VectorSet()
    inService = VectorSet()
    levelTriggered = VectorSet()
    taskPriority = 0
    isEnabled = true
    spuriousVector = 0xFF
    logicalID = id.rawValue < 8 ? 1 << UInt8(id.rawValue) : 0
    destinationFormat = 0xF
    signals = CoreSignals()
    counters = LocalAPICCounters()
    errors = 0
    commandHigh = 0
    commandLow = 0
    localVectors = .init(repeating: 1 << 16)
  }

  /// Accepts an interrupt with a vector; false when the vector is illegal or the APIC disabled.
  @discardableResult
  public mutating func accept(_ vector: UInt8, isLevel: Bool = false) -> Bool {
    guard isEnabled else {
      counters.disabled &+= 1
      return false
    }
    guard vector >= 16 else {
      counters.illegalVectors &+= 1
      // ESR bit 6: Received Illegal Vector.
      errors |= 1 << 6
      return false
    }
    if requested.insert(vector) { counters.accepted &+= 1 } else { counters.coalesced &+= 1 }
    if isLevel { levelTriggered.insert(vector) } else { levelTriggered.remove(vector) }
    return true
  }

  /// Takes in an interrupt that has no vector of the Interrupt Descriptor Table; false when it has one, or means nothing
  /// now.
  @discardableResult
  mutating func accept(_ mode: DeliveryMode, vector: UInt8) -> Bool {
    switch mode {
    case .fixed, .lowestPriority: return false
    case .systemManagement: signals.systemManagement = true
    case .nonMaskable: signals.nonMaskable = true
    case .external: signals.external = true
    case .initialize:
      requested = VectorSet()
      inService = VectorSet()
      levelTriggered = VectorSet()
      taskPriority = 0
      signals = CoreSignals()
      signals.isInitialized = true
    case .startUp:
      // Only a core that waits for it hears it.
      guard signals.isInitialized, signals.startUpPage == nil else { return false }
      signals.startUpPage = vector
    }
    return true
  }

  /// The core takes what waits besides vectors; a core that was started no longer waits for it.
  public mutating func takeSignals() -> CoreSignals {
    let taken = signals
    signals = CoreSignals()
    signals.isInitialized = taken.isInitialized && taken.startUpPage == nil
    return taken
  }

  /// PPR, bits 7–4: what the core is busy with.
  var processorPriority: UInt8 { max(taskPriority >> 4, (inService.highest ?? 0) >> 4) }

  /// The interrupt that the core would take now: the highest requested, if its priority class is above that of the one
  /// in service and above the task priority.
  public var pending: UInt8? {
    guard let vector = requested.highest, !signals.isInitialized else { return nil }
    return vector >> 4 > processorPriority ? vector : nil
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

  /// Whether an interrupt for `destination` is for this core.
  public func isNamed(by destination: InterruptDestination) -> Bool {
    switch destination {
    case .physical(let target): target == id.rawValue || target == 0xFF
    case .allIncludingSelf: true
    case .allExcluding(let sender): id != sender
    case .logical(let target):
      if target == 0xFF {
        true
      } else if destinationFormat == 0xF {
        target & logicalID != 0
      } else {
        // Cluster model: the cluster in the upper four bits, a set of its members in the lower.
        target >> 4 == logicalID >> 4 && target & logicalID & 0xF != 0
      }
    }
  }
}
