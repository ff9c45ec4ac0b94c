public import AllyDeviceModels
internal import AllyHW
public import AllyRings
public import AllySimulator

/// A NIC family as the kit runs it: the virtualizer under test, a model of the NIC, and the OS's driver.
///
/// Models and drivers are made anew for each machine. The OS driver's queues should have few descriptors, 32 or so, so that
/// they wrap around often; ``queueLength`` tells how many.
public struct NICBench<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
> {
  /// Descriptors of each of the OS's queues.
  public var queueLength: Int
  /// The longest frame that the OS's driver sends and receives, in bytes without frame check sequence.
  public var longestFrame = 1514
  /// Intercepted registers that may read otherwise than without Ally, by offset: a written list, as short as possible.
  public var mayDiffer: [UInt32]
  /// Other registers that must read as without Ally: those that clear when they are read, and those that pass through,
  /// statistics above all.
  public var alsoCompared: [ComparedRegister] = []
  /// Intercepted registers that hold no addresses, whatever they read like: pairs of 16-bit fields.
  public var holdNoAddress: [UInt32] = []
  /// Whether a pass reads the NIC's registers, where other NICs have descriptors in memory. What such a pass calls cannot be
  /// counted apart from the NIC: the laws about that are left to a benchmark then.
  public var readsRegistersPerFrame = false
  /// See `TransparencyRun.comparesMemory`.
  public var comparesMemory = true
  /// See `TransparencyRun.ordersFlowsAlone`.
  public var ordersFlowsAlone = false
  public var makeModel: () -> Model
  public var makeOSDriver: () -> OSDriver

  /// - Parameters:
  ///   - queueLength: descriptors of each of the OS's queues.
  ///   - mayDiffer: see ``mayDiffer``.
  ///   - model: makes the NIC, with `MachineLayout.nic` as its requester id.
  ///   - osDriver: makes the OS's driver, with its memory from `MachineLayout.driverMemory` on.
  public init(
    queueLength: Int, mayDiffer: [UInt32] = [], model: @escaping () -> Model, osDriver: @escaping () -> OSDriver
  ) {
    self.queueLength = queueLength
    self.mayDiffer = mayDiffer
    self.makeModel = model
    self.makeOSDriver = osDriver
  }

  /// OS memory for the kernel's page tables and the driver, and not much more, so that all of it can be looked at.
  func layout(_ protection: PacketProtection) -> MachineLayout {
    let needed = MachineLayout.driverMemory.rawValue + makeOSDriver().memoryByteCount + 0x1_0000
    return MachineLayout(
      osMemory: (needed + 0x1F_FFFF) & ~0x1F_FFFF, limits: RingLimits(copyMemory: 1 << 20), protection: protection)
  }

  /// A machine that has just been powered on.
  @usableFromInline
  func machine(_ protection: PacketProtection) throws -> SimulatedMachine<Virtualizer, Model, OSDriver> {
    try SimulatedMachine(layout: layout(protection), model: makeModel(), osDriver: makeOSDriver())
  }

  /// Intercepted registers that software may read as it likes, and what else is to be compared.
  var comparedRegisters: [ComparedRegister] {
    var registers: [ComparedRegister] = []
    for range in Virtualizer.registers where range.disposition == .redirect && !range.clearsOnRead {
      for offset in stride(from: range.offset, to: range.offset + range.length & ~3, by: 4)
      where !mayDiffer.contains(offset) {
        registers.append(ComparedRegister(offset))
      }
    }
    return registers + alsoCompared
  }
}
