import AllyHW
import Testing

@Suite("Firmware tables")
struct FirmwareTableTests {
  private func sum(_ bytes: [UInt8]) -> UInt8 { bytes.reduce(0, &+) }

  @Test("A MADT is read, and written as the same bytes")
  func madt() throws {
    let table = try MADT(parsing: FirmwareSamples.madt)
    #expect(table.bytes == FirmwareSamples.madt)
    #expect(table.header.oemID == Array("BOCHS ".utf8))
    #expect(table.localAPICAddress == 0xFEE0_0000)
    #expect(table.cores.map(\.apicID.rawValue) == [0, 1, 2, 3])
    #expect(table.entries.count == 11)
    #expect(table.entries[4] == .ioAPIC(.init(apicID: 0, address: 0xFEC0_0000, firstInterrupt: 0)))
    #expect(table.entries[6] == .sourceOverride(.init(source: 5, interrupt: 5, flags: 13)))
    #expect(table.entries[10] == .localNMI(.init(processorUID: 0xFF, flags: 0, pin: 1)))
  }

  @Test("An SRAT and an MP table are read, and written as the same bytes")
  func affinityAndMP() throws {
    let srat = try SRAT(parsing: FirmwareSamples.srat)
    #expect(srat.bytes == FirmwareSamples.srat)
    #expect(srat.cores.map(\.rawValue) == [0, 1, 2, 3, 300])
    #expect(srat.entries[5] == .memory(.init(domain: 0, base: 0x10_0000, length: 0x1FF0_0000)))
    let mp = try MPTable(parsing: FirmwareSamples.mp)
    #expect(mp.bytes == FirmwareSamples.mp)
    #expect(mp.cores.map(\.apicID) == [0, 1, 2, 3])
    #expect(mp.cores.map(\.flags) == [3, 1, 1, 1])
  }

  @Test("A hidden core leaves the MADT without a trace")
  func hideFromMADT() throws {
    var table = try MADT(parsing: FirmwareSamples.madt)
    table.entries.append(.localNMI(.init(processorUID: 3, flags: 5, pin: 1)))
    table.entries.append(.localNMI(.init(processorUID: 2, flags: 5, pin: 1)))
    table.entries.append(.localX2NMI(.init(flags: 5, processorUID: 3, pin: 0)))
    try table.hide([LocalAPICID(3)])

    let bytes = table.bytes
    #expect(bytes.count == 144 - 8 + 6)
    #expect(sum(bytes) == 0)
    #expect(bytes[4] == UInt8(bytes.count))
    // Linux takes a table from the initrd only when its OEM revision is greater.
    #expect(bytes[24] == 2)
    let read = try MADT(parsing: bytes)
    #expect(read.cores.map(\.apicID.rawValue) == [0, 1, 2])
    #expect(read.entries.last == .localNMI(.init(processorUID: 2, flags: 5, pin: 1)))
    #expect(read.entries.contains(.localNMI(.init(processorUID: 0xFF, flags: 0, pin: 1))))
  }

  @Test("x2APIC cores are hidden by their 32-bit id")
  func hideX2APIC() throws {
    var table = try MADT(parsing: FirmwareSamples.madt)
    table.entries.append(.localX2APIC(.init(apicID: 300, processorUID: 40)))
    table.entries.append(.other(type: 0x10, contents: [0, 0, 1, 2, 3]))
    try table.hide([LocalAPICID(300)])
    #expect(table.cores.map(\.apicID.rawValue) == [0, 1, 2, 3])
    #expect(try MADT(parsing: table.bytes).entries.last == .other(type: 0x10, contents: [0, 0, 1, 2, 3]))
  }

  @Test("What cannot be hidden leaves the table as it was")
  func refusals() throws {
    var table = try MADT(parsing: FirmwareSamples.madt)
    let before = table
    #expect(throws: FirmwareTableError(.coreNotListed(LocalAPICID(9)), in: .madt, at: 44)) {
      try table.hide([LocalAPICID(1), LocalAPICID(9)])
    }
    #expect(throws: FirmwareTableError(.noCoreLeft, in: .madt, at: 44)) {
      try table.hide((0...3).map { LocalAPICID($0) })
    }
    #expect(table == before)
    table.header.oemRevision = .max
    #expect(throws: FirmwareTableError(.revisionExhausted, in: .madt, at: 24)) { try table.hide([LocalAPICID(1)]) }
    #expect(table.entries == before.entries)
  }

  @Test("A hidden core leaves the MP table with its pins")
  func hideFromMP() throws {
    var table = try MPTable(parsing: FirmwareSamples.mp)
    try table.hide([LocalAPICID(3)])
    let bytes = table.bytes
    #expect(sum(bytes) == 0)
    #expect(bytes.count == FirmwareSamples.mp.count - 20 - 8)
    // Number of entries, at offset 34.
    #expect(bytes[34] == 9)
    #expect(try MPTable(parsing: bytes).cores.map(\.apicID) == [0, 1, 2])
  }

  @Test("Hidden cores and memory leave the SRAT")
  func hideFromSRAT() throws {
    var table = try SRAT(parsing: FirmwareSamples.srat)
    let memory = try #require(PhysicalRange(base: PhysicalAddress(0x1000_0000), length: 0x100_0000))
    try table.hide([LocalAPICID(3), LocalAPICID(300)], memory: memory)
    let read = try SRAT(parsing: table.bytes)
    #expect(read.cores.map(\.rawValue) == [0, 1, 2])
    let ranges = read.entries.compactMap { entry -> [UInt64]? in
      if case .memory(let range) = entry { [range.base, range.length] } else { nil }
    }
    #expect(ranges == [[0, 0xA_0000], [0x10_0000, 0xFF0_0000], [0x1100_0000, 0xF00_0000]])
  }

  @Test("Hidden memory leaves the memory map; the rest stays usable")
  func memoryMap() throws {
    var map = MemoryMap(entries: [
      .init(base: 0, length: 0x9_FC00, kind: .usable), .init(base: 0xF_0000, length: 0x1_0000, kind: .reserved),
      .init(base: 0x10_0000, length: 0x1FEE_0000, kind: .usable),
    ])
    #expect(try MemoryMap(parsing: map.bytes) == map)
    let usable = map.usableBytes
    let hidden = try #require(PhysicalRange(base: PhysicalAddress(0x1000_0000), length: 0x100_0000))
    try map.hide(hidden)
    #expect(map.entries.count == 4)
    #expect(map.usableBytes == usable - 0x100_0000)
    #expect(!map.isUsable(hidden))
    #expect(map.entries[2] == .init(base: 0x10_0000, length: 0xFF0_0000, kind: .usable))
    #expect(map.entries[3] == .init(base: 0x1100_0000, length: 0xEFE_0000, kind: .usable))

    let across = try #require(PhysicalRange(base: PhysicalAddress(0xFF_0000), length: 0x1000_0000))
    let before = map
    #expect(throws: FirmwareTableError.self) { try map.hide(across) }
    #expect(map == before)
    // At the edge of an entry there is one piece left, and none of an entry that goes whole.
    try map.hide(try #require(PhysicalRange(base: PhysicalAddress(0x1100_0000), length: 0x1000)))
    #expect(map.entries[3].base == 0x1100_1000)
    try map.hide(try #require(PhysicalRange(base: PhysicalAddress(0), length: 0x9_FC00)))
    #expect(map.entries[0].kind == .reserved)
  }

  @Test("An error says which byte is wrong, and what was expected")
  func errors() {
    var short = FirmwareSamples.madt
    short[45] = 3
    short[9] = short[9] &+ 5
    #expect(throws: FirmwareTableError(.entryLength(type: 0, field: 3, expected: 8), in: .madt, at: 44)) {
      try MADT(parsing: short)
    }
    var damaged = FirmwareSamples.madt
    damaged[60] ^= 1
    #expect(throws: FirmwareTableError.self) { try MADT(parsing: damaged) }
    #expect(throws: FirmwareTableError(.signature(found: .madt), in: .srat, at: 0)) {
      try SRAT(parsing: FirmwareSamples.madt)
    }
    #expect(
      FirmwareTableError(.entryLength(type: 0, field: 3, expected: 8), in: .madt, at: 44).description
        == "APIC at offset 44: an entry of type 0 says it has 3 bytes, expected 8")
  }

  @Test("The root pointer and the root tables are read, and written as the same bytes")
  func roots() throws {
    let old = RootPointer(oemID: Array("ALLY".utf8), rootTable: 0x7FE_1234)
    let new = RootPointer(oemID: Array("ALLY".utf8), rootTable: 0x7FE_1234, extendedRootTable: 0x1_0000_0000)
    #expect(old.bytes.count == 20 && sum(old.bytes) == 0)
    #expect(new.bytes.count == 36 && sum(new.bytes) == 0 && sum(Array(new.bytes.prefix(20))) == 0)
    #expect(try RootPointer(parsing: old.bytes) == old)
    #expect(try RootPointer(parsing: new.bytes) == new)
    var header = try MADT(parsing: FirmwareSamples.madt).header
    header.signature = .extendedRootTable
    let root = RootTable(header: header, addresses: [PhysicalAddress(0x1_0000_0000), PhysicalAddress(8)])
    #expect(root.bytes.count == 36 + 16)
    #expect(try RootTable(parsing: root.bytes) == root)
  }

  @Test("The control structure, which has no checksum, is read; cut anywhere, or of another length, it is an error")
  func controlStructure() throws {
    var bytes =
      Array("FACS".utf8) + [64, 0, 0, 0, 0x78, 0x56, 0x34, 0x12, 0, 0x90, 0, 0] + [UInt8](repeating: 0, count: 48)
    bytes[24] = 0x55
    bytes[32] = 2
    let structure = try ControlStructure(parsing: bytes)
    #expect(structure.hardwareSignature == 0x1234_5678 && structure.wakingVector == 0x9000)
    #expect(structure.extendedWakingVector == 0x55 && structure.version == 2)
    for length in 0..<64 {
      #expect(throws: FirmwareTableError.self) { try ControlStructure(parsing: Array(bytes.prefix(length))) }
      bytes[4] = UInt8(length)
      #expect(throws: FirmwareTableError.self) { try ControlStructure(parsing: Array(bytes.prefix(length))) }
    }
  }
}
