import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyHost
import AllyRings
import AllySimulator
import Testing

/// What the OS negotiates, how it is interrupted, and how frames are protected.
struct VirtioNetSetting: CustomTestStringConvertible, Sendable {
  var isPacked = false
  var isPlain = false
  var usesMessages = false
  var protection = PacketProtection.copyToDPIMemory

  static let all: [VirtioNetSetting] = [PacketProtection.copyToDPIMemory, .inPlace].flatMap { protection in
    [(false, false, true), (false, true, false), (true, false, true), (true, true, false)].map {
      VirtioNetSetting(isPacked: $0.0, isPlain: $0.1, usesMessages: $0.2, protection: protection)
    }
  }

  var testDescription: String {
    "\(isPacked ? "packed" : "split")\(isPlain ? "" : ", indirect, event index"), "
      + "\(usesMessages ? "messages" : "pin"), \(protection)"
  }

  var osDriver: VirtioNetOSDriver {
    VirtioNetOSDriver(
      layout: VirtioNetOSDriver.Layout(
        base: PhysicalAddress(0x10_0000), transmitBufferLength: 16_384, usesPackedQueues: isPacked,
        usesIndirectDescriptors: !isPlain, usesEventIndex: !isPlain, usesMessages: usesMessages))
  }
}

/// The driver module for virtio network devices: the same tests on our own model and on QEMU's.
@Suite struct VirtioNetModelConformanceTests {
  private typealias Bed = ConformanceBed<
    VirtqueueVirtualizer<VirtioNetDriver>, ModelNIC<VirtioNetModel, UplinkWire>, VirtioNetOSDriver
  >

  private func withBed(
    dropping: UInt32 = 0, _ setting: VirtioNetSetting, _ body: (inout Bed) throws -> Void
  ) throws {
    let model = VirtioNetModel(
      requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56],
      maximumFrameLength: 16_384)
    try Bed.onModel(
      model, osDriver: setting.osDriver, dropping: dropping, protection: setting.protection, copyMemory: 1 << 20, body)
  }

  @Test(arguments: VirtioNetSetting.all)
  func tenThousandFramesEachWay(setting: VirtioNetSetting) throws {
    try withBed(setting) { $0.exchange(10_000, jumbo: true) }
  }

  @Test(arguments: VirtioNetSetting.all)
  func oneOfTenDropped(setting: VirtioNetSetting) throws {
    try withBed(dropping: 1, setting) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: VirtioNetSetting.all)
  func resetInTheMiddle(setting: VirtioNetSetting) throws {
    try withBed(dropping: 1, setting) { bed in bed.resetInTheMiddle { $0.unfinishedTransmissions } }
  }
}

@Suite(.enabled(if: GuestTools.qemu != nil, "ALLY_QEMU names no QEMU (make test-guests)"))
struct VirtioNetOnQEMUConformanceTests {
  private typealias Bed = ConformanceBed<
    VirtqueueVirtualizer<VirtioNetDriver>, QEMUDevice, VirtioNetOSDriver
  >

  private func withBed(
    dropping: UInt32 = 0, _ setting: VirtioNetSetting, _ body: (inout Bed) throws -> Void
  ) throws {
    try Bed.onQEMU(
      "virtio-net-pci,packed=on", osDriver: setting.osDriver, dropping: dropping, protection: setting.protection,
      copyMemory: 1 << 20, body)
  }

  @Test(arguments: VirtioNetSetting.all)
  func tenThousandFramesEachWay(setting: VirtioNetSetting) throws {
    try withBed(setting) { $0.exchange(10_000, jumbo: true) }
  }

  @Test(arguments: VirtioNetSetting.all)
  func oneOfTenDropped(setting: VirtioNetSetting) throws {
    try withBed(dropping: 1, setting) { $0.exchange(10_000, jumbo: false) }
  }

  @Test(arguments: VirtioNetSetting.all)
  func resetInTheMiddle(setting: VirtioNetSetting) throws {
    try withBed(dropping: 1, setting) { bed in bed.resetInTheMiddle { $0.unfinishedTransmissions } }
  }
}
