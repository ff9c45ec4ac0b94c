import AllyHW
import Testing

@Suite("Firmware tables that are none")
struct FirmwareRobustnessTests {
  /// Reads bytes as every table there is; returns how many readers took them.
  private func readAsEverything(_ bytes: [UInt8]) -> Int {
    var taken = 0
    func attempt<T>(_ read: () throws -> T) { if (try? read()) != nil { taken += 1 } }
    attempt { try MADT(parsing: bytes) }
    attempt { try SRAT(parsing: bytes) }
    attempt { try MPTable(parsing: bytes) }
    attempt { try MPPointer(parsing: bytes) }
    attempt { try RootPointer(parsing: bytes) }
    attempt { try RootTable(parsing: bytes) }
    attempt { try ControlStructure(parsing: bytes) }
    attempt { try MemoryMap(parsing: bytes) }
    return taken
  }

  /// Sets the checksum of an ACPI or MP table, so that damage gets past it.
  private func balance(_ bytes: inout [UInt8]) {
    guard bytes.count > 44 else { return }
    let place = bytes.starts(with: Array("PCMP".utf8)) ? 7 : 9
    bytes[place] = 0
    bytes[place] = 0 &- bytes.reduce(0, &+)
  }

  @Test(
    "A table cut anywhere is an error", arguments: [FirmwareSamples.madt, FirmwareSamples.srat, FirmwareSamples.mp])
  func cut(_ table: [UInt8]) {
    for length in 0..<table.count {
      var bytes = Array(table.prefix(length))
      #expect(throws: (any Error).self) { try MADT(parsing: bytes) }
      #expect(throws: (any Error).self) { try SRAT(parsing: bytes) }
      #expect(throws: (any Error).self) { try MPTable(parsing: bytes) }
      // With length and checksum repaired, what is cut is an entry.
      guard length > 44 else { continue }
      bytes[4] = UInt8(truncatingIfNeeded: length)
      bytes[5] = UInt8(truncatingIfNeeded: length >> 8)
      balance(&bytes)
      _ = readAsEverything(bytes)
    }
  }

  @Test("Random bytes and randomly damaged tables never trap, and what is read can be written and read again")
  func random() throws {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    let samples = [FirmwareSamples.madt, FirmwareSamples.srat, FirmwareSamples.mp]
    var accepted = 0
    for round in 0..<20_000 {
      var bytes: [UInt8]
      if round % 4 == 0 {
        bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in .random(in: 0...255, using: &generator) }
      } else {
        bytes = samples[round % 3]
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
        }
        if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
        balance(&bytes)
      }
      accepted += readAsEverything(bytes)
      if let table = try? MADT(parsing: bytes) {
        #expect(try MADT(parsing: table.bytes) == table, "seed \(seed), round \(round)")
        var hidden = table
        if (try? hidden.hide([LocalAPICID(3)])) != nil {
          #expect(!(try MADT(parsing: hidden.bytes)).cores.contains { $0.apicID == LocalAPICID(3) }, "seed \(seed)")
        }
      }
      if let table = try? SRAT(parsing: bytes) {
        #expect(try SRAT(parsing: table.bytes) == table, "seed \(seed), round \(round)")
        var hidden = table
        try? hidden.hide([LocalAPICID(3)], memory: PhysicalRange(base: PhysicalAddress(1 << 28), length: 1 << 24))
      }
      if let table = try? MPTable(parsing: bytes) {
        #expect(try MPTable(parsing: table.bytes) == table, "seed \(seed), round \(round)")
        var hidden = table
        try? hidden.hide([LocalAPICID(3)])
      }
    }
    // Damage to a field that may hold anything is no damage: the test is not about refusals alone.
    #expect(accepted > 1000, "seed \(seed)")
  }

  @Test("Tables are found in memory, and nonsense there is an error")
  func directory() throws {
    var memory = PhysicalMemory(capacity: 2)
    let storage = UnsafeMutableRawPointer.allocate(byteCount: 0x10_0000, alignment: 4096)
    defer { unsafe storage.deallocate() }
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: 0x10_0000)
    try unsafe memory.map(base: PhysicalAddress(0), length: 0x10_0000, storage: storage, rights: .readWrite)
    func put(_ bytes: [UInt8], at address: UInt64) {
      for (offset, byte) in bytes.enumerated() {
        _ = memory.store(byte, at: PhysicalAddress(address + UInt64(offset)))
      }
    }
    #expect(throws: FirmwareTableError.self) { try FirmwareDirectory(in: memory) }

    var header = try MADT(parsing: FirmwareSamples.madt).header
    header.signature = .rootTable
    let root = RootTable(header: header, addresses: [PhysicalAddress(0x9_1000), PhysicalAddress(0x9_2000)])
    put(root.bytes, at: 0x9_0000)
    put(FirmwareSamples.madt, at: 0x9_1000)
    put(FirmwareSamples.srat, at: 0x9_2000)
    put(FirmwareSamples.mp, at: 0xF_1000)
    // A pointer whose checksum is wrong stands before the good one.
    var wrong = RootPointer(oemID: [], rootTable: 0xFFFF_FFF0).bytes
    wrong[8] &+= 1
    put(wrong, at: 0xE_0000)
    put(RootPointer(oemID: Array("BOCHS ".utf8), rootTable: 0x9_0000).bytes, at: 0xF_5A80)
    put(MPPointer(table: 0xF_1000).bytes, at: 0xF_FFF0)

    let found = try FirmwareDirectory(in: memory)
    #expect(found.rootPointerAddress == PhysicalAddress(0xF_5A80))
    #expect(found.tables.map(\.signature) == [.madt, .srat])
    #expect(found.mpTable?.bytes == FirmwareSamples.mp)

    var madt = try MADT(parsing: FirmwareSamples.madt)
    try madt.hide([LocalAPICID(3)])
    let placed = try #require(found.table(.madt))
    try FirmwareDirectory.replace(placed, with: madt.bytes, in: memory)
    let changed = try FirmwareDirectory(in: memory)
    #expect(try MADT(parsing: #require(changed.table(.madt)).bytes).cores.count == 3)
    // Nothing of the old table's end is left behind the new one.
    #expect((136..<144).allSatisfy { memory.load(UInt8.self, at: PhysicalAddress(0x9_1000 + UInt64($0))) == 0 })
    #expect(throws: FirmwareTableError(.noRoom(needed: 145, available: 144), in: .madt, at: 144)) {
      try FirmwareDirectory.replace(placed, with: [UInt8](repeating: 0, count: 145), in: memory)
    }

    // A table that claims to be huge, or lies where nothing is.
    put([0xFF, 0xFF, 0xFF, 0x7F], at: 0x9_1004)
    #expect(throws: FirmwareTableError.self) { try FirmwareDirectory(in: memory) }
    put(RootPointer(oemID: Array("BOCHS ".utf8), rootTable: 0xFFFF_FFF0).bytes, at: 0xF_5A80)
    #expect(throws: FirmwareTableError.self) { try FirmwareDirectory(in: memory) }
  }
}
