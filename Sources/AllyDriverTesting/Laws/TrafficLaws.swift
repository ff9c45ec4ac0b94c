internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import AllySimulator

/// What came out of a machine.
struct Arrivals: Equatable {
  /// Numbers of the frames that the OS's network stack got; -1 for one that is none of ours.
  var delivered: [Int] = []
  /// Likewise of those on the wire.
  var sent: [Int] = []
}

extension LawChecks where Virtualizer: ~Copyable, Model: ~Copyable, OSDriver: ~Copyable {
  typealias Machine = SimulatedMachine<Virtualizer, Model, OSDriver>

  /// Puts frames on the wire and into the OS's driver, as many as there is room for.
  private func feed(_ machine: inout Machine, from first: Int, count: Int, secret: (Int) -> Bool = { _ in false }) {
    for number in first..<(first + count) {
      let frame = TestFrame.make(number, isSecret: secret(number))
      _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1, lengthOnWire: UInt32(frame.count)))
      // Bytes of initialized integers: any of them may be read raw.
      _ = unsafe machine.send(frame.span.bytes)
    }
  }

  private func takeSent(_ wire: inout Wire<FrameStamp>, into arrivals: inout Arrivals) {
    while let number = wire.fromNIC.withFirst({ frame, _ in TestFrame.number(frame.array) ?? -1 }) {
      arrivals.sent.append(number)
      wire.fromNIC.removeFirst()
    }
  }

  private func drain(_ machine: inout Machine, _ inspector: inout SecretKeeper, _ arrivals: inout Arrivals) {
    var delivered: [Int] = []
    machine.run(inspecting: &inspector, batch: 8) { delivered.append(TestFrame.number($0.array) ?? -1) }
    arrivals.delivered += delivered
    takeSent(&machine.hardware.wire, into: &arrivals)
  }

  // MARK: Order

  mutating func orderAcrossWrap() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var random = SeededGenerator(seed: seed)
      var machine = try bench.machine(protection)
      machine.bootOS()
      var inspector = SecretKeeper()
      var arrivals = Arrivals()
      var next = 0
      // Eight turns of the queues.
      while next < 8 * bench.queueLength {
        let count = Int.random(in: 1...(bench.queueLength / 3), using: &random)
        feed(&machine, from: next, count: count)
        next += count
        drain(&machine, &inspector, &arrivals)
        let expected = Array(0..<next)
        for (found, side) in [(arrivals.delivered, "the OS got"), (arrivals.sent, "the wire got")]
        where found != expected {
          return fail(
            .orderAcrossWrap,
            "\(protection): of \(next) frames \(side) \(found.count), expected all in order; the first that differs is "
              + "\(zip(found, expected).first { $0 != $1 }?.1 ?? found.count)",
            diagram: RingDiagram.words(machine.hardware.dpi.virtualizer.counters(queue: 0)))
        }
      }
    }
  }

  // MARK: Transparency

  mutating func transparency() throws {
    var random = SeededGenerator(seed: seed)
    var machine = try bench.machine(.inPlace)
    var bare = try BareMachine(model: bench.makeModel(), osDriver: bench.makeOSDriver())
    machine.bootOS()
    bare.osDriver.start(stationAddress: 0x5634_1200_5452, on: &bare.hardware)
    var inspector = SecretKeeper()
    var over = Arrivals()
    var without = Arrivals()
    var next = 0
    for step in 0..<4 {
      let count = Int.random(in: 1...5, using: &random)
      feed(&machine, from: next, count: count)
      for number in next..<(next + count) {
        let frame = TestFrame.make(number)
        _ = bare.hardware.wire.toNIC.append(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
        // Bytes of initialized integers: any of them may be read raw.
        _ = unsafe bare.osDriver.send(frame.span.bytes, doorbell: true, on: &bare.hardware)
      }
      next += count
      drain(&machine, &inspector, &over)
      var delivered: [Int] = []
      bare.run { delivered.append(TestFrame.number($0.array) ?? -1) }
      without.delivered += delivered
      takeSent(&bare.hardware.wire, into: &without)
      guard over == without else { return fail(.transparency, "step \(step): \(over), without Ally \(without)") }
      if let difference = difference(&machine, &bare) { return fail(.transparency, "step \(step): \(difference)") }
    }
  }

  /// What the OS reads otherwise than without Ally: registers, queues, buffers.
  private func difference(
    _ machine: inout Machine, _ bare: inout BareMachine<Model, OSDriver>
  ) -> String? {
    for range in Virtualizer.registers where range.disposition == .redirect && !range.clearsOnRead {
      for offset in stride(from: range.offset, to: range.offset + range.length & ~3, by: 4)
      where !bench.mayDiffer.contains(offset) {
        let found = machine.hardware.readRegister(offset)
        let expected = bare.hardware.readRegister(offset)
        if found != expected { return "register \(hexadecimal(offset)) reads \(found), without Ally \(expected)" }
      }
    }
    let base = MachineLayout.driverMemory
    for offset in stride(from: UInt64(0), to: machine.osDriver.memoryByteCount & ~7, by: 8) {
      let place = base.advanced(by: offset)
      let found = machine.hardware.northbridge.memory.load(UInt64.self, at: place)
      let expected = bare.hardware.northbridge.memory.load(UInt64.self, at: place)
      if found != expected { return "OS memory at \(offset) of the driver's holds other bytes than without Ally" }
    }
    return nil
  }

  private func hexadecimal(_ value: UInt32) -> String { "0x" + String(value, radix: 16, uppercase: true) }

  // MARK: Isolation

  mutating func isolation() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var machine = try bench.machine(protection)
      let partition = machine.hardware.northbridge.configuration.partition
      let dpi = partition.boundary.rawValue..<partition.end.rawValue
      var inspector = SecretKeeper()
      var arrivals = Arrivals()
      // Once more after a restart, which is when old values may come to light.
      for round in 0..<2 {
        machine.osDriver = bench.makeOSDriver()
        machine.bootOS()
        if round == 0 {
          feed(&machine, from: 0, count: 8, secret: { $0 % 3 == 0 })
          drain(&machine, &inspector, &arrivals)
        }
        let driverEnd = MachineLayout.driverMemory.rawValue + machine.osDriver.memoryByteCount
        for address in stride(from: MachineLayout.driverMemory.rawValue, to: driverEnd + 0x1_0000, by: 8) {
          let word = machine.hardware.northbridge.memory.load(UInt64.self, at: PhysicalAddress(address)) ?? 0
          if dpi.contains(word) { return fail(.isolation, "\(protection): an address of DPI memory is in OS memory") }
          if word != 0, address >= driverEnd & ~7 + 8 {
            return fail(.isolation, "\(protection): something was stored outside the driver's queues and buffers")
          }
        }
        for range in Virtualizer.registers where range.disposition != .passThrough && !range.clearsOnRead {
          for offset in stride(
            from: range.offset, to: min(range.offset + range.length & ~3, range.offset + 0x1000), by: 4)
          {
            let value = UInt64(machine.hardware.readRegister(offset))
            if dpi.contains(value) {
              return fail(
                .isolation, "\(protection): register \(hexadecimal(offset)) reads as an address of DPI memory")
            }
          }
        }
      }
    }
  }

  // MARK: No uninspected byte

  mutating func noUninspectedByte() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var machine = try bench.machine(protection)
      machine.bootOS()
      var inspector = SecretKeeper()
      var arrivals = Arrivals()
      let isSecret = { (number: Int) in number % 2 == 1 }
      for number in 0..<12 {
        let frame = TestFrame.make(number, isSecret: isSecret(number))
        _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
        if !isSecret(number) { continue }
        // On transmit the OS has the bytes itself; the wire must not.
        _ = unsafe machine.send(frame.span.bytes)
      }
      drain(&machine, &inspector, &arrivals)
      if let bad = arrivals.delivered.first(where: { $0 < 0 || isSecret($0) }) {
        return fail(.noUninspectedByte, "\(protection): the OS got frame \(bad), which the inspector dropped")
      }
      if let bad = arrivals.sent.first {
        return fail(.noUninspectedByte, "\(protection): the wire got frame \(bad), which the inspector dropped")
      }
      guard arrivals.delivered == (0..<12).filter({ !isSecret($0) }) else {
        return fail(.noUninspectedByte, "\(protection): the OS got \(arrivals.delivered)")
      }
      guard protection == .copyToDPIMemory else { continue }
      // No byte of a dropped frame anywhere: a machine where the OS sends nothing.
      var quiet = try bench.machine(protection)
      quiet.bootOS()
      for number in 0..<8 {
        let frame = TestFrame.make(number, isSecret: true)
        _ = quiet.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
      }
      drain(&quiet, &inspector, &arrivals)
      let word = TestFrame.secret[2..<10].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let end = MachineLayout.driverMemory.rawValue + quiet.osDriver.memoryByteCount
      for address in stride(from: MachineLayout.driverMemory.rawValue, to: end, by: 4)
      where quiet.hardware.northbridge.memory.load(UInt64.self, at: PhysicalAddress(address)) == word {
        return fail(.noUninspectedByte, "OS memory holds bytes of a frame that the inspector dropped")
      }
    }
  }
}
