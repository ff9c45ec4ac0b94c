import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("IOMMU: prevent non authorized DMA to DPI memory")
  struct DMAProtection {
    private static let disk = RequesterID(bus: 0, device: 7, function: 0)

    /// What an OS has a device write, and read.
    private static func attack(
      _ attacker: Attacker, at address: UInt64, by requester: RequesterID
    ) -> (written: Bool, read: Bool) {
      var bytes = [UInt8](repeating: 0xEE, count: 16)
      let isWritten = attacker.platform.northbridge.writeMemory(BusAddress(address), bytes.span, requester: requester)
      var span = bytes.mutableSpan
      let isRead = attacker.platform.northbridge.readMemory(
        BusAddress(address), into: &span, range: 0..<16, requester: requester)
      #expect(isRead || bytes.allSatisfy { $0 == 0xEE }, "a refused read leaves nothing behind")
      return (isWritten, isRead)
    }

    @Test("a disk that the OS points at DPI memory neither reads nor writes there, by a single byte too")
    func unauthorizedDevice() throws {
      let attacker = try Attacker()
      let secret = attacker.secret.rawValue
      #expect(Self.attack(attacker, at: secret, by: Self.disk) == (false, false))
      #expect(Self.attack(attacker, at: attacker.boundary.rawValue - 15, by: Self.disk) == (false, false))
      #expect(Self.attack(attacker, at: attacker.boundary.rawValue - 16, by: Self.disk) == (true, true))
      attacker.expectSecretIsSafe()
      #expect(attacker.platform.northbridge.iommu.faults.dpiMemory == 4)
    }

    @Test("only the function that is authorized is: not its siblings, nor the same numbers on another bus")
    func wrongRequester() throws {
      let attacker = try Attacker()
      let nic = RequesterID(bus: 0, device: 5, function: 0)
      let register = AllyConfiguration.Register.requesters
      let dpiCore = attacker.platform.layout.dpiCore()
      let error = attacker.platform.configure(register, AuthorizedRequesterRegister(nic).rawValue, by: dpiCore)
      #expect(error == .none)
      for other in [
        RequesterID(bus: 0, device: 5, function: 1), RequesterID(bus: 1, device: 5, function: 0),
        RequesterID(bus: 0, device: 4, function: 0),
      ] {
        #expect(Self.attack(attacker, at: attacker.secret.rawValue, by: other) == (false, false))
      }
      attacker.expectSecretIsSafe()
      let place = attacker.secret.rawValue + 0x1000
      #expect(Self.attack(attacker, at: place, by: nic) == (true, true))
      // And no longer.
      #expect(attacker.platform.configure(register, 0, by: dpiCore) == .none)
      #expect(Self.attack(attacker, at: place, by: nic) == (false, false))
    }

    @Test("an OS that programs the IOMMU itself does not map its way in")
    func hostileMapping() throws {
      let attacker = try Attacker()
      attacker.platform.northbridge.iommu.attach(Self.disk, to: .mapped)
      let page = PhysicalAddress(attacker.secret.rawValue & ~0xFFF)
      try attacker.platform.northbridge.iommu.map(BusAddress(0x1000), to: page, rights: .readWrite, for: Self.disk)
      #expect(Self.attack(attacker, at: 0x1000, by: Self.disk) == (false, false))
      attacker.expectSecretIsSafe()
    }

    @Test("no device reaches Ally's configuration registers")
    func configurationRegisters() throws {
      let attacker = try Attacker()
      let before = attacker.boundary
      let register = AllyConfiguration.base.rawValue + AllyConfiguration.Register.boundary
      #expect(Self.attack(attacker, at: register, by: Self.disk) == (false, false))
      attacker.platform.northbridge.iommu.attach(Self.disk, to: .identity, mayReachDPIMemory: true)
      #expect(Self.attack(attacker, at: register, by: Self.disk) == (false, false))
      #expect(attacker.boundary == before)
    }

    @Test("a flood of refused accesses is counted whole, fills no log, and hides no other device's fault")
    func faultFlood() throws {
      let attacker = try Attacker()
      let secret = BusAddress(attacker.secret.rawValue)
      for round in 0..<100_000 {
        attacker.platform.northbridge.iommu.advanceClock(to: UInt64(round))
        _ = attacker.platform.northbridge.iommu.translate(secret, length: 64, rights: .write, requester: Self.disk)
      }
      let other = RequesterID(bus: 2, device: 0, function: 0)
      _ = attacker.platform.northbridge.iommu.translate(secret, length: 64, rights: .read, requester: other)
      #expect(attacker.platform.northbridge.iommu.faults.dpiMemory == 100_001)
      var recorded: [RequesterID] = []
      while let fault = attacker.platform.northbridge.iommu.takeFault() { recorded.append(fault.requester) }
      #expect(recorded.filter { $0 == Self.disk }.count == Int(DMAFaultLog.burst))
      #expect(recorded.last == other)
      // A millisecond later there is credit for one more.
      attacker.platform.northbridge.iommu.advanceClock(to: 100_000 + DMAFaultLog.interval)
      for _ in 0..<10 {
        _ = attacker.platform.northbridge.iommu.translate(secret, length: 64, rights: .write, requester: Self.disk)
      }
      #expect(attacker.platform.northbridge.iommu.faultLog.count == 1)
    }

    @Test("the authorized NIC, whose registers the OS would like to point at DPI memory, works on the DPI core's queue")
    func theNICIsNotTheOSsTool() throws {
      var hardware = try E1000Hardware(
        layout: MachineLayout(), model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0, 0, 1]))
      var inspector = ScriptedInspector()
      let secret = hardware.os.core.mmu.partition.boundary
      let before = hardware.northbridge.memory.load(UInt64.self, at: secret)
      HandDrivenOS.start(&hardware, count: 8)
      HandDrivenOS.post(&hardware, slots: 0..<3)
      hardware.passDPI(inspecting: &inspector)
      // The ring's base, in the middle of everything, and a buffer.
      hardware.writeRegister(QueueRegister.receiveBaseLow, UInt32(secret.rawValue))
      hardware.store(secret.rawValue, at: HandDrivenOS.descriptor(1))
      for number in 1...3 { try hardware.put(Frames.numbered(number), ordinal: number) }
      for _ in 0..<4 {
        hardware.runNIC(frames: 8)
        hardware.passDPI(inspecting: &inspector)
      }
      let after = hardware.northbridge.memory.load(UInt64.self, at: secret)
      #expect(after == before)
    }
  }
}
