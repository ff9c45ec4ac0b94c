internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import AllySimulator

extension LawChecks where Virtualizer: ~Copyable, Model: ~Copyable, OSDriver: ~Copyable {
  // MARK: Isolation

  /// Looks after every move of NIC, DPI core and OS, and once more after a restart, which is when old values may come to
  /// light.
  mutating func isolation() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var machine = try bench.machine(protection)
      var bare = try BareMachine(
        layout: bench.layout(protection), model: bench.makeModel(), osDriver: bench.makeOSDriver())
      bare.osDriver.start(stationAddress: 0x5634_1200_5452, on: &bare.hardware)
      var inspector = SecretKeeper()
      for round in 0..<2 {
        machine.osDriver = bench.makeOSDriver()
        machine.bootOS()
        var trespass = trespass(in: &machine, bare: &bare)
        for step in 0..<8 where trespass == nil {
          feed(&machine, from: 8 * round + step, count: 1, secret: { $0 % 3 == 0 })
          machine.runNIC(frames: 4)
          trespass = self.trespass(in: &machine, bare: &bare)
          machine.passDPI(inspecting: &inspector)
          trespass = trespass ?? self.trespass(in: &machine, bare: &bare)
          machine.runOS { _ in }
        }
        if let trespass = trespass ?? self.trespass(in: &machine, bare: &bare) ?? strayStore(in: machine) {
          return fail(
            .isolation, "\(protection)\(round > 0 ? ", after a restart" : ""): \(trespass)", diagram: draw(machine))
        }
      }
    }
  }

  /// An address of DPI memory where the OS can read it. What a register reads without Ally too is none.
  private func trespass(in machine: inout Machine, bare: inout BareMachine<Model, OSDriver>) -> String? {
    let partition = machine.hardware.northbridge.configuration.partition
    let dpi = partition.boundary.rawValue..<partition.end.rawValue
    let first = MachineLayout.driverMemory.rawValue
    let place = Self.firstWord(
      of: machine, from: first, to: first + machine.osDriver.memoryByteCount & ~7, where: { dpi.contains($0) })
    if let place { return "an address of DPI memory is in OS memory, at \(hexadecimal(place))" }
    for range in Virtualizer.registers where range.disposition != .passThrough && !range.clearsOnRead {
      let length = range.disposition == .deny ? min(range.length, 0x40) : range.length
      var last: UInt64 = 0
      for offset in stride(from: range.offset, to: range.offset + length & ~3, by: 4) {
        let value = UInt64(machine.hardware.readRegister(offset))
        // An address in one register, or in two of which this is the upper half.
        let isAddress = dpi.contains(value) || (value != 0 && dpi.contains(value << 32 | last))
        if isAddress, !bench.holdNoAddress.contains(offset), value != UInt64(bare.hardware.readRegister(offset)) {
          return "register \(hexadecimal(UInt64(offset))) reads as an address of DPI memory"
        }
        last = value
      }
    }
    return nil
  }

  /// Something in OS memory that neither the kernel's page tables nor the driver's queues and buffers have there.
  private func strayStore(in machine: borrowing Machine) -> String? {
    let tables = MachineLayout.pageTables.rawValue
    let driver = MachineLayout.driverMemory.rawValue
    let boundary = machine.hardware.northbridge.configuration.partition.boundary.rawValue
    for range in [
      0..<tables, (tables + MachineLayout.pageTableLength)..<driver,
      ((driver + machine.osDriver.memoryByteCount + 7) & ~7)..<boundary,
    ] {
      if let place = Self.firstWord(of: machine, from: range.lowerBound, to: range.upperBound, where: { $0 != 0 }) {
        return "something was stored at \(hexadecimal(place)), outside the driver's queues and buffers"
      }
    }
    return nil
  }

  private func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16, uppercase: true) }

  /// The address of the first word of eight bytes in OS memory that is such; nil when there is none.
  private static func firstWord(
    of machine: borrowing Machine, from first: UInt64, to end: UInt64, where isSuch: (UInt64) -> Bool
  ) -> UInt64? {
    let length = Int(end - first)
    guard
      let place = unsafe machine.hardware.northbridge.memory.pointer(
        at: PhysicalAddress(first), length: UInt64(length), for: .read)
    else { return nil }
    var offset = 0
    while offset < length {
      // As many bytes are mapped there, from a multiple of eight on.
      if unsafe isSuch(place.load(fromByteOffset: offset, as: UInt64.self)) { return first + UInt64(offset) }
      offset += 8
    }
    return nil
  }

  // MARK: No uninspected byte

  mutating func noUninspectedByte() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var machine = try bench.machine(protection)
      machine.bootOS()
      var inspector = SecretKeeper()
      var arrivals = Arrivals()
      let isSecret = { (number: Int) in number % 2 == 1 }
      machine.passDPI(inspecting: &inspector)
      for number in 0..<12 {
        let frame = TestFrame.make(number, isSecret: isSecret(number))
        _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
        if !isSecret(number) { continue }
        // On transmit the OS has the bytes itself; the wire must not.
        _ = unsafe machine.send(frame.span.bytes)
      }
      // The NIC runs and the OS looks, before any of it was inspected.
      machine.runNIC(frames: 64)
      var early = 0
      machine.runOS { _ in early += 1 }
      machine.osDriver.interrupt(on: &machine.hardware) { _ in early += 1 }
      takeSent(&machine.hardware.wire, into: &arrivals)
      guard early == 0, arrivals.sent.isEmpty else {
        return fail(
          .noUninspectedByte,
          "\(protection): \(early == 0 ? "the wire" : "the OS") got a frame before it was inspected",
          diagram: draw(machine))
      }
      drain(&machine, &inspector, &arrivals)
      if let bad = arrivals.delivered.first(where: { $0 < 0 || isSecret($0) }) {
        return fail(
          .noUninspectedByte, "\(protection): the OS got frame \(bad), which the inspector dropped",
          diagram: draw(machine))
      }
      if let bad = arrivals.sent.first {
        return fail(
          .noUninspectedByte, "\(protection): the wire got frame \(bad), which the inspector dropped",
          diagram: draw(machine))
      }
      guard arrivals.delivered == (0..<12).filter({ !isSecret($0) }) else {
        return fail(.noUninspectedByte, "\(protection): the OS got \(arrivals.delivered)", diagram: draw(machine))
      }
    }
    try noByteOfDroppedFrames()
  }

  /// With copying no byte of a dropped frame is anywhere in OS memory, at any time: a machine where the OS sends nothing.
  private mutating func noByteOfDroppedFrames() throws {
    var machine = try bench.machine(.copyToDPIMemory)
    machine.bootOS()
    var inspector = SecretKeeper()
    machine.passDPI(inspecting: &inspector)
    for number in 0..<8 {
      let frame = TestFrame.make(number, isSecret: true)
      _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1))
    }
    let end = MachineLayout.driverMemory.rawValue + machine.osDriver.memoryByteCount
    for step in 0..<4 {
      if step % 2 == 0 { machine.runNIC(frames: 4) } else { machine.passDPI(inspecting: &inspector) }
      // The secret has 16 bytes, so wherever it lies a word is from within it.
      let place = Self.firstWord(
        of: machine, from: MachineLayout.driverMemory.rawValue, to: end & ~7, where: TestFrame.isPartOfSecret)
      if place != nil {
        return fail(
          .noUninspectedByte,
          "OS memory holds bytes of a frame that the inspector \(step % 2 == 0 ? "has not seen" : "dropped")",
          diagram: draw(machine))
      }
    }
  }
}
