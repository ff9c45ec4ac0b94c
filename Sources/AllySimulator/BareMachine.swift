public import AllyDeviceModels
public import AllyHW
public import AllyPacket
internal import AllyRings

/// The same machine without Ally: NIC, OS core and nothing between them. What the OS's driver sees here it must see behind
/// a virtualizer too (paper §3, OS transparency).
public struct BareHardware<Model: DeviceModel & ~Copyable>: ~Copyable {
  public var northbridge: Northbridge
  public var nic: DeviceWindow<Model>
  public var wire: Wire<FrameStamp>
  public var os: OSMemory
  /// Nanoseconds since power-on, as far as anything has moved it.
  public private(set) var now: UInt64 = 0
  /// How the OS hears of the NIC.
  public private(set) var delivery = InterruptDelivery.pin
  /// Accesses of the OS core to the NIC's registers.
  public private(set) var osRegisterAccesses: UInt64 = 0
  // Owns the storage behind the northbridge's memory.
  private let dram: DRAM

  /// Powers the machine on; of the layout counts what is the OS's.
  public init(layout: MachineLayout, model: consuming Model) throws(SimulatorError) {
    guard layout.osMemory > 0, layout.osMemory % (2 << 20) == 0 else {
      throw .layout("OS memory is \(layout.osMemory) bytes; expected a multiple of 2 MiB")
    }
    // The hardware has room for DPI memory, in which there is an empty Remapping Table.
    let end = layout.boundary.advanced(by: 2 << 20)
    let partition = Partition(boundary: layout.boundary, end: end)
    let dram = try DRAM(size: layout.memory(upTo: end))
    let memory = try MachineMemory.memory(of: dram)
    guard let remapping = unsafe RemappingTable(at: layout.remappingTable, in: memory) else {
      throw .layout("the Remapping Table does not fit into DPI memory")
    }
    let space = (Model.registerSpace + 0xFFF) & ~0xFFF
    let root = try MachineMemory.pageTables(layout, registerSpace: space, memory)
    var iommu = IOMMU(partition: partition)
    iommu.attach(MachineLayout.nic, to: .identity, mayReachDPIMemory: false)
    var uncacheable = UncacheableRanges()
    guard uncacheable.add(MachineLayout.nicRegisters, length: space) else {
      throw .layout("the NIC's registers are no uncacheable range")
    }
    var mmu = MMU(handler: TLBMissHandler(role: .os, partition: partition, uncacheable: uncacheable))
    mmu.pageTableRoot = root
    var unit = InterruptUnit(cores: [MachineLayout.osCore])
    unit.connect(MachineLayout.nic, pin: MachineLayout.nicPin)
    unit.route(pin: MachineLayout.nicPin, to: PinRoute(core: MachineLayout.osCore, vector: MachineLayout.osVector))

    self.dram = dram
    self.northbridge = Northbridge(memory: memory, iommu: iommu, interrupts: unit, remapping: remapping)
    self.nic = DeviceWindow(model, base: MachineLayout.nicRegisters, length: space)
    self.wire = Wire(
      transmitStamp: FrameStamp(), capacity: max(4 << 20, 4 * Int(layout.limits.maximumFrameLength)), isPaced: true)
    self.os = OSMemory(core: Core(id: MachineLayout.osCore, mmu: mmu))
  }

  /// Lets the NIC run.
  ///
  /// - Returns: how many frames moved.
  @discardableResult
  public mutating func runNIC(frames: Int) -> Int {
    let moved = nic.device.run(on: &northbridge, wire: &wire, frames: frames)
    // There is no DPI core that asks for the stamps; were they to fill up, the wire would keep its frames.
    wire.completed.removeAll()
    interrupt()
    return moved
  }

  /// Lets time pass, up to `time` nanoseconds since power-on.
  public mutating func advance(to time: UInt64) {
    now = max(now, time)
    nic.device.advance(to: now)
    interrupt()
  }

  private mutating func interrupt() {
    let interrupts = nic.device.takeInterrupts(by: delivery)
    guard delivery != .pin else {
      return northbridge.interrupts.setLevel(of: MachineLayout.nic, asserted: interrupts.isPinAsserted)
    }
    var messages = interrupts.messages
    while messages != 0 {
      let vector = UInt8(truncatingIfNeeded: messages.trailingZeroBitCount)
      messages &= messages &- 1
      northbridge.interrupts.signal(
        MessageSignaledInterrupt(core: MachineLayout.osCore, vector: MachineLayout.osMessageVector + vector),
        from: MachineLayout.nic)
    }
  }
}

extension BareHardware: OSEnvironment where Model: ~Copyable {
  public mutating func requestMessages(_ count: Int) -> Bool {
    guard let layout = nic.device.function.msix, count > 0, count <= layout.vectors else { return false }
    delivery = .messageTable
    return true
  }

  public mutating func readRegister(_ offset: UInt32) -> UInt32 { readRegister(offset, width: .doubleWord) }

  public mutating func writeRegister(_ offset: UInt32, _ value: UInt32) {
    writeRegister(offset, value, width: .doubleWord)
  }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt32 {
    osRegisterAccesses &+= 1
    let address = VirtualAddress(OSMemory.deviceMap &+ UInt64(offset))
    let outcome = os.core.load(address, width: width, on: &northbridge, devices: &nic)
    interrupt()
    return outcome.value.map { UInt32(truncatingIfNeeded: $0) } ?? .max
  }

  public mutating func writeRegister(_ offset: UInt32, _ value: UInt32, width: RegisterWidth) {
    osRegisterAccesses &+= 1
    let address = VirtualAddress(OSMemory.deviceMap &+ UInt64(offset))
    _ = os.core.store(UInt64(value), at: address, width: width, on: &northbridge, devices: &nic)
    interrupt()
  }

  public mutating func load(_ address: PhysicalAddress) -> UInt64 { os.load(address, &northbridge, &nic) }

  public mutating func store(_ value: UInt64, at address: PhysicalAddress) {
    os.store(value, at: address, &northbridge, &nic)
  }

  public mutating func read(_ address: PhysicalAddress, count: Int, into bytes: inout [UInt8]) -> Bool {
    os.read(address, count: count, into: &bytes, northbridge)
  }

  public mutating func write(_ source: RawSpan, to address: PhysicalAddress) -> Bool {
    os.write(source, to: address, northbridge)
  }
}

/// The hardware without Ally, and an OS with its stock driver on it.
public struct BareMachine<Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable>: ~Copyable {
  public var hardware: BareHardware<Model>
  public var osDriver: OSDriver
  /// Interrupts that the OS core took.
  public private(set) var osInterrupts: UInt64 = 0

  /// - Parameters:
  ///   - layout: as that of the machine to compare with.
  ///   - model: the NIC, with ``MachineLayout/nic`` as its requester id.
  ///   - osDriver: its rings and buffers lie in OS memory from ``MachineLayout/driverMemory`` on.
  public init(
    layout: MachineLayout = MachineLayout(), model: consuming Model, osDriver: consuming OSDriver
  ) throws(SimulatorError) {
    self.hardware = try BareHardware(layout: layout, model: model)
    self.osDriver = osDriver
  }

  /// Lets NIC and OS run in turn until nothing moves. When the NIC waits for a timer, time passes.
  public mutating func run(batch: Int = 64, deliver: (RawSpan) -> Void) {
    while true {
      let moved = hardware.runNIC(frames: batch)
      let interrupted = runOS(deliver: deliver)
      if moved == 0, !interrupted {
        guard let timer = hardware.nic.device.nextTimer, timer > hardware.now else { return }
        hardware.advance(to: timer)
      }
    }
  }

  private mutating func runOS(deliver: (RawSpan) -> Void) -> Bool {
    guard let vector = hardware.northbridge.interrupts.acknowledge(at: MachineLayout.osCore) else { return false }
    osInterrupts &+= 1
    if vector < MachineLayout.osMessageVector {
      osDriver.interrupt(on: &hardware, deliver: deliver)
    } else {
      osDriver.interrupt(message: Int(vector - MachineLayout.osMessageVector), on: &hardware, deliver: deliver)
    }
    hardware.northbridge.interrupts.endInterrupt(at: MachineLayout.osCore)
    return true
  }
}
