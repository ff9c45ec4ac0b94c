import AllyAppliance
import AllyDeviceModels
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

/// The costs that the example `table2` prints.
@Suite struct InterceptionCostTests {
  private static let layout = E1000OSDriver.Layout(base: MachineLayout.driverMemory, receiveDescriptors: 256)

  private static func model() -> E1000Model {
    E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56])
  }

  private static func cost(_ workload: InterceptionCost.Workload, rounds: Int) throws -> InterceptionCost {
    var machine = try E1000Machine(model: model(), osDriver: E1000OSDriver(layout: layout))
    machine.bootOS()
    var inspector = ScriptedInspector()
    return machine.cost(of: workload, rounds: rounds, inspecting: &inspector)
  }

  private static func native(_ workload: InterceptionCost.Workload, rounds: Int) throws -> InterceptionCost {
    var machine = try BareMachine<E1000Model, E1000OSDriver>(model: model(), osDriver: E1000OSDriver(layout: layout))
    machine.osDriver.start(stationAddress: 0x5634_1200_5452, on: &machine.hardware)
    return machine.cost(of: workload, rounds: rounds)
  }

  /// The OS core has about as much to do as without Ally (paper §5.3.2): frames that it receives and frames that it sent are
  /// reported apart where the NIC alone would report them together, as one batch passes the DPI core before the other.
  @Test(arguments: InterceptionCost.Workload.allCases)
  func theOSCoresCostIsTheNative(workload: InterceptionCost.Workload) throws {
    let ally = try Self.cost(workload, rounds: 50)
    let native = try Self.native(workload, rounds: 50)
    #expect(ally.frames == native.frames && ally.frames == (workload == .requestResponse ? 100 : 1200))
    #expect(ally.osInterrupts <= 2 * native.osInterrupts)
    #expect(ally.osRegisterAccesses <= 2 * native.osRegisterAccesses)
    #expect(native.core == DPICoreCounters())
  }

  /// Every descriptor moves once each way: 16 bytes and the ownership word to the NIC, 16 and 16 to the OS.
  @Test func descriptorsMoveOnce() throws {
    for (workload, sent, received) in [(InterceptionCost.Workload.stream, 800, 400), (.maerts, 400, 800)] {
      let cost = try Self.cost(workload, rounds: 50)
      #expect(cost.core.descriptorBytes == UInt64(sent * 24 + received * 32), "\(workload)")
    }
  }

  /// Streams share register accesses and interrupts among the frames of a batch; a request has them for itself.
  @Test func batchesShareTheirCost() throws {
    let stream = try Self.cost(.stream, rounds: 50)
    let maerts = try Self.cost(.maerts, rounds: 50)
    let single = try Self.cost(.requestResponse, rounds: 50)
    for batch in [stream, maerts] {
      #expect(batch.core.nicReads + batch.core.nicWrites < batch.frames / 3)
      #expect(batch.core.interrupts < batch.frames / 3)
      #expect(batch.core.registerAccesses < batch.frames / 3)
    }
    #expect(single.core.nicReads + single.core.nicWrites >= single.frames)
    #expect(single.core.interrupts >= single.frames)
    // Four bytes for each register access, redirected or its own.
    for cost in [stream, maerts, single] {
      #expect(
        cost.core.registerBytes == 4 * (cost.core.registerAccesses + cost.core.nicReads + cost.core.nicWrites))
    }
  }
}
