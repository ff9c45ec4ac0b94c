import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyHost
import AllyRings
import AllySimulator
import Testing

/// The 82574L's driver module: the same tests on our own model and on QEMU's.
private enum E1000EBed {
  static func osDriver() -> E1000EOSDriver {
    E1000EOSDriver(
      layout: E1000EOSDriver.Layout(
        base: PhysicalAddress(0x10_0000), receiveDescriptors: 256, transmitDescriptors: 128))
  }
}

@Suite struct E1000EModelConformanceTests {
  private typealias Bed = ConformanceBed<
    RingVirtualizer<E1000EDriver>, ModelNIC<E1000EModel, UplinkWire>, E1000EOSDriver
  >

  private func withBed(dropping: UInt32 = 0, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void) throws
  {
    let model = E1000EModel(
      requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    try Bed.onModel(model, osDriver: E1000EBed.osDriver(), dropping: dropping, protection: protection, body)
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func tenThousandFramesEachWay(protection: PacketProtection) throws {
    try withBed(protection) { $0.exchange(10_000, jumbo: true) }
  }

  @Test func oneOfTenDropped() throws {
    try withBed(dropping: 1, .copyToDPIMemory) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func resetInTheMiddle(protection: PacketProtection) throws {
    try withBed(dropping: 1, protection) { bed in bed.resetInTheMiddle { $0.queue.unfinishedTransmissions } }
  }
}

@Suite(.enabled(if: GuestTools.qemu != nil, "ALLY_QEMU names no QEMU (make test-guests)"))
struct E1000EOnQEMUConformanceTests {
  private typealias Bed = ConformanceBed<RingVirtualizer<E1000EDriver>, QEMUDevice, E1000EOSDriver>

  private func withBed(dropping: UInt32 = 0, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void) throws
  {
    try Bed.onQEMU("e1000e", osDriver: E1000EBed.osDriver(), dropping: dropping, protection: protection, body)
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func tenThousandFramesEachWay(protection: PacketProtection) throws {
    try withBed(protection) { $0.exchange(10_000, jumbo: true) }
  }

  @Test func oneOfTenDropped() throws {
    try withBed(dropping: 1, .copyToDPIMemory) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func resetInTheMiddle(protection: PacketProtection) throws {
    try withBed(dropping: 1, protection) { bed in bed.resetInTheMiddle { $0.queue.unfinishedTransmissions } }
  }
}
