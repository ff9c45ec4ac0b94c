import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("Interrupt Unit: redirect NIC interrupts to DPI cores")
  struct InterruptRedirection {
    private static func hardware() throws -> E1000Hardware {
      try E1000Hardware(
        layout: MachineLayout(), model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0, 0, 1]))
    }

    /// A store to the I/O APIC, as the kernel does it.
    private static func writeIOAPIC(_ register: Int, _ value: UInt64, _ interrupts: inout InterruptUnit) {
      interrupts.writeRegister(
        IOAPIC.base.advanced(by: IOAPIC.Register.select), UInt32(register), by: MachineLayout.osCore)
      interrupts.writeRegister(
        IOAPIC.base.advanced(by: IOAPIC.Register.window), UInt32(truncatingIfNeeded: value), by: MachineLayout.osCore)
    }

    /// What an OS can write into its pin's entry.
    static let entries: [RedirectionEntry] = [
      // Masked; edge-triggered; to every core; as an NMI; to a core that does not exist; to the DPI core itself, with the
      // vector that the NIC has there.
      RedirectionEntry(vector: 0x31, destination: 0, isLevel: true, isMasked: true),
      RedirectionEntry(vector: 0x31, destination: 0, isLevel: false),
      RedirectionEntry(vector: 0x31, destination: 0xFF, isLevel: true),
      RedirectionEntry(vector: 0x31, mode: .nonMaskable, destination: 0, isLevel: true),
      RedirectionEntry(vector: 0x31, destination: 0x77, isLevel: true),
      RedirectionEntry(
        vector: MachineLayout.nicVector, destination: UInt8(MachineLayout.dpiCore.rawValue), isLevel: true),
    ]

    @Test(
      "whatever the OS writes into the pin's entry, the NIC's interrupt reaches the DPI core, and the OS never sees it",
      arguments: entries)
    func rewrittenEntry(entry: RedirectionEntry) throws {
      var hardware = try Self.hardware()
      var inspector = ScriptedInspector()
      HandDrivenOS.start(&hardware, count: 8)
      HandDrivenOS.post(&hardware, slots: 0..<4)
      hardware.passDPI(inspecting: &inspector)
      let register = 0x10 + 2 * Int(MachineLayout.nicPin)
      Self.writeIOAPIC(register, entry.rawValue, &hardware.northbridge.interrupts)
      Self.writeIOAPIC(register + 1, entry.rawValue >> 32, &hardware.northbridge.interrupts)
      try hardware.put(Frames.numbered(1), ordinal: 1)
      hardware.runNIC(frames: 1)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.dpiCore) == MachineLayout.nicVector)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.osCore) == nil)
      #expect(hardware.northbridge.interrupts.counters.deviceInterrupts == 0)
      // Bounded work, also when the mimicked interrupt was routed to the DPI core.
      for _ in 0..<4 { hardware.passDPI(inspecting: &inspector) }
      #expect(inspector.seen.count == 1)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.dpiCore) == nil)
    }

    @Test("an OS that ends interrupts it did not take, through its APIC or the I/O APIC, ends none of the DPI core's")
    func foreignEndOfInterrupt() throws {
      var hardware = try Self.hardware()
      HandDrivenOS.start(&hardware, count: 8)
      HandDrivenOS.post(&hardware, slots: 0..<4)
      var inspector = ScriptedInspector()
      hardware.passDPI(inspecting: &inspector)
      try hardware.put(Frames.numbered(1), ordinal: 1)
      hardware.runNIC(frames: 1)
      #expect(hardware.northbridge.interrupts.acknowledge(at: MachineLayout.dpiCore) == MachineLayout.nicVector)
      let before = hardware.northbridge.interrupts.counters.redirected
      for vector in UInt32(0)...255 {
        hardware.northbridge.interrupts.writeRegister(
          IOAPIC.base.advanced(by: IOAPIC.Register.endOfInterrupt), vector, by: MachineLayout.osCore)
        hardware.northbridge.interrupts.writeRegister(
          LocalAPICRegister.base.advanced(by: LocalAPICRegister.endOfInterrupt), 0, by: MachineLayout.osCore)
      }
      #expect(hardware.northbridge.interrupts.counters.redirected == before, "it is still in service")
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.dpiCore) == nil)
    }

    @Test(
      "messages: an MSI that the OS programs for itself goes to the DPI core, which sends it on",
      arguments: [
        MessageSignaledInterrupt(core: MachineLayout.osCore, vector: 0x55),
        // Logical, to any one of a set with core 0 in it.
        MessageSignaledInterrupt(address: 0xFEE0_100C, data: 0x155),
        // Lowest priority, physical.
        MessageSignaledInterrupt(address: 0xFEE0_0008, data: 0x155),
      ])
    func messages(message: MessageSignaledInterrupt) throws {
      var hardware = try Self.hardware()
      var bytes: [UInt8] = []
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: message.data >> shift))
      }
      let isTaken = hardware.northbridge.writeMemory(
        BusAddress(message.address), bytes.span, requester: MachineLayout.nic)
      #expect(isTaken)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.osCore) == nil)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.dpiCore) == MachineLayout.nicVector)
      hardware.northbridge.interrupts.mimic(message, of: MachineLayout.nic)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.osCore) == 0x55)
    }

    @Test("a message that the OS aims at the DPI core, for the DPI core to mimic: it does not interrupt itself")
    func mimicryOfOneself() throws {
      var hardware = try Self.hardware()
      let message = MessageSignaledInterrupt(core: MachineLayout.dpiCore, vector: MachineLayout.nicVector)
      hardware.northbridge.interrupts.mimic(message, of: MachineLayout.nic)
      #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.dpiCore) == nil)
      #expect(hardware.northbridge.interrupts.droppedInterrupts(at: MachineLayout.dpiCore) == 1)
    }

    @Test("which NIC goes to which DPI core is configured, and another device is not redirected")
    func configured() throws {
      let attacker = try Attacker(PlatformLayout(osCores: 2, dpiCores: 2))
      let layout = attacker.platform.layout
      let nics = [RequesterID(bus: 0, device: 5, function: 0), RequesterID(bus: 0, device: 6, function: 0)]
      let disk = RequesterID(bus: 0, device: 7, function: 0)
      for device in nics + [disk] {
        attacker.platform.northbridge.interrupts.connect(device, pin: 10)
      }
      attacker.platform.northbridge.interrupts.route(pin: 10, to: PinRoute(core: layout.osCore(), vector: 0x31))
      for (index, nic) in nics.enumerated() {
        let slot = UInt64(index)
        let core = layout.dpiCore(index)
        let redirection = InterruptRedirectionRegister(nic, to: core, vector: 0xD0)
        let registers: [(UInt64, UInt64)] = [
          (AllyConfiguration.Register.interruptRedirections + 8 * slot, redirection.rawValue),
          (
            AllyConfiguration.Register.interruptSources + 16 * slot,
            try #require(InterruptSourceRegister(.device(nic))).rawValue
          ),
          (
            AllyConfiguration.Register.interruptSources + 16 * slot + 8,
            InterruptPermitRegister(core: core, vector: 0xD0).rawValue
          ),
        ]
        for (register, value) in registers {
          #expect(attacker.platform.configure(register, value, by: layout.dpiCore()) == .none)
          #expect(attacker.platform.configuration(register, by: layout.dpiCore()) == value)
        }
      }
      attacker.platform.northbridge.interrupts.setLevel(of: nics[1], asserted: true)
      #expect(attacker.platform.northbridge.interrupts.pending(at: layout.dpiCore(1)) == 0xD0)
      #expect(attacker.platform.northbridge.interrupts.pending(at: layout.dpiCore(0)) == nil)
      #expect(attacker.platform.northbridge.interrupts.pending(at: layout.osCore()) == nil)
      attacker.platform.northbridge.interrupts.setLevel(of: disk, asserted: true)
      #expect(attacker.platform.northbridge.interrupts.pending(at: layout.osCore()) == 0x31)
    }
  }
}
