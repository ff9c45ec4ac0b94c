/// The MP floating pointer structure, where an OS begins to look for the MP configuration table (Intel MultiProcessor
/// Specification 1.4 §4.1): 16 bytes on a 16-byte boundary.
public struct MPPointer: Sendable, Hashable {
  /// Where the configuration table is; 0 when the machine is one of the default configurations.
  public var table: UInt32
  /// 1 or 4, for versions 1.1 and 1.4.
  public var revision: UInt8
  /// The 5 feature bytes; the first names a default configuration, or is 0.
  public var features: [UInt8]

  /// The length in bytes.
  public static var length: Int { 16 }

  public init(table: UInt32, revision: UInt8 = 4, features: [UInt8] = [0, 0, 0, 0, 0]) {
    self.table = table
    self.revision = revision
    self.features = Array((features + [0, 0, 0, 0, 0]).prefix(5))
  }

  /// Reads the structure at the start of `bytes`.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .mpPointer)
    let signature = TableSignature(rawValue: try reader.next(UInt32.self))
    guard signature == .mpPointer else { throw reader.error(.signature(found: signature), at: 0) }
    table = try reader.next(UInt32.self)
    let paragraphs = try reader.next(UInt8.self)
    guard paragraphs == 1 else {
      throw reader.error(.length(field: Int(paragraphs) * 16, actual: Self.length), at: 8)
    }
    revision = try reader.next(UInt8.self)
    try reader.skip(1)
    features = try reader.next(count: 5)
    let sum = byteSum(bytes.prefix(Self.length))
    guard sum == 0 else { throw reader.error(.checksum(sum: sum), at: 10) }
  }

  /// The structure.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: TableSignature.mpPointer.rawValue)
    bytes.append(littleEndian: table)
    bytes.append(contentsOf: [1, revision, 0])
    bytes.append(contentsOf: features)
    bytes.balanceChecksum(at: 10)
    return bytes
  }
}

/// The MP configuration table, from which an OS without ACPI learns of cores and interrupt controllers (Intel
/// MultiProcessor Specification 1.4 §4.2).
public struct MPTable: Sendable, Hashable {
  /// A core (type 0, 20 bytes).
  public struct CoreEntry: Sendable, Hashable {
    public var apicID: UInt8
    public var apicVersion: UInt8
    /// Bit 0: the core can be used. Bit 1: it is the boot core.
    public var flags: UInt8
    /// Stepping, model and family, as CPUID leaf 1 has them in EAX.
    public var signature: UInt32
    /// As CPUID leaf 1 has them in EDX.
    public var features: UInt32

    public init(apicID: UInt8, apicVersion: UInt8, flags: UInt8, signature: UInt32, features: UInt32) {
      self.apicID = apicID
      self.apicVersion = apicVersion
      self.flags = flags
      self.signature = signature
      self.features = features
    }
  }

  /// A core's own interrupt pin (type 4, 8 bytes).
  public struct LocalInterruptEntry: Sendable, Hashable {
    /// 0 vectored, 1 NMI, 2 SMI, 3 from the 8259.
    public var kind: UInt8
    public var flags: UInt16
    public var sourceBus: UInt8
    public var sourceInterrupt: UInt8
    /// The core, or 0xFF for all.
    public var apicID: UInt8
    public var pin: UInt8

    public init(kind: UInt8, flags: UInt16, sourceBus: UInt8, sourceInterrupt: UInt8, apicID: UInt8, pin: UInt8) {
      self.kind = kind
      self.flags = flags
      self.sourceBus = sourceBus
      self.sourceInterrupt = sourceInterrupt
      self.apicID = apicID
      self.pin = pin
    }
  }

  public enum Entry: Sendable, Hashable {
    case core(CoreEntry)
    /// A bus (1), an I/O APIC (2) or an I/O interrupt (3), kept as it is: its type and the 7 bytes after it.
    case fixed(type: UInt8, contents: [UInt8])
    case localInterrupt(LocalInterruptEntry)
  }

  public var revision: UInt8
  /// 8 characters.
  public var oemID: [UInt8]
  /// 12 characters.
  public var productID: [UInt8]
  public var oemTable: UInt32
  public var oemTableSize: UInt16
  public var localAPICAddress: UInt32
  public var entries: [Entry]
  /// The extended table, kept as it is; nothing in it speaks of cores.
  public var extended: [UInt8]
  /// Makes the bytes of the extended table add up to 0 modulo 256.
  public var extendedChecksum: UInt8

  static var headerLength: Int { 44 }

  public init(
    revision: UInt8 = 4, oemID: [UInt8], productID: [UInt8], oemTable: UInt32 = 0, oemTableSize: UInt16 = 0,
    localAPICAddress: UInt32 = 0xFEE0_0000, entries: [Entry], extended: [UInt8] = []
  ) {
    self.revision = revision
    self.oemID = oemID.asName(ofLength: 8)
    self.productID = productID.asName(ofLength: 12)
    self.oemTable = oemTable
    self.oemTableSize = oemTableSize
    self.localAPICAddress = localAPICAddress
    self.entries = entries
    self.extended = extended
    extendedChecksum = 0 &- byteSum(extended)
  }

  /// Reads a whole configuration table, the extended table included.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .mpTable)
    let signature = TableSignature(rawValue: try reader.next(UInt32.self))
    guard signature == .mpTable else { throw reader.error(.signature(found: signature), at: 0) }
    let baseLength = Int(try reader.next(UInt16.self))
    revision = try reader.next(UInt8.self)
    try reader.skip(1)
    oemID = try reader.next(count: 8)
    productID = try reader.next(count: 12)
    oemTable = try reader.next(UInt32.self)
    oemTableSize = try reader.next(UInt16.self)
    let count = Int(try reader.next(UInt16.self))
    localAPICAddress = try reader.next(UInt32.self)
    let extendedLength = Int(try reader.next(UInt16.self))
    extendedChecksum = try reader.next(UInt8.self)
    try reader.skip(1)
    guard baseLength >= Self.headerLength, baseLength + extendedLength == bytes.count else {
      throw reader.error(.length(field: baseLength + extendedLength, actual: bytes.count), at: 4)
    }
    let sum = byteSum(bytes.prefix(baseLength))
    guard sum == 0 else { throw reader.error(.checksum(sum: sum), at: 7) }
    extended = Array(bytes.suffix(extendedLength))
    let extendedSum = byteSum(extended) &+ extendedChecksum
    guard extended.isEmpty || extendedSum == 0 else { throw reader.error(.checksum(sum: extendedSum), at: 42) }
    entries = []
    while reader.offset < baseLength {
      let start = reader.offset
      entries.append(try Entry(&reader))
      // An entry that runs on into the extended table.
      guard reader.offset <= baseLength else {
        throw reader.error(.endsEarly(needed: reader.offset - baseLength), at: start)
      }
    }
    guard entries.count == count else {
      throw reader.error(.entryCount(field: count, actual: entries.count), at: 34)
    }
  }

  /// The whole table, with length, number of entries and checksum as the entries call for.
  public var bytes: [UInt8] {
    var body: [UInt8] = []
    for entry in entries { entry.append(to: &body) }
    var bytes: [UInt8] = []
    bytes.append(littleEndian: TableSignature.mpTable.rawValue)
    bytes.append(littleEndian: UInt16(truncatingIfNeeded: Self.headerLength + body.count))
    bytes.append(contentsOf: [revision, 0])
    bytes.append(contentsOf: oemID)
    bytes.append(contentsOf: productID)
    bytes.append(littleEndian: oemTable)
    bytes.append(littleEndian: oemTableSize)
    bytes.append(littleEndian: UInt16(truncatingIfNeeded: entries.count))
    bytes.append(littleEndian: localAPICAddress)
    bytes.append(littleEndian: UInt16(truncatingIfNeeded: extended.count))
    bytes.append(contentsOf: [extendedChecksum, 0])
    bytes.append(contentsOf: body)
    bytes.balanceChecksum(at: 7)
    return bytes + extended
  }

  /// The cores, in the table's order.
  public var cores: [CoreEntry] {
    entries.compactMap { entry in
      if case .core(let core) = entry { core } else { nil }
    }
  }

  /// Deletes cores and their own interrupt pins.
  ///
  /// - Throws: ``FirmwareTableError``; the table is then unchanged.
  public mutating func hide(_ hidden: [LocalAPICID]) throws(FirmwareTableError) {
    let listed = cores.map { LocalAPICID(UInt32($0.apicID)) }
    for core in hidden where !listed.contains(core) {
      throw FirmwareTableError(.coreNotListed(core), in: .mpTable, at: Self.headerLength)
    }
    guard cores.contains(where: { $0.flags & 1 == 1 && !hidden.contains(LocalAPICID(UInt32($0.apicID))) }) else {
      throw FirmwareTableError(.noCoreLeft, in: .mpTable, at: Self.headerLength)
    }
    entries.removeAll { entry in
      switch entry {
      case .core(let core): hidden.contains(LocalAPICID(UInt32(core.apicID)))
      case .localInterrupt(let pin): pin.apicID != .max && hidden.contains(LocalAPICID(UInt32(pin.apicID)))
      case .fixed: false
      }
    }
  }
}

extension MPTable.Entry {
  init(_ reader: inout TableReader) throws(FirmwareTableError) {
    let start = reader.offset
    let type = try reader.next(UInt8.self)
    switch type {
    case 0:
      self = .core(
        MPTable.CoreEntry(
          apicID: try reader.next(UInt8.self), apicVersion: try reader.next(UInt8.self),
          flags: try reader.next(UInt8.self), signature: try reader.next(UInt32.self),
          features: try reader.next(UInt32.self)))
      try reader.skip(8)
    case 1, 2, 3:
      self = .fixed(type: type, contents: try reader.next(count: 7))
    case 4:
      self = .localInterrupt(
        MPTable.LocalInterruptEntry(
          kind: try reader.next(UInt8.self), flags: try reader.next(UInt16.self),
          sourceBus: try reader.next(UInt8.self), sourceInterrupt: try reader.next(UInt8.self),
          apicID: try reader.next(UInt8.self), pin: try reader.next(UInt8.self)))
    default:
      throw reader.error(.entryType(type), at: start)
    }
  }

  func append(to body: inout [UInt8]) {
    switch self {
    case .core(let entry):
      body.append(contentsOf: [0, entry.apicID, entry.apicVersion, entry.flags])
      body.append(littleEndian: entry.signature)
      body.append(littleEndian: entry.features)
      body.append(zeros: 8)
    case .fixed(let type, let contents):
      body.append(type)
      body.append(contentsOf: contents.prefix(7))
      body.append(zeros: max(0, 7 - contents.count))
    case .localInterrupt(let entry):
      body.append(contentsOf: [4, entry.kind])
      body.append(littleEndian: entry.flags)
      body.append(contentsOf: [entry.sourceBus, entry.sourceInterrupt, entry.apicID, entry.pin])
    }
  }
}
