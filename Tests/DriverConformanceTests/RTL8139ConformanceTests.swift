import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyHost
import AllyRings
import AllySimulator
import Testing

/// The RTL8139C's driver module: the same tests on our own model and on QEMU's.
private enum RTL8139Bed {
  static func osDriver(runsOver: Bool = true) -> RTL8139OSDriver {
    RTL8139OSDriver(
      layout: RTL8139OSDriver.Layout(
        base: PhysicalAddress(0x10_0000), ringLength: runsOver ? 32_768 : 16_384, runsOver: runsOver))
  }
}

@Suite struct RTL8139ModelConformanceTests {
  private typealias Bed = ConformanceBed<
    ByteRingVirtualizer<RTL8139Driver>, ModelNIC<RTL8139Model, UplinkWire>, RTL8139OSDriver
  >

  private func withBed(
    dropping: UInt32 = 0, runsOver: Bool = true, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void
  ) throws {
    let model = RTL8139Model(
      requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    let driver = RTL8139Bed.osDriver(runsOver: runsOver)
    try Bed.onModel(model, osDriver: driver, dropping: dropping, protection: protection, body)
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace], [true, false])
  func tenThousandFramesEachWay(protection: PacketProtection, runsOver: Bool) throws {
    try withBed(runsOver: runsOver, protection) { $0.exchange(10_000, jumbo: false) }
  }

  @Test func oneOfTenDropped() throws {
    try withBed(dropping: 1, .copyToDPIMemory) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func resetInTheMiddle(protection: PacketProtection) throws {
    try withBed(dropping: 1, protection) { bed in bed.resetInTheMiddle { $0.unfinishedTransmissions } }
  }
}

@Suite(.enabled(if: GuestTools.qemu != nil, "ALLY_QEMU names no QEMU (make test-guests)"))
struct RTL8139OnQEMUConformanceTests {
  private typealias Bed = ConformanceBed<ByteRingVirtualizer<RTL8139Driver>, QEMUDevice, RTL8139OSDriver>

  private func withBed(
    dropping: UInt32 = 0, runsOver: Bool = true, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void
  ) throws {
    let driver = RTL8139Bed.osDriver(runsOver: runsOver)
    // Its first BAR is for ports.
    try Bed.onQEMU("rtl8139", registerBAR: 1, osDriver: driver, dropping: dropping, protection: protection, body)
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace], [true, false])
  func tenThousandFramesEachWay(protection: PacketProtection, runsOver: Bool) throws {
    try withBed(runsOver: runsOver, protection) { $0.exchange(10_000, jumbo: false) }
  }

  @Test func oneOfTenDropped() throws {
    try withBed(dropping: 1, .copyToDPIMemory) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: [PacketProtection.copyToDPIMemory, .inPlace])
  func resetInTheMiddle(protection: PacketProtection) throws {
    try withBed(dropping: 1, protection) { bed in bed.resetInTheMiddle { $0.unfinishedTransmissions } }
  }
}
