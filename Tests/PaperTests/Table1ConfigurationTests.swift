import AllyHW
import AllySimulator
import Testing

extension Table1Tests {
  @Suite("All units: extra MMIO registers to configure Ally functionalities")
  struct Configuration {
    private typealias Register = AllyConfiguration.Register

    /// Every register, and a value that a DPI core could write there.
    private static func writes(_ layout: PlatformLayout) -> [(register: UInt64, value: UInt64)] {
      let nic = RequesterID(bus: 0, device: 5, function: 0)
      return [
        (Register.boundary, layout.partition.boundary.rawValue - (2 << 20)),
        (Register.end, layout.partition.end.rawValue - 0x1000),
        (Register.remappingBase, layout.partition.boundary.rawValue + 0x2000),
        (Register.remappingSize, UInt64(RemappingTable.byteCount(rows: 64))),
        (
          Register.interruptRedirections, InterruptRedirectionRegister(nic, to: layout.dpiCore(), vector: 0xD0).rawValue
        ),
        (Register.requesters, AuthorizedRequesterRegister(nic).rawValue),
        (Register.interruptSources, InterruptSourceRegister(.device(nic))?.rawValue ?? 0),
        (Register.interruptSources + 8, InterruptPermitRegister(core: layout.dpiCore(), vector: 0xD0).rawValue),
        (Register.locks, ConfigurationLocks.all.rawValue),
      ]
    }

    private static func attacker() throws -> Attacker {
      let attacker = try Attacker()
      attacker.platform.northbridge.interrupts.connect(RequesterID(bus: 0, device: 5, function: 0), pin: 10)
      return attacker
    }

    @Test("an OS core finds nothing there: loads give ones, stores are lost")
    func osCores() throws {
      let attacker = try Self.attacker()
      let layout = attacker.platform.layout
      let before = Self.writes(layout).map { attacker.platform.configuration($0.register, by: layout.dpiCore()) }
      for core in 0..<layout.osCores {
        for offset in stride(from: UInt64(0), to: AllyConfiguration.length, by: 8) {
          #expect(attacker.platform.configuration(offset, by: layout.osCore(core)) == .max)
        }
        for (register, value) in Self.writes(layout) {
          attacker.platform.configure(register, value, by: layout.osCore(core))
        }
      }
      let after = Self.writes(layout).map { attacker.platform.configuration($0.register, by: layout.dpiCore()) }
      #expect(after == before)
      let refused = attacker.platform.configuration(Register.refused, by: layout.dpiCore())
      #expect(refused == UInt64(layout.osCores) * (512 + UInt64(Self.writes(layout).count)))
    }

    @Test("nor with pages of its own, cacheable or large, nor as a hypervisor's guest")
    func mapped() throws {
      let attacker = try Self.attacker()
      let before = attacker.boundary
      let large = AllyConfiguration.base.rawValue & ~(PageSize.size2MiB.rawValue - 1)
      attacker.map([
        (Attacker.target, AllyConfiguration.base.rawValue, .size4KiB), (2 * Attacker.target, large, .size2MiB),
      ])
      for address in [Attacker.target, 2 * Attacker.target + AllyConfiguration.base.rawValue - large] {
        #expect(
          attacker.store(before.rawValue + 0x1000, at: address + Register.boundary) == .done(before.rawValue + 0x1000))
        #expect(attacker.load(address + Register.identification) == .done(.max))
      }
      #expect(attacker.boundary == before)
    }

    @Test("a DPI core configures every unit")
    func dpiCores() throws {
      let attacker = try Self.attacker()
      let layout = attacker.platform.layout
      #expect(attacker.platform.configuration(Register.identification, by: layout.dpiCore()) == 0x1_594C_4C41)
      for (register, value) in Self.writes(layout) {
        #expect(attacker.platform.configure(register, value, by: layout.dpiCore()) == .none, "register \(register)")
      }
      let nic = RequesterID(bus: 0, device: 5, function: 0)
      let boundary = layout.partition.boundary.rawValue - (2 << 20)
      #expect(attacker.platform.load(boundary, by: layout.osCore()) == .fault(.dpiMemory))
      #expect(attacker.platform.load(layout.partition.end.rawValue - 0x1000, by: layout.osCore()) == .done(0))
      #expect(attacker.platform.northbridge.remapping.base.rawValue == layout.partition.boundary.rawValue + 0x2000)
      #expect(attacker.platform.northbridge.iommu.isAuthorized(nic) == true)
      attacker.platform.northbridge.interrupts.setLevel(of: nic, asserted: true)
      #expect(attacker.platform.northbridge.interrupts.pending(at: layout.dpiCore()) == 0xD0)
    }

    @Test("what is locked stays as it is until the next reset, for DPI cores too")
    func locks() throws {
      let attacker = try Self.attacker()
      let layout = attacker.platform.layout
      let groups: [(ConfigurationLocks, [UInt64])] = [
        (.boundary, [Register.boundary, Register.end]), (.remapping, [Register.remappingBase, Register.remappingSize]),
        (.interruptRedirection, [Register.interruptRedirections]), (.requesters, [Register.requesters]),
        (.interruptSources, [Register.interruptSources, Register.interruptSources + 8]),
      ]
      var locked: [UInt64] = []
      for (lock, registers) in groups {
        #expect(attacker.platform.configure(Register.locks, lock.rawValue, by: layout.dpiCore()) == .none)
        // Zeros do not unlock.
        #expect(attacker.platform.configure(Register.locks, 0, by: layout.dpiCore()) == .none)
        locked += registers
        for (register, value) in Self.writes(layout) where locked.contains(register) {
          let before = attacker.platform.configuration(register, by: layout.dpiCore())
          #expect(attacker.platform.configure(register, value, by: layout.dpiCore()) == .locked, "register \(register)")
          #expect(attacker.platform.configuration(register, by: layout.dpiCore()) == before)
        }
      }
      #expect(attacker.platform.configuration(Register.locks, by: layout.dpiCore()) == ConfigurationLocks.all.rawValue)
    }

    @Test("values that make no sense change nothing, and say why")
    func badValues() throws {
      let attacker = try Self.attacker()
      let layout = attacker.platform.layout
      let partition = layout.partition
      let unknown = RequesterID(bus: 9, device: 9, function: 1)
      let cases: [(UInt64, UInt64, ConfigurationError)] = [
        (Register.boundary, partition.boundary.rawValue + 1, .badValue),
        (Register.boundary, partition.end.rawValue + 0x1000, .badRange),
        // The Remapping Table would be OS memory.
        (Register.boundary, partition.boundary.rawValue + 0x1000, .badRange),
        (Register.end, partition.boundary.rawValue, .badRange),
        (Register.remappingBase, partition.boundary.rawValue - 0x1000, .badRange),
        (Register.remappingBase, partition.boundary.rawValue + 4, .badValue),
        (Register.remappingBase, partition.end.rawValue, .badRange),
        (Register.remappingSize, 0, .badRange),
        (Register.remappingSize, .max, .badTable),
        (Register.locks, 1 << 40, .badValue),
        (
          Register.interruptRedirections,
          InterruptRedirectionRegister(unknown, to: layout.dpiCore(), vector: 0xD0).rawValue, .badValue
        ),
        (Register.interruptSources, 3, .badValue),
        (Register.interruptSources + 8, InterruptPermitRegister(core: LocalAPICID(99), vector: 0xD0).rawValue, .full),
        (Register.identification, 0, .badAccess),
        (Register.boundary + 4, 0, .badAccess),
        (0xFF8, 0, .badAccess),
      ]
      for (register, value, expected) in cases {
        #expect(attacker.platform.configure(register, value, by: layout.dpiCore()) == expected, "\(register), \(value)")
      }
      #expect(attacker.boundary == partition.boundary)
      // As wide as a register only.
      let boundary = AllyConfiguration.base.rawValue + Register.boundary
      attacker.platform.store(0, at: boundary, width: .doubleWord, by: layout.dpiCore())
      #expect(attacker.platform.northbridge.configuration.error == .badAccess)
    }
  }
}
