import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyHost
import AllyRings
import AllySimulator
import Testing

/// The 82576's driver module: the same tests on our own model and on QEMU's. Sixteen queue pairs share what memory there is.
///
/// The OS uses one of them: with another one that has room, QEMU's model takes a frame from the wire though the first, whose it
/// is, has none.
private enum IGBBed {
  static func osDriver() -> IGBOSDriver {
    IGBOSDriver(
      layout: IGBOSDriver.Layout(
        base: PhysicalAddress(0x10_0000), receiveDescriptors: 256, transmitDescriptors: 128), queues: 1)
  }
}

@Suite struct IGBModelConformanceTests {
  private typealias Bed = ConformanceBed<RingVirtualizer<IGBDriver>, ModelNIC<IGBModel, UplinkWire>, IGBOSDriver>

  private func withBed(dropping: UInt32 = 0, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void) throws
  {
    let model = IGBModel(
      requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    try Bed.onModel(
      model, osDriver: IGBBed.osDriver(), dropping: dropping, protection: protection, copyMemory: 512 << 10, body)
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
    try withBed(dropping: 1, protection) { bed in bed.resetInTheMiddle { $0.queues[0].unfinishedTransmissions } }
  }
}

@Suite(.enabled(if: GuestTools.qemu != nil, "ALLY_QEMU names no QEMU (make test-guests)"))
struct IGBOnQEMUConformanceTests {
  private typealias Bed = ConformanceBed<RingVirtualizer<IGBDriver>, QEMUDevice, IGBOSDriver>

  private func withBed(dropping: UInt32 = 0, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void) throws
  {
    try Bed.onQEMU(
      "igb", osDriver: IGBBed.osDriver(), dropping: dropping, protection: protection, copyMemory: 512 << 10, body)
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
    try withBed(dropping: 1, protection) { bed in bed.resetInTheMiddle { $0.queues[0].unfinishedTransmissions } }
  }
}

/// The driver module of a virtual function, on our own model. QEMU's virtual functions are behind its SR-IOV, which needs a bridge.
private enum IGBVirtualFunctionBed {
  static func osDriver() -> IGBVirtualFunctionOSDriver {
    IGBVirtualFunctionOSDriver(
      layout: IGBVirtualFunctionOSDriver.Layout(
        base: PhysicalAddress(0x10_0000), receiveDescriptors: 256, transmitDescriptors: 128))
  }
}

@Suite struct IGBVirtualFunctionModelConformanceTests {
  private typealias Bed = ConformanceBed<
    RingVirtualizer<IGBVirtualFunctionDriver>, ModelNIC<IGBVirtualFunctionModel, UplinkWire>, IGBVirtualFunctionOSDriver
  >

  private func withBed(dropping: UInt32 = 0, _ protection: PacketProtection, _ body: (inout Bed) throws -> Void) throws
  {
    let model = IGBVirtualFunctionModel(
      requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    try Bed.onModel(model, osDriver: IGBVirtualFunctionBed.osDriver(), dropping: dropping, protection: protection, body)
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
