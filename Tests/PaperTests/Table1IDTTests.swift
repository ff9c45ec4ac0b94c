import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("IDT: prevent non authorized interrupts from OS cores to DPI cores")
  struct InterruptProtection {
    /// What an OS core can send with its interrupt command register, of each kind.
    enum Flood: CaseIterable {
      case guessedVectors
      case allExcludingSelf
      case allIncludingSelf
      case nonMaskable
      case nonMaskableToAll
      case initialize
      case startUp
      case systemManagement
      case logicalToAll
      case lowestPriority

      func command(_ number: Int) -> InterruptCommand {
        let vector = UInt8(truncatingIfNeeded: 16 + number % 240)
        let target = UInt8(MachineLayout.dpiCore.rawValue)
        return switch self {
        case .guessedVectors: InterruptCommand(vector: vector, destination: target)
        case .allExcludingSelf: InterruptCommand(vector: vector, shorthand: .allExcludingSelf)
        case .allIncludingSelf: InterruptCommand(vector: vector, shorthand: .allIncludingSelf)
        case .nonMaskable: InterruptCommand(vector: 0, mode: .nonMaskable, destination: target)
        case .nonMaskableToAll: InterruptCommand(vector: 0, mode: .nonMaskable, shorthand: .allExcludingSelf)
        case .initialize: InterruptCommand(vector: 0, mode: .initialize, destination: target)
        case .startUp: InterruptCommand(vector: vector, mode: .startUp, destination: target)
        case .systemManagement: InterruptCommand(vector: 0, mode: .systemManagement, destination: target)
        case .logicalToAll: InterruptCommand(vector: vector, destination: 0xFF, isLogical: true)
        case .lowestPriority:
          InterruptCommand(vector: vector, mode: .lowestPriority, destination: 1 << target, isLogical: true)
        }
      }
    }

    @Test("a flood of interrupts of every kind, and the DPI core forwards every frame", arguments: Flood.allCases)
    func flood(_ flood: Flood) throws {
      var machine = try E1000Machine.e1000(receiveDescriptors: 32)
      machine.bootOS()
      var inspector = ScriptedInspector { $0 % 7 == 0 }
      var delivered: [[UInt8]] = []
      let sent = (1...70).map { Frames.numbered($0, length: 100) }
      for (index, frame) in sent.enumerated() {
        try machine.put(frame, ordinal: index + 1)
        for number in 0..<500 {
          machine.hardware.northbridge.interrupts.send(
            flood.command(index * 500 + number), from: MachineLayout.osCore)
        }
        let signals = machine.hardware.northbridge.interrupts.takeSignals(at: MachineLayout.dpiCore)
        #expect(signals == CoreSignals())
        machine.run(inspecting: &inspector) { delivered.append($0.array) }
        // The OS takes what it has sent to itself, too.
        while machine.runOS(deliver: { delivered.append($0.array) }) {}
      }
      #expect(delivered == sent.enumerated().filter { ($0.offset + 1) % 7 != 0 }.map(\.element))
      #expect(inspector.seen.count == 70)
      let dropped = machine.hardware.northbridge.interrupts.droppedInterrupts(at: MachineLayout.dpiCore)
      // What may go to any of several cores never chooses one that would drop it.
      #expect(dropped == (flood == .lowestPriority ? 0 : 70 * 500))
      let apic = machine.hardware.northbridge.interrupts.localAPIC(of: MachineLayout.dpiCore)
      #expect(apic?.requested.isEmpty == true)
    }

    @Test("through the page of the local APIC, as software does it")
    func commandRegister() throws {
      let attacker = try Attacker(PlatformLayout(osCores: 2, dpiCores: 1))
      let target = attacker.platform.layout.dpiCore()
      let page = LocalAPICRegister.base.rawValue
      for command in [
        InterruptCommand(vector: 0xE0, destination: UInt8(target.rawValue)),
        InterruptCommand(vector: 0, mode: .nonMaskable, destination: UInt8(target.rawValue)),
        InterruptCommand(vector: 0xE0, shorthand: .allExcludingSelf),
      ] {
        let high = page + LocalAPICRegister.commandHigh
        let low = page + LocalAPICRegister.commandLow
        attacker.platform.store(command.rawValue >> 32, at: high, by: attacker.core)
        attacker.platform.store(command.rawValue & 0xFFFF_FFFF, at: low, by: attacker.core)
      }
      #expect(attacker.platform.northbridge.interrupts.pending(at: target) == nil)
      #expect(attacker.platform.northbridge.interrupts.droppedInterrupts(at: target) == 3)
      #expect(attacker.platform.northbridge.interrupts.pending(at: attacker.platform.layout.osCore(1)) == 0xE0)
    }

    @Test(
      "devices: an OS that routes a pin or a message to the DPI core, with any delivery mode",
      arguments: [DeliveryMode.fixed, .lowestPriority, .systemManagement, .nonMaskable, .initialize, .external])
    func devices(mode: DeliveryMode) throws {
      let attacker = try Attacker(PlatformLayout(osCores: 1))
      let target = attacker.platform.layout.dpiCore()
      let disk = RequesterID(bus: 0, device: 7, function: 0)
      attacker.platform.northbridge.interrupts.connect(disk, pin: 9)
      let entry = RedirectionEntry(
        vector: 0x66, mode: mode, destination: UInt8(target.rawValue), isLevel: mode == .fixed)
      let io = IOAPIC.base.rawValue
      for (register, half) in [(0x10 + 2 * 9, entry.rawValue), (0x11 + 2 * 9, entry.rawValue >> 32)] {
        attacker.platform.store(UInt64(register), at: io + IOAPIC.Register.select, by: attacker.core)
        attacker.platform.store(half & 0xFFFF_FFFF, at: io + IOAPIC.Register.window, by: attacker.core)
      }
      #expect(attacker.platform.northbridge.interrupts.ioAPIC.entries[9] == entry)
      for _ in 0..<50 {
        attacker.platform.northbridge.interrupts.setLevel(of: disk, asserted: true)
        attacker.platform.northbridge.interrupts.setLevel(of: disk, asserted: false)
        attacker.platform.northbridge.interrupts.signal(
          MessageSignaledInterrupt(
            address: 0xFEE0_0000 | UInt64(target.rawValue) << 12, data: UInt32(mode.rawValue) << 8 | 0x66),
          from: disk)
      }
      #expect(attacker.platform.northbridge.interrupts.pending(at: target) == nil)
      #expect(attacker.platform.northbridge.interrupts.takeSignals(at: target) == CoreSignals())
    }

    @Test("several DPI cores: each lets through what it was told to, and one may interrupt another")
    func severalDPICores() throws {
      let attacker = try Attacker(PlatformLayout(osCores: 2, dpiCores: 3))
      let layout = attacker.platform.layout
      let (first, second) = (layout.dpiCore(0), layout.dpiCore(1))
      let register = AllyConfiguration.Register.interruptSources
      let source = try #require(InterruptSourceRegister(.core(first)))
      #expect(attacker.platform.configure(register, source.rawValue, by: first) == .none)
      let permit = InterruptPermitRegister(core: second, vector: 0x90)
      #expect(attacker.platform.configure(register + 8, permit.rawValue, by: first) == .none)

      attacker.platform.northbridge.interrupts.sendIPI(0x90, from: first, to: second)
      #expect(attacker.platform.northbridge.interrupts.pending(at: second) == 0x90)
      for core in 0..<3 {
        attacker.platform.northbridge.interrupts.sendIPI(0x90, from: attacker.core, to: layout.dpiCore(core))
      }
      #expect(attacker.platform.northbridge.interrupts.pending(at: first) == nil)
      #expect(attacker.platform.northbridge.interrupts.droppedInterrupts(at: second) == 1)
    }
  }
}
