internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import AllySimulator

extension LawChecks where Virtualizer: ~Copyable, Model: ~Copyable, OSDriver: ~Copyable {
  /// An OS that writes what it likes, where it likes, as wide as it likes, in between traffic. The inspector drops
  /// everything, so whatever reaches the wire or the stack got around it.
  mutating func hostileOS() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var random = SeededGenerator(seed: seed)
      var machine = try bench.machine(protection)
      machine.bootOS()
      var inspector = SecretKeeper(dropsAll: true)
      let memory = MachineLayout.driverMemory.rawValue
      for round in 0..<300 {
        // Its own driver does not survive what it does.
        if round % 5 == 0 {
          machine.osDriver = bench.makeOSDriver()
          machine.bootOS()
        }
        for number in 0..<2 {
          let frame = TestFrame.make(number)
          _ = machine.offer(frame.span, stamp: FrameStamp())
          // Bytes of initialized integers: any of them may be read raw.
          _ = unsafe machine.send(frame.span.bytes)
        }
        attackRegisters(&machine, using: &random)
        for _ in 0..<8 {
          let place = memory + UInt64.random(in: 0..<0x4000, using: &random) & ~7
          machine.hardware.store(
            Bool.random(using: &random) ? random.next() : memory + random.next() % 0x10000, at: PhysicalAddress(place))
        }
        var delivered = 0
        // An OS that keeps interrupting itself does so for ever.
        for _ in 0..<16 {
          machine.runNIC(frames: 8)
          machine.passDPI(inspecting: &inspector)
          machine.runOS { frame in if TestFrame.number(frame.array) != nil { delivered += 1 } }
        }
        if delivered > 0 {
          return fail(.hostileOS, "\(protection): a frame reached the OS that nobody let pass", diagram: draw(machine))
        }
        guard machine.hardware.wire.fromNIC.isEmpty else {
          return fail(
            .hostileOS, "\(protection): a frame reached the wire that nobody let pass", diagram: draw(machine))
        }
        let faults = machine.hardware.northbridge.iommu.faults
        if faults.total > 0 {
          return fail(.hostileOS, "\(protection): the OS made the NIC go astray: \(faults)", diagram: draw(machine))
        }
      }
    }
  }

  /// First every register as it is, in each width; then anything.
  private func attackRegisters(_ machine: inout Machine, using random: inout SeededGenerator) {
    let ranges = Virtualizer.registers.filter { $0.disposition != .passThrough }
    guard let range = ranges.randomElement(using: &random) else { return }
    let isCopying = Bool.random(using: &random)
    for _ in 0..<6 {
      let width = [RegisterWidth.byte, .word, .doubleWord, .quadWord].randomElement(using: &random) ?? .doubleWord
      let offset = range.offset + UInt32.random(in: 0..<min(range.length, 0x100), using: &random)
      let aligned = offset & ~UInt32(width.rawValue - 1)
      var value = random.next() & (Bool.random(using: &random) ? .max : 0x1F)
      if isCopying {
        value =
          UInt64(machine.hardware.readRegister(aligned & ~3))
          | UInt64(machine.hardware.readRegister(aligned & ~3 + 4)) << 32
      }
      _ = machine.hardware.os.core.store(
        value, at: VirtualAddress(OSMemory.deviceMap + UInt64(aligned)), width: width,
        on: &machine.hardware.northbridge, devices: &machine.hardware.nic)
      machine.hardware.takeDPIInterrupts()
    }
  }

  // MARK: Reset

  mutating func resetAtEveryStep() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      for step in 0..<10 {
        var machine = try bench.machine(protection)
        machine.bootOS()
        var inspector = SecretKeeper()
        var delivered: [Int] = []
        for number in 0..<4 {
          let frame = TestFrame.make(number)
          _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
          _ = unsafe machine.send(frame.span.bytes)
        }
        for index in 0..<step {
          switch index % 3 {
          case 0: machine.runNIC(frames: 1)
          case 1: machine.passDPI(inspecting: &inspector)
          default: machine.runOS { delivered.append(TestFrame.number($0.array) ?? -1) }
          }
        }
        machine.osDriver = bench.makeOSDriver()
        machine.bootOS()
        for number in 100..<108 {
          let frame = TestFrame.make(number)
          _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
          _ = unsafe machine.send(frame.span.bytes)
        }
        machine.run(inspecting: &inspector, batch: 4) { delivered.append(TestFrame.number($0.array) ?? -1) }
        var sent: [Int] = []
        while let number = machine.hardware.wire.fromNIC.withFirst({ frame, _ in TestFrame.number(frame.array) ?? -1 })
        {
          sent.append(number)
          machine.hardware.wire.fromNIC.removeFirst()
        }
        for (found, side) in [(delivered, "the OS got"), (sent, "the wire got")] {
          let isAscending = zip(found, found.dropFirst()).allSatisfy { $0 < $1 }
          guard isAscending, found.allSatisfy({ $0 >= 0 }), found.suffix(8) == Array(100..<108)[...] else {
            return fail(
              .resetAtEveryStep, "\(protection), reset at step \(step): \(side) \(found)",
              diagram: draw(machine))
          }
        }
      }
    }
  }
}
