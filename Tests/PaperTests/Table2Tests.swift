import AllyAppliance
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// What interception does besides moving frames, counted as the paper's Table 2 and §5.2 do: interrupts and register accesses
/// for each frame. Instructions are counted by `Benchmarks/instructions-per-frame.sh`.
@Suite struct Table2Tests {
  private static func machine() throws -> E1000Machine {
    var machine = try E1000Machine.e1000(receiveDescriptors: 256)
    machine.bootOS()
    return machine
  }

  /// The DPI core's own speed sets the rate: all that the NIC received meanwhile is one interrupt of either kind.
  @Test(arguments: [1, 8, 64])
  func aBatchIsOneInterrupt(batch: Int) throws {
    var machine = try Self.machine()
    var inspector = ScriptedInspector()
    let before = machine.hardware.dpi.counters
    var delivered = 0
    for start in stride(from: 0, to: 640, by: batch) {
      for number in start..<(start + batch) { try machine.put(Frames.numbered(number), ordinal: number + 1) }
      machine.run(inspecting: &inspector, batch: batch) { _ in delivered += 1 }
    }
    #expect(delivered == 640)
    let batches = UInt64(640 / batch)
    let counters = machine.hardware.dpi.counters
    #expect(counters.nicInterrupts - before.nicInterrupts == batches)
    #expect(counters.osInterrupts - before.osInterrupts == batches)
    // The driver reads the causes, and writes the tail for each 16 buffers that it gives back.
    let accesses = UInt64(1 + max(1, batch / 16))
    #expect(counters.registerAccesses - before.registerAccesses == batches * accesses)
  }

  /// Interrupt throttling is the OS's own: it never hears of the NIC more often than it asked for (SDM 13.4.18).
  @Test func theThrottlingRegisterBoundsTheRate() throws {
    var machine = try Self.machine()
    var inspector = ScriptedInspector()
    // 1,000 times 256 ns.
    machine.hardware.writeRegister(0x00C4, 1000)
    var times: [UInt64] = []
    for number in 0..<20 {
      try machine.put(Frames.numbered(number), ordinal: number + 1)
      machine.runNIC(frames: 1)
      machine.passDPI(inspecting: &inspector)
      if machine.runOS(deliver: { _ in }) { times.append(machine.hardware.now) }
      machine.hardware.advance(to: machine.hardware.now + 100_000)
    }
    #expect(times.count > 3)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= 256_000 })
    // Whoever sleeps is told when the last one is due, and then nothing is left.
    var delivered = 0
    machine.run(inspecting: &inspector) { _ in delivered += 1 }
    #expect(machine.osDriver.counters.framesReceived == 20)
    #expect(machine.hardware.nextTimer == nil)
  }
}
