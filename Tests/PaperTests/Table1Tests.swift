import AllyHW
import AllySimulator
import Testing

/// Table 1 of the paper, "Hardware/Firmware Modifications": a suite for each of its rows, with the attacks that the row has
/// to stop. Each suite is in a file of its own.
@Suite("Table 1")
enum Table1Tests {}

/// An OS that attacks: it has all of OS memory, writes its own page tables, and knows where DPI memory is.
@safe
final class Attacker {
  /// Where the attacker's tables are, and where it maps what it is after.
  static let tables = PhysicalAddress(0x10_0000)
  static let target: UInt64 = 0x4000_0000

  var platform: SimulatedPlatform<NoDevices>
  let core: LocalAPICID
  /// Something in DPI memory that nobody must see or change.
  let secret: PhysicalAddress
  static let secretValue: UInt64 = 0x5EC2_E75E_C2E7_5EC2

  /// - Parameter core: which of the OS cores attacks.
  init(_ layout: PlatformLayout = PlatformLayout(), core: Int = 0) throws {
    platform = try SimulatedPlatform(layout: layout)
    self.core = layout.osCore(core)
    secret = layout.partition.boundary.advanced(by: 0x10_0000)
    #expect(platform.northbridge.memory.store(Self.secretValue, at: secret) == true)
  }

  var boundary: PhysicalAddress { platform.northbridge.configuration.partition.boundary }

  func withMMU(_ body: (inout MMU<AllyExtension>) -> Void) {
    platform.withCore(core) { core, _, _ in body(&core.mmu) }
  }

  /// Writes page tables with these pages, and loads CR3.
  func map(levels: Int = 4, _ pages: [(virtual: UInt64, physical: UInt64, size: PageSize)]) {
    var builder = PageTables(arena: Self.tables, pages: 32, levels: levels)
    for page in 0..<UInt64(32) { clear(page: Self.tables.advanced(by: page * 0x1000)) }
    for page in pages {
      let isMapped = builder.map(
        VirtualAddress(page.virtual), to: PhysicalAddress(page.physical), size: page.size,
        in: platform.northbridge.memory)
      #expect(isMapped)
    }
    withMMU { mmu in
      mmu.pageTableRoot = nil
      if levels == 5 { mmu.controls.insert(.fiveLevels) } else { mmu.controls.remove(.fiveLevels) }
      mmu.pageTableRoot = builder.root
    }
  }

  private func clear(page: PhysicalAddress) {
    for offset in stride(from: UInt64(0), to: 0x1000, by: 8) {
      _ = platform.northbridge.memory.store(UInt64(0), at: page.advanced(by: offset))
    }
  }

  func load(_ address: UInt64) -> AccessOutcome { platform.load(address, width: .quadWord, by: core) }
  func store(_ value: UInt64, at address: UInt64) -> AccessOutcome {
    platform.store(value, at: address, width: .quadWord, by: core)
  }

  /// Loads and stores are refused, and the secret is as it was.
  func expectRefused(_ address: UInt64, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(load(address) == .fault(.dpiMemory), sourceLocation: sourceLocation)
    #expect(store(0, at: address) == .fault(.dpiMemory), sourceLocation: sourceLocation)
    expectSecretIsSafe(sourceLocation: sourceLocation)
  }

  func expectSecretIsSafe(sourceLocation: SourceLocation = #_sourceLocation) {
    let value = platform.northbridge.memory.load(UInt64.self, at: secret)
    #expect(value == Self.secretValue, sourceLocation: sourceLocation)
  }
}
