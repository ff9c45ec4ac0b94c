public import AllyHW

/// What a core does between power-on and its OS.
public enum BootState: Sendable, Hashable {
  /// After INIT: runs nothing until a start-up interrupt.
  case waitingForStartUp
  /// Runs from an address.
  case running(PhysicalAddress)
  /// Has run the BIOS's part for it and halted; waits to be started again.
  case halted
}

/// The cores of a machine as they boot: one begins, and starts the others with INIT and start-up interrupts (Intel 64 SDM
/// volume 3, §9.4; Intel MultiProcessor Specification 1.4, appendix B).
public struct BootCores: Sendable {
  /// The boot core first.
  public let ids: [LocalAPICID]
  public private(set) var states: [BootState]

  /// After reset: the boot core runs at the reset vector, the others wait.
  public init(_ ids: [LocalAPICID]) {
    self.ids = ids
    states = ids.indices.map { $0 == 0 ? .running(PhysicalAddress(0xFFFF_FFF0)) : .waitingForStartUp }
  }

  public func state(of core: LocalAPICID) -> BootState? {
    ids.firstIndex(of: core).map { states[$0] }
  }

  /// Sends INIT, start-up, and start-up again to a core, or with nil to all others.
  public func start(
    _ target: LocalAPICID?, page: UInt8, by sender: LocalAPICID, on interrupts: inout InterruptUnit
  ) {
    for mode in [DeliveryMode.initialize, .startUp, .startUp] {
      interrupts.send(
        InterruptCommand(
          vector: mode == .startUp ? page : 0, mode: mode,
          destination: UInt8(truncatingIfNeeded: target?.rawValue ?? 0),
          shorthand: target == nil ? .allExcludingSelf : .none), from: sender)
    }
  }

  /// The cores take what was sent to them.
  ///
  /// - Returns: the cores that began to run, in order.
  public mutating func takeSignals(from interrupts: inout InterruptUnit) -> [LocalAPICID] {
    var started: [LocalAPICID] = []
    for index in ids.indices {
      let signals = interrupts.takeSignals(at: ids[index])
      if signals.isInitialized { states[index] = .waitingForStartUp }
      if let page = signals.startUpPage {
        states[index] = .running(PhysicalAddress(UInt64(page) * 0x1000))
        started.append(ids[index])
      }
    }
    return started
  }

  mutating func halt(_ core: LocalAPICID) {
    if let index = ids.firstIndex(of: core) { states[index] = .halted }
  }

  mutating func run(_ core: LocalAPICID, at address: PhysicalAddress) {
    if let index = ids.firstIndex(of: core) { states[index] = .running(address) }
  }
}
