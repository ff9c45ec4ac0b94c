import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

/// The model holds from a small machine to the largest of the day.
@Suite struct PlatformScaleTests {
  @Test(arguments: [32 << 20, 2 << 30, 3 << 30, 16 << 30, (1 << 40) - (64 << 20)] as [UInt64])
  func trafficFlowsWhateverTheMemory(osMemory: UInt64) throws {
    var machine = try E1000Machine.e1000(layout: MachineLayout(osMemory: osMemory), receiveDescriptors: 32)
    machine.bootOS()
    var inspector = ScriptedInspector()
    let sent = (1...40).map { Frames.numbered($0, length: 300) }
    let delivered = try machine.receive(sent, inspecting: &inspector)
    #expect(delivered == sent)

    // The last bytes of OS memory are the OS's, and those after them are not.
    let boundary = machine.hardware.os.core.mmu.partition.boundary
    let last = PhysicalAddress((boundary.rawValue == DRAM.holeEnd ? DRAM.holeStart : boundary.rawValue) - 8)
    machine.hardware.store(0x1122_3344, at: last)
    #expect(machine.hardware.load(last) == 0x1122_3344)
    machine.hardware.os.core.mmu.pageTableRoot = nil
    let beyond = machine.hardware.os.core.load(
      VirtualAddress(boundary.rawValue), width: .byte, on: &machine.hardware.northbridge,
      devices: &machine.hardware.nic)
    #expect(beyond == .fault(.dpiMemory))
  }

  @Test func moreThanATebibyteIsRefused() {
    #expect(throws: SimulatorError.outOfMemory(bytes: (1 << 40) + 4096)) { _ = try DRAM(size: (1 << 40) + 4096) }
    #expect(throws: SimulatorError.self) {
      _ = try E1000Machine.e1000(layout: MachineLayout(osMemory: 1 << 40))
    }
  }

  @Test(arguments: [
    PlatformLayout(osCores: 0), PlatformLayout(dpiCores: 0), PlatformLayout(osCores: 60, dpiCores: 5),
    PlatformLayout(memory: 64 << 20, dpiMemory: 64 << 20), PlatformLayout(memory: 64 << 20, dpiMemory: 4096),
    // DPI memory over the devices' addresses.
    PlatformLayout(memory: 5 << 30, dpiMemory: 3 << 30),
  ])
  func layoutsThatDoNotFitAreRefused(layout: PlatformLayout) {
    #expect(throws: SimulatorError.self) { _ = try SimulatedPlatform(layout: layout) }
  }

  @Test(arguments: [2, 3, 16, 64])
  func everyOSCoreReachesEveryOtherAndNoDPICore(cores: Int) throws {
    let dpiCores = max(1, cores / 8)
    var platform = try SimulatedPlatform(layout: PlatformLayout(osCores: cores - dpiCores, dpiCores: dpiCores))
    let layout = platform.layout
    for sender in 0..<layout.osCores {
      platform.northbridge.interrupts.send(
        InterruptCommand(vector: 0x77, shorthand: .allIncludingSelf), from: layout.osCore(sender))
      for core in 0..<layout.cores {
        let id = LocalAPICID(UInt32(core))
        let taken = platform.northbridge.interrupts.acknowledge(at: id)
        platform.northbridge.interrupts.endInterrupt(at: id)
        #expect(taken == (core < layout.osCores ? 0x77 : nil))
      }
    }
  }
}
