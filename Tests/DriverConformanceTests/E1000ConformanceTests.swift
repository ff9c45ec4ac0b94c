import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyHost
import AllyRings
import AllySimulator
import Testing

/// The 82540EM's driver module: the same tests on our own model and on QEMU's.
enum E1000Bed {
  typealias OnModel = ConformanceBed<RingVirtualizer<E1000Driver>, ModelNIC<E1000Model, UplinkWire>, E1000OSDriver>
  typealias OnQEMU = ConformanceBed<RingVirtualizer<E1000Driver>, QEMUDevice, E1000OSDriver>

  static func osDriver() -> E1000OSDriver {
    E1000OSDriver(
      layout: E1000OSDriver.Layout(base: PhysicalAddress(0x10_0000), receiveDescriptors: 256, transmitDescriptors: 128))
  }

  static func onModel(
    _ folder: ScratchFolder, dropping: UInt32 = 0, protection: PacketProtection = .copyToDPIMemory,
    _ body: (inout OnModel) throws -> Void
  ) throws {
    let far = try Uplink.datagram(local: "\(folder.path)/wire")
    let near = try Uplink.datagram(local: "\(folder.path)/wire.nic", remote: "\(folder.path)/wire")
    try far.connect("\(folder.path)/wire.nic")
    let dram = try DRAM(size: 64 << 20)
    var memory = PhysicalMemory()
    try dram.map(into: &memory)
    let model = E1000Model(
      requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    var bed = try OnModel(
      ModelNIC(model: model, line: UplinkWire(near)), memory: memory, osDriver: osDriver(), far: far,
      inspector: MarkedFrames(droppedOfTen: dropping), protection: protection)
    try body(&bed)
    withExtendedLifetime(dram) {}
  }

  static func onQEMU(
    _ folder: ScratchFolder, dropping: UInt32 = 0, protection: PacketProtection = .copyToDPIMemory,
    _ body: (inout OnQEMU) throws -> Void
  ) throws {
    let settings = QEMUDevice.Settings(program: GuestTools.qemu ?? "", model: "e1000", folder: folder.path)
    let far = try Uplink.datagram(local: settings.wire)
    let device = try QEMUDevice(settings)
    try far.connect(settings.remoteWire)
    var memory = PhysicalMemory()
    try device.mapMemory(into: &memory)
    var bed = try OnQEMU(
      device, memory: memory, osDriver: osDriver(), far: far, inspector: MarkedFrames(droppedOfTen: dropping),
      protection: protection)
    try body(&bed)
    if let failure = bed.os.intercepted.nic.failure { throw failure }
  }
}

@Suite struct E1000ModelConformanceTests {
  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func tenThousandFramesEachWay(protection: PacketProtection) throws {
    try E1000Bed.onModel(ScratchFolder(), protection: protection) { $0.exchange(10_000, jumbo: true) }
  }

  @Test func oneOfTenDropped() throws {
    try E1000Bed.onModel(ScratchFolder(), dropping: 1) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func resetInTheMiddle(protection: PacketProtection) throws {
    try E1000Bed.onModel(ScratchFolder(), dropping: 1, protection: protection) {
      $0.resetInTheMiddle { $0.unfinishedTransmissions }
    }
  }
}

@Suite(.enabled(if: GuestTools.qemu != nil, "ALLY_QEMU names no QEMU (make test-guests)"))
struct E1000OnQEMUConformanceTests {
  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func tenThousandFramesEachWay(protection: PacketProtection) throws {
    try E1000Bed.onQEMU(ScratchFolder(), protection: protection) { $0.exchange(10_000, jumbo: true) }
  }

  @Test func oneOfTenDropped() throws {
    try E1000Bed.onQEMU(ScratchFolder(), dropping: 1) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func resetInTheMiddle(protection: PacketProtection) throws {
    try E1000Bed.onQEMU(ScratchFolder(), dropping: 1, protection: protection) {
      $0.resetInTheMiddle { $0.unfinishedTransmissions }
    }
  }
}
