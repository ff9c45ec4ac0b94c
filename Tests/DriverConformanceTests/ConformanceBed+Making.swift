import AllyDeviceModels
import AllyHW
import AllyHost
import AllyRings
import AllySimulator

extension ConformanceBed where Virtualizer: ~Copyable, NIC: ~Copyable, OSDriver: ~Copyable {
  /// Lends a bed whose NIC is one of our own models.
  static func onModel<Model: DeviceModel & ~Copyable>(
    _ model: consuming Model, osDriver: consuming OSDriver, dropping: UInt32 = 0, protection: PacketProtection,
    copyMemory: UInt64 = 4 << 20, _ body: (inout Self) throws -> Void
  ) throws where NIC == ModelNIC<Model, UplinkWire> {
    let folder = try ScratchFolder()
    let far = try Uplink.datagram(local: "\(folder.path)/wire")
    let near = try Uplink.datagram(local: "\(folder.path)/wire.nic", remote: "\(folder.path)/wire")
    try far.connect("\(folder.path)/wire.nic")
    let dram = try DRAM(size: end)
    var memory = PhysicalMemory()
    try dram.map(into: &memory)
    var bed = try Self(
      ModelNIC(model: model, line: UplinkWire(near)), memory: memory, osDriver: osDriver, far: far,
      inspector: MarkedFrames(droppedOfTen: dropping), protection: protection, copyMemory: copyMemory)
    try body(&bed)
    withExtendedLifetime(dram) {}
    withExtendedLifetime(folder) {}
  }

  /// Lends a bed whose NIC is one of QEMU's, with its registers in a memory BAR: the first, unless that one is for ports.
  static func onQEMU(
    _ model: String, registerBAR: Int = 0, osDriver: consuming OSDriver, dropping: UInt32 = 0,
    protection: PacketProtection, copyMemory: UInt64 = 4 << 20, _ body: (inout Self) throws -> Void
  ) throws where NIC == QEMUDevice {
    let folder = try ScratchFolder()
    let far = try Uplink.datagram(local: "\(folder.path)/wire")
    let near = try Uplink.datagram(local: "\(folder.path)/wire.nic", remote: "\(folder.path)/wire")
    try far.connect("\(folder.path)/wire.nic")
    let device = try QEMUDevice(
      QEMUDevice.Settings(program: GuestTools.qemu ?? "", model: model, registerBAR: registerBAR), uplink: near)
    var memory = PhysicalMemory()
    try device.mapMemory(into: &memory)
    var bed = try Self(
      device, memory: memory, osDriver: osDriver, far: far, inspector: MarkedFrames(droppedOfTen: dropping),
      protection: protection, copyMemory: copyMemory)
    try body(&bed)
    if let failure = bed.os.intercepted.nic.failure { throw failure }
    withExtendedLifetime(folder) {}
  }
}
