// Uses every generic entry of the core with concrete types, so that the embedded compile specializes all of them: a
// generic function that nobody uses is not compiled in Embedded Swift.

import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// One round of a DPI core over one 82540EM.
public func runOnce<NIC: NICDevice & ~Copyable>(
  rings: inout RingVirtualizer<E1000Driver>, accesses: AccessLog, registers: RegisterFile,
  memory: borrowing PhysicalMemory, nic: inout NIC, now: UInt64
) -> Bool {
  var inspector = AcceptAll()
  var clock = CountingClock(time: now)
  while let access = accesses.removeFirst() {
    rings.handle(access, memory: memory, registers: registers, nic: &nic)
  }
  rings.takeInterrupt(registers: registers, nic: &nic)
  rings.serviceReceive(inspecting: &inspector, clock: &clock, memory: memory, registers: registers, nic: &nic)
  rings.serviceTransmit(inspecting: &inspector, clock: &clock, memory: memory, registers: registers, nic: &nic)
  return rings.takeOSInterrupts(at: now, registers: registers).count > 0
}

/// A NIC behind memory-mapped registers.
public struct MappedNIC: NICDevice {
  let registers: UnsafeMutableRawPointer

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    UInt64((registers + Int(offset)).load(as: UInt32.self))
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    (registers + Int(offset)).storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
  }
}

/// What a boot loader would call.
public func start(
  region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, accesses: AccessLog,
  registers: RegisterFile, nic registerPlace: UnsafeMutableRawPointer, copies: Bool
) throws(RingSetupError) -> Bool {
  var nic = MappedNIC(registers: registerPlace)
  var rings = try RingVirtualizer<E1000Driver>(
    region: region, memory: memory, partition: partition, limits: RingLimits(copyMemory: copies ? 1 << 20 : 0),
    protection: copies ? .copyToDPIMemory : .inPlace)
  rings.attach(registers: registers, nic: &nic)
  return runOnce(rings: &rings, accesses: accesses, registers: registers, memory: memory, nic: &nic, now: 0)
}
