/// The System Resource Affinity Table: which cores and which memory are near each other (ACPI 6.5 §5.2.16).
public struct SRAT: Sendable, Hashable {
  /// Where a core with an 8-bit APIC id belongs (type 0, 16 bytes).
  public struct CoreEntry: Sendable, Hashable {
    public var domain: UInt32
    public var apicID: UInt8
    /// Bit 0: the entry counts.
    public var flags: UInt32
    public var sapicEID: UInt8
    public var clockDomain: UInt32

    public init(domain: UInt32, apicID: UInt8, flags: UInt32 = 1, sapicEID: UInt8 = 0, clockDomain: UInt32 = 0) {
      self.domain = domain
      self.apicID = apicID
      self.flags = flags
      self.sapicEID = sapicEID
      self.clockDomain = clockDomain
    }
  }

  /// Where a range of memory belongs (type 1, 40 bytes).
  public struct MemoryEntry: Sendable, Hashable {
    public var domain: UInt32
    /// The first address. Tables hold entries of no length, so this is no ``PhysicalRange``.
    public var base: UInt64
    /// The length in bytes.
    public var length: UInt64
    /// Bit 0: the entry counts. Bit 1: the memory can be plugged. Bit 2: it keeps its contents without power.
    public var flags: UInt32

    public init(domain: UInt32, base: UInt64, length: UInt64, flags: UInt32 = 1) {
      self.domain = domain
      self.base = base
      self.length = length
      self.flags = flags
    }
  }

  /// Where a core with a 32-bit APIC id belongs (type 2, 24 bytes).
  public struct X2CoreEntry: Sendable, Hashable {
    public var domain: UInt32
    public var apicID: UInt32
    /// Bit 0: the entry counts.
    public var flags: UInt32
    public var clockDomain: UInt32

    public init(domain: UInt32, apicID: UInt32, flags: UInt32 = 1, clockDomain: UInt32 = 0) {
      self.domain = domain
      self.apicID = apicID
      self.flags = flags
      self.clockDomain = clockDomain
    }
  }

  public enum Entry: Sendable, Hashable {
    case core(CoreEntry)
    case memory(MemoryEntry)
    case x2Core(X2CoreEntry)
    /// An entry of another type, kept as it is: its type, and the bytes after type and length.
    case other(type: UInt8, contents: [UInt8])
  }

  public var header: ACPIHeader
  public var entries: [Entry]

  public init(header: ACPIHeader, entries: [Entry]) {
    self.header = header
    self.entries = entries
  }

  /// Reads a whole SRAT.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .srat)
    header = try ACPIHeader(&reader, expecting: .srat)
    try reader.skip(12)
    entries = []
    while !reader.isAtEnd { entries.append(try Entry(&reader)) }
  }

  /// The whole table.
  public var bytes: [UInt8] {
    var body: [UInt8] = []
    // Reserved; 1 for compatibility with the first version of the table.
    body.append(littleEndian: UInt32(1))
    body.append(zeros: 8)
    for entry in entries { entry.append(to: &body) }
    return header.table(body: body)
  }
}

extension SRAT.Entry {
  private static func length(ofType type: UInt8) -> Int? {
    switch type {
    case 0: 16
    case 1: 40
    case 2: 24
    default: nil
    }
  }

  init(_ reader: inout TableReader) throws(FirmwareTableError) {
    let start = reader.offset
    let type = try reader.next(UInt8.self)
    let length = Int(try reader.next(UInt8.self))
    let expected = Self.length(ofType: type)
    guard length == expected ?? max(2, length) else {
      throw reader.error(.entryLength(type: type, field: length, expected: expected ?? 2), at: start)
    }
    switch type {
    case 0:
      let low = try reader.next(UInt8.self)
      let apicID = try reader.next(UInt8.self)
      let flags = try reader.next(UInt32.self)
      let sapicEID = try reader.next(UInt8.self)
      // Bits 31–8 of the domain were added later, behind the flags.
      let middle = try reader.next(UInt16.self)
      let high = try reader.next(UInt8.self)
      self = .core(
        SRAT.CoreEntry(
          domain: UInt32(low) | UInt32(middle) << 8 | UInt32(high) << 24, apicID: apicID, flags: flags,
          sapicEID: sapicEID, clockDomain: try reader.next(UInt32.self)))
    case 1:
      let domain = try reader.next(UInt32.self)
      try reader.skip(2)
      let base = try reader.next(UInt64.self)
      let length = try reader.next(UInt64.self)
      try reader.skip(4)
      let flags = try reader.next(UInt32.self)
      try reader.skip(8)
      self = .memory(SRAT.MemoryEntry(domain: domain, base: base, length: length, flags: flags))
    case 2:
      try reader.skip(2)
      let domain = try reader.next(UInt32.self)
      let apicID = try reader.next(UInt32.self)
      let flags = try reader.next(UInt32.self)
      let clockDomain = try reader.next(UInt32.self)
      try reader.skip(4)
      self = .x2Core(SRAT.X2CoreEntry(domain: domain, apicID: apicID, flags: flags, clockDomain: clockDomain))
    default:
      self = .other(type: type, contents: try reader.next(count: length - 2))
    }
  }

  func append(to body: inout [UInt8]) {
    switch self {
    case .core(let entry):
      body.append(contentsOf: [0, 16, UInt8(truncatingIfNeeded: entry.domain), entry.apicID])
      body.append(littleEndian: entry.flags)
      body.append(entry.sapicEID)
      body.append(littleEndian: UInt16(truncatingIfNeeded: entry.domain >> 8))
      body.append(UInt8(truncatingIfNeeded: entry.domain >> 24))
      body.append(littleEndian: entry.clockDomain)
    case .memory(let entry):
      body.append(contentsOf: [1, 40])
      body.append(littleEndian: entry.domain)
      body.append(zeros: 2)
      body.append(littleEndian: entry.base)
      body.append(littleEndian: entry.length)
      body.append(zeros: 4)
      body.append(littleEndian: entry.flags)
      body.append(zeros: 8)
    case .x2Core(let entry):
      body.append(contentsOf: [2, 24, 0, 0])
      body.append(littleEndian: entry.domain)
      body.append(littleEndian: entry.apicID)
      body.append(littleEndian: entry.flags)
      body.append(littleEndian: entry.clockDomain)
      body.append(zeros: 4)
    case .other(let type, let contents):
      body.append(type)
      body.append(UInt8(truncatingIfNeeded: contents.count + 2))
      body.append(contentsOf: contents)
    }
  }
}

extension SRAT {
  /// The APIC ids of the cores that count, in the table's order.
  public var cores: [LocalAPICID] {
    entries.compactMap { entry in
      switch entry {
      case .core(let core) where core.flags & 1 == 1: LocalAPICID(UInt32(core.apicID))
      case .x2Core(let core) where core.flags & 1 == 1: LocalAPICID(core.apicID)
      default: nil
      }
    }
  }

  /// Deletes cores, and cuts a range out of the memory entries; lets the OEM revision grow.
  ///
  /// Cores that the table does not list are no error: a table may leave out cores of the only domain.
  ///
  /// - Throws: ``FirmwareTableError``; the table is then unchanged.
  public mutating func hide(
    _ hidden: [LocalAPICID], memory: PhysicalRange? = nil
  ) throws(FirmwareTableError) {
    try header.raiseRevision()
    var kept: [Entry] = []
    for entry in entries {
      switch entry {
      case .core(let core) where hidden.contains(LocalAPICID(UInt32(core.apicID))): continue
      case .x2Core(let core) where hidden.contains(LocalAPICID(core.apicID)): continue
      case .memory(let listed):
        guard let memory, let range = PhysicalRange(base: PhysicalAddress(listed.base), length: listed.length) else {
          kept.append(entry)
          continue
        }
        for piece in range.subtracting(memory) {
          var part = listed
          part.base = piece.base.rawValue
          part.length = piece.length
          kept.append(.memory(part))
        }
      default: kept.append(entry)
      }
    }
    entries = kept
  }
}
