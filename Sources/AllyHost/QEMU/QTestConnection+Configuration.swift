internal import AllyHW

/// What a BIOS does for a function on PCI bus 0.
extension QTestConnection {
  /// Finds out what the function is, gives its base address registers places, and lets it answer and do DMA.
  mutating func placeFunction(slot: UInt32) throws(HostError) -> PCIFunction {
    let identity = configuration(slot, 0x00)
    guard identity != 0, identity != 0xFFFF_FFFF else {
      throw failure ?? HostError("QEMU has no device in slot \(slot)")
    }
    let kind = configuration(slot, 0x08)
    let subsystem = configuration(slot, 0x2C)
    let capabilities = capabilities(slot)
    let function = PCIFunction(
      vendorID: UInt16(truncatingIfNeeded: identity), deviceID: UInt16(truncatingIfNeeded: identity >> 16),
      revision: UInt8(truncatingIfNeeded: kind), classCode: kind >> 8,
      subsystemVendorID: UInt16(truncatingIfNeeded: subsystem),
      subsystemID: UInt16(truncatingIfNeeded: subsystem >> 16),
      interruptPin: UInt8(truncatingIfNeeded: configuration(slot, 0x3C) >> 8),
      baseAddressRegisters: placeBaseAddressRegisters(slot), capabilities: capabilities,
      msix: messageTable(slot, capabilities), virtioStructures: virtioStructures(slot, capabilities))
    enable(slot)
    if let failure { throw failure }
    return function
  }

  /// Gives a function that was reset its places back.
  mutating func replaceFunction(_ function: PCIFunction, slot: UInt32) {
    for (index, bar) in function.baseAddressRegisters.enumerated() where bar.length > 0 {
      placeBaseAddress(slot, index, bar.base, is64: bar.kind == .memory64)
    }
    enable(slot)
  }

  /// Gives a base address register of any function a place.
  mutating func placeBaseAddress(_ slot: UInt32, _ index: Int, _ base: UInt64, is64: Bool) {
    let offset = 0x10 + 4 * UInt32(index)
    setConfiguration(slot, offset, UInt32(truncatingIfNeeded: base))
    if is64 { setConfiguration(slot, offset + 4, UInt32(truncatingIfNeeded: base >> 32)) }
  }

  /// Lets a function answer and do DMA: I/O, memory, bus master (PCI Local Bus Specification 3.0, §6.2.2).
  mutating func enable(_ slot: UInt32) { setConfiguration(slot, 0x04, 7) }

  /// Resets the whole machine by the port that its chipset has for it (Intel ICH9 datasheet, §13.7.5): a conventional PCI function
  /// has no reset of its own, and registers of a driver leave some of it as it was.
  ///
  /// - Parameter slot: of a function that was enabled, which shows when it is done.
  mutating func resetMachine(_ slot: UInt32) {
    command("outb 0xcf9 0x6")
    for _ in 0..<10_000 where failure == nil {
      guard configuration(slot, 0x04) & 7 != 0 else { return forgetPins() }
    }
    if failure == nil { fail("QEMU does not reset its machine") }
  }

  /// The address and data ports of configuration space (PCI Local Bus Specification 3.0, §3.2.2.3.2).
  private mutating func configuration(_ slot: UInt32, _ offset: UInt32) -> UInt32 {
    command("outl 0xcf8 \(1 << 31 | slot << 11 | offset & ~3)")
    return UInt32(truncatingIfNeeded: command("inl 0xcfc") ?? .max)
  }

  private mutating func setConfiguration(_ slot: UInt32, _ offset: UInt32, _ value: UInt32) {
    command("outl 0xcf8 \(1 << 31 | slot << 11 | offset & ~3)")
    command("outl 0xcfc \(value)")
  }

  /// Memory goes up from 0xE0000000, ports from 0xC000, each at a multiple of its length.
  private mutating func placeBaseAddressRegisters(_ slot: UInt32) -> [BaseAddressRegister] {
    var memory: UInt64 = 0xE000_0000
    var port: UInt64 = 0xC000
    var bars: [BaseAddressRegister] = []
    while bars.count < 6 {
      let offset = 0x10 + 4 * UInt32(bars.count)
      setConfiguration(slot, offset, .max)
      let answer = configuration(slot, offset)
      guard answer != 0 else {
        bars.append(.none)
        continue
      }
      let isPort = answer & 1 != 0
      let length = UInt64(~(answer & (isPort ? ~3 : ~15)) &+ 1)
      let base = ((isPort ? port : memory) + length - 1) & ~(length - 1)
      if isPort { port = base + length } else { memory = base + length }
      setConfiguration(slot, offset, UInt32(truncatingIfNeeded: base))
      let is64 = !isPort && answer >> 1 & 3 == 2
      bars.append(
        BaseAddressRegister(
          kind: isPort ? .io : is64 ? .memory64 : .memory32, length: length,
          isPrefetchable: !isPort && answer >> 3 & 1 == 1, base: base))
      guard is64, bars.count < 6 else { continue }
      setConfiguration(slot, offset + 4, 0)
      bars.append(.none)
    }
    return bars
  }

  private mutating func capabilities(_ slot: UInt32) -> [PCICapability] {
    var found: [PCICapability] = []
    guard configuration(slot, 0x04) >> 20 & 1 == 1 else { return [] }
    var offset = UInt8(truncatingIfNeeded: configuration(slot, 0x34)) & ~3
    // There is room for no more.
    while offset >= 0x40, found.count < 48 {
      let header = configuration(slot, UInt32(offset))
      found.append(
        PCICapability(kind: PCICapability.Kind(rawValue: UInt8(truncatingIfNeeded: header)), offset: offset))
      offset = UInt8(truncatingIfNeeded: header >> 8) & ~3
    }
    return found
  }

  /// PCI Local Bus Specification 3.0, §6.8.2.
  private mutating func messageTable(_ slot: UInt32, _ capabilities: [PCICapability]) -> MSIXLayout? {
    guard let place = capabilities.first(where: { $0.kind == .messageSignaledInterruptsExtended })?.offset else {
      return nil
    }
    let control = configuration(slot, UInt32(place))
    let table = configuration(slot, UInt32(place) + 4)
    let pending = configuration(slot, UInt32(place) + 8)
    return MSIXLayout(
      vectors: min(Int(control >> 16 & 0x7FF) + 1, 32), register: Int(table & 7), tableOffset: table & ~7,
      pendingOffset: pending & ~7)
  }

  /// Virtual I/O Device Version 1.2, §4.1.4.
  private mutating func virtioStructures(
    _ slot: UInt32, _ capabilities: [PCICapability]
  ) -> [VirtioPCIStructure] {
    capabilities.filter { $0.kind == .vendorSpecific && $0.offset < 0xEC }.compactMap { capability in
      let place = UInt32(capability.offset)
      let kind = VirtioPCIStructure.Kind(rawValue: UInt8(truncatingIfNeeded: configuration(slot, place) >> 24))
      guard let kind else { return nil }
      return VirtioPCIStructure(
        kind: kind, capabilityOffset: capability.offset, register: Int(configuration(slot, place + 4) & 0xFF),
        offset: configuration(slot, place + 8), length: configuration(slot, place + 12),
        notificationMultiplier: kind == .notification ? configuration(slot, place + 16) : 0)
    }
  }
}
