internal import AllyDeviceModels
internal import AllyHW
internal import AllyPacket
internal import AllySimulator

/// The same NIC, wire and OS driver without Ally: what transparency is measured against.
struct BareMachine<Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable>: ~Copyable {
  var hardware: BareHardware<Model>
  var osDriver: OSDriver

  init(model: consuming Model, osDriver: consuming OSDriver) throws {
    hardware = try BareHardware(model)
    self.osDriver = osDriver
  }

  mutating func run(deliver: (RawSpan) -> Void) {
    while true {
      let moved = hardware.nic.run(on: &hardware.northbridge, wire: &hardware.wire, frames: 64)
      let interrupts = hardware.nic.takeInterrupts(by: hardware.delivery)
      var interrupted = false
      if hardware.delivery == .pin, interrupts.isPinAsserted {
        osDriver.interrupt(on: &hardware, deliver: deliver)
        interrupted = true
      }
      var messages = hardware.delivery == .pin ? 0 : interrupts.messages
      while messages != 0 {
        osDriver.interrupt(message: messages.trailingZeroBitCount, on: &hardware, deliver: deliver)
        messages &= messages &- 1
        interrupted = true
      }
      if moved == 0, !interrupted {
        guard let timer = hardware.nic.nextTimer, timer > hardware.now else { return }
        hardware.now = timer
        hardware.nic.advance(to: timer)
      }
    }
  }
}

/// A NIC, memory and nothing between.
struct BareHardware<Model: DeviceModel & ~Copyable>: ~Copyable {
  var nic: Model
  var northbridge: Northbridge
  var wire: Wire<FrameStamp>
  var delivery: InterruptDelivery
  var now: UInt64
  private let dram: DRAM

  init(_ nic: consuming Model) throws {
    let dram = try DRAM(size: 64 << 20)
    var memory = PhysicalMemory()
    try dram.map(into: &memory)
    // The last pages stand for DPI memory, so that there is a boundary; nothing is there.
    let end = PhysicalAddress(64 << 20)
    let partition = Partition(boundary: PhysicalAddress((64 << 20) - 0x10000), end: end)
    // The table and the memory live as long as this value.
    guard let remapping = unsafe RemappingTable(at: partition.boundary, in: memory) else {
      throw SimulatorError.layout("no room for a Remapping Table")
    }
    var iommu = IOMMU(partition: partition)
    iommu.attach(nic.requester, to: .identity)
    northbridge = Northbridge(
      memory: memory, iommu: iommu, interrupts: InterruptUnit(cores: [MachineLayout.osCore]), remapping: remapping)
    wire = Wire(transmitStamp: FrameStamp(), isPaced: true)
    delivery = .pin
    now = 0
    self.dram = dram
    self.nic = nic
  }
}

extension BareHardware: OSEnvironment where Model: ~Copyable {
  mutating func requestMessages(_ count: Int) -> Bool {
    guard let layout = nic.function.msix, count > 0, count <= layout.vectors else { return false }
    delivery = .messageTable
    return true
  }
  mutating func readRegister(_ offset: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: nic.readRegister(offset, width: .doubleWord))
  }
  mutating func writeRegister(_ offset: UInt32, _ value: UInt32) {
    nic.writeRegister(offset, value: UInt64(value), width: .doubleWord)
  }
  mutating func load(_ address: PhysicalAddress) -> UInt64 { northbridge.memory.load(UInt64.self, at: address) ?? 0 }
  mutating func store(_ value: UInt64, at address: PhysicalAddress) { _ = northbridge.memory.store(value, at: address) }
  mutating func read(_ address: PhysicalAddress, count: Int, into bytes: inout [UInt8]) -> Bool {
    for offset in 0..<count {
      guard let byte = northbridge.memory.load(UInt8.self, at: address.advanced(by: UInt64(offset))) else {
        return false
      }
      bytes.append(byte)
    }
    return true
  }
  mutating func write(_ source: RawSpan, to address: PhysicalAddress) -> Bool {
    for (offset, byte) in source.array.enumerated() {
      guard northbridge.memory.store(byte, at: address.advanced(by: UInt64(offset))) else { return false }
    }
    return true
  }
}
