/// The Multiple APIC Description Table: the interrupt controllers of the machine, and with the local ones its cores
/// (ACPI 6.5 §5.2.12). An OS that finds no entry for a core does not know of it (paper §3, "Core sequestration").
public struct MADT: Sendable, Hashable {
  /// A core's local APIC with an 8-bit id (type 0, 8 bytes).
  public struct LocalAPICEntry: Sendable, Hashable {
    /// The core's number in the ACPI name space.
    public var processorUID: UInt8
    public var apicID: UInt8
    /// Bit 0: the core can be used. Bit 1: it can be put to use while the OS runs.
    public var flags: UInt32

    public init(processorUID: UInt8, apicID: UInt8, flags: UInt32 = 1) {
      self.processorUID = processorUID
      self.apicID = apicID
      self.flags = flags
    }
  }

  /// An I/O APIC (type 1, 12 bytes).
  public struct IOAPICEntry: Sendable, Hashable {
    public var apicID: UInt8
    public var address: UInt32
    /// The number of its first pin in the machine.
    public var firstInterrupt: UInt32

    public init(apicID: UInt8, address: UInt32, firstInterrupt: UInt32) {
      self.apicID = apicID
      self.address = address
      self.firstInterrupt = firstInterrupt
    }
  }

  /// An ISA interrupt that is on another pin than its number says (type 2, 10 bytes).
  public struct SourceOverrideEntry: Sendable, Hashable {
    public var bus: UInt8
    public var source: UInt8
    public var interrupt: UInt32
    /// MPS INTI flags: polarity in bits 1–0, trigger mode in bits 3–2.
    public var flags: UInt16

    public init(bus: UInt8 = 0, source: UInt8, interrupt: UInt32, flags: UInt16) {
      self.bus = bus
      self.source = source
      self.interrupt = interrupt
      self.flags = flags
    }
  }

  /// An I/O APIC pin that is an NMI (type 3, 8 bytes).
  public struct NMISourceEntry: Sendable, Hashable {
    public var flags: UInt16
    public var interrupt: UInt32

    public init(flags: UInt16, interrupt: UInt32) {
      self.flags = flags
      self.interrupt = interrupt
    }
  }

  /// A local APIC pin that is an NMI (type 4, 6 bytes).
  public struct LocalNMIEntry: Sendable, Hashable {
    /// The core, or 0xFF for all.
    public var processorUID: UInt8
    public var flags: UInt16
    /// The pin, LINT0 or LINT1.
    public var pin: UInt8

    public init(processorUID: UInt8 = 0xFF, flags: UInt16, pin: UInt8) {
      self.processorUID = processorUID
      self.flags = flags
      self.pin = pin
    }
  }

  /// A core's local APIC with a 32-bit id (type 9, 16 bytes).
  public struct LocalX2APICEntry: Sendable, Hashable {
    public var apicID: UInt32
    /// As with ``LocalAPICEntry/flags``.
    public var flags: UInt32
    public var processorUID: UInt32

    public init(apicID: UInt32, flags: UInt32 = 1, processorUID: UInt32) {
      self.apicID = apicID
      self.flags = flags
      self.processorUID = processorUID
    }
  }

  /// A local x2APIC pin that is an NMI (type 10, 12 bytes).
  public struct LocalX2NMIEntry: Sendable, Hashable {
    public var flags: UInt16
    /// The core, or 0xFFFFFFFF for all.
    public var processorUID: UInt32
    public var pin: UInt8

    public init(flags: UInt16, processorUID: UInt32 = .max, pin: UInt8) {
      self.flags = flags
      self.processorUID = processorUID
      self.pin = pin
    }
  }

  /// An interrupt controller.
  public enum Entry: Sendable, Hashable {
    case localAPIC(LocalAPICEntry)
    case ioAPIC(IOAPICEntry)
    case sourceOverride(SourceOverrideEntry)
    case nmiSource(NMISourceEntry)
    case localNMI(LocalNMIEntry)
    /// The 64-bit address of all local APICs (type 5, 12 bytes).
    case localAPICAddress(UInt64)
    case localX2APIC(LocalX2APICEntry)
    case localX2NMI(LocalX2NMIEntry)
    /// An entry of another type, kept as it is: its type, and the bytes after type and length.
    case other(type: UInt8, contents: [UInt8])
  }

  public var header: ACPIHeader
  /// Where cores find their local APIC, unless an entry says otherwise.
  public var localAPICAddress: UInt32
  /// Bit 0: the machine also has the two 8259 interrupt controllers.
  public var flags: UInt32
  public var entries: [Entry]

  public init(header: ACPIHeader, localAPICAddress: UInt32 = 0xFEE0_0000, flags: UInt32 = 1, entries: [Entry]) {
    self.header = header
    self.localAPICAddress = localAPICAddress
    self.flags = flags
    self.entries = entries
  }

  /// Reads a whole MADT.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .madt)
    header = try ACPIHeader(&reader, expecting: .madt)
    localAPICAddress = try reader.next(UInt32.self)
    flags = try reader.next(UInt32.self)
    entries = []
    while !reader.isAtEnd { entries.append(try Entry(&reader)) }
  }

  /// The whole table.
  public var bytes: [UInt8] {
    var body: [UInt8] = []
    body.append(littleEndian: localAPICAddress)
    body.append(littleEndian: flags)
    for entry in entries { entry.append(to: &body) }
    return header.table(body: body)
  }
}

extension MADT.Entry {
  /// The bytes that an entry of this type has; nil of a type that is not taken apart.
  private static func length(ofType type: UInt8) -> Int? {
    switch type {
    case 0, 3: 8
    case 1, 5, 10: 12
    case 2: 10
    case 4: 6
    case 9: 16
    default: nil
    }
  }

  init(_ reader: inout TableReader) throws(FirmwareTableError) {
    let start = reader.offset
    let type = try reader.next(UInt8.self)
    let length = Int(try reader.next(UInt8.self))
    let expected = Self.length(ofType: type)
    // A length below 2 would stand still; one that is not the type's would be misread.
    guard length == expected ?? max(2, length) else {
      throw reader.error(.entryLength(type: type, field: length, expected: expected ?? 2), at: start)
    }
    switch type {
    case 0:
      self = .localAPIC(
        MADT.LocalAPICEntry(
          processorUID: try reader.next(UInt8.self), apicID: try reader.next(UInt8.self),
          flags: try reader.next(UInt32.self)))
    case 1:
      let apicID = try reader.next(UInt8.self)
      try reader.skip(1)
      self = .ioAPIC(
        MADT.IOAPICEntry(
          apicID: apicID, address: try reader.next(UInt32.self), firstInterrupt: try reader.next(UInt32.self)))
    case 2:
      self = .sourceOverride(
        MADT.SourceOverrideEntry(
          bus: try reader.next(UInt8.self), source: try reader.next(UInt8.self),
          interrupt: try reader.next(UInt32.self), flags: try reader.next(UInt16.self)))
    case 3:
      self = .nmiSource(
        MADT.NMISourceEntry(flags: try reader.next(UInt16.self), interrupt: try reader.next(UInt32.self)))
    case 4:
      self = .localNMI(
        MADT.LocalNMIEntry(
          processorUID: try reader.next(UInt8.self), flags: try reader.next(UInt16.self),
          pin: try reader.next(UInt8.self)))
    case 5:
      try reader.skip(2)
      self = .localAPICAddress(try reader.next(UInt64.self))
    case 9:
      try reader.skip(2)
      self = .localX2APIC(
        MADT.LocalX2APICEntry(
          apicID: try reader.next(UInt32.self), flags: try reader.next(UInt32.self),
          processorUID: try reader.next(UInt32.self)))
    case 10:
      self = .localX2NMI(
        MADT.LocalX2NMIEntry(
          flags: try reader.next(UInt16.self), processorUID: try reader.next(UInt32.self),
          pin: try reader.next(UInt8.self)))
      try reader.skip(3)
    default:
      self = .other(type: type, contents: try reader.next(count: length - 2))
    }
  }

  func append(to body: inout [UInt8]) {
    func begin(_ type: UInt8, _ length: Int, in body: inout [UInt8]) {
      body.append(type)
      body.append(UInt8(truncatingIfNeeded: length))
    }
    switch self {
    case .localAPIC(let entry):
      begin(0, 8, in: &body)
      body.append(entry.processorUID)
      body.append(entry.apicID)
      body.append(littleEndian: entry.flags)
    case .ioAPIC(let entry):
      begin(1, 12, in: &body)
      body.append(entry.apicID)
      body.append(0)
      body.append(littleEndian: entry.address)
      body.append(littleEndian: entry.firstInterrupt)
    case .sourceOverride(let entry):
      begin(2, 10, in: &body)
      body.append(entry.bus)
      body.append(entry.source)
      body.append(littleEndian: entry.interrupt)
      body.append(littleEndian: entry.flags)
    case .nmiSource(let entry):
      begin(3, 8, in: &body)
      body.append(littleEndian: entry.flags)
      body.append(littleEndian: entry.interrupt)
    case .localNMI(let entry):
      begin(4, 6, in: &body)
      body.append(entry.processorUID)
      body.append(littleEndian: entry.flags)
      body.append(entry.pin)
    case .localAPICAddress(let address):
      begin(5, 12, in: &body)
      body.append(zeros: 2)
      body.append(littleEndian: address)
    case .localX2APIC(let entry):
      begin(9, 16, in: &body)
      body.append(zeros: 2)
      body.append(littleEndian: entry.apicID)
      body.append(littleEndian: entry.flags)
      body.append(littleEndian: entry.processorUID)
    case .localX2NMI(let entry):
      begin(10, 12, in: &body)
      body.append(littleEndian: entry.flags)
      body.append(littleEndian: entry.processorUID)
      body.append(entry.pin)
      body.append(zeros: 3)
    case .other(let type, let contents):
      begin(type, contents.count + 2, in: &body)
      body.append(contentsOf: contents)
    }
  }
}

// MARK: - Cores

extension MADT {
  /// A core as the table lists it.
  public struct ListedCore: Sendable, Hashable {
    public var apicID: LocalAPICID
    /// Its number in the ACPI name space.
    public var processorUID: UInt32
    /// Whether an OS may use it.
    public var isEnabled: Bool
  }

  /// The cores, in the table's order, the boot core first by convention.
  public var cores: [ListedCore] { entries.compactMap { $0.core } }

  /// Deletes cores as if the machine did not have them: their local APICs, and the NMI pins that belong to them alone;
  /// and lets the OEM revision grow.
  ///
  /// Deleted rather than disabled, because an OS counts disabled cores as possible ones.
  ///
  /// - Throws: ``FirmwareTableError``; the table is then unchanged.
  public mutating func hide(_ hidden: [LocalAPICID]) throws(FirmwareTableError) {
    for core in hidden where !cores.contains(where: { $0.apicID == core }) {
      throw FirmwareTableError(.coreNotListed(core), in: .madt, at: ACPIHeader.length + 8)
    }
    let leaving = cores.filter { hidden.contains($0.apicID) }
    let staying = cores.filter { !hidden.contains($0.apicID) }
    guard staying.contains(where: { $0.isEnabled }) else {
      throw FirmwareTableError(.noCoreLeft, in: .madt, at: ACPIHeader.length + 8)
    }
    // A processor UID may be listed twice, by a local APIC and an x2APIC entry; it goes only with its last core.
    let leavingUIDs = leaving.map { $0.processorUID }.filter { uid in !staying.contains { $0.processorUID == uid } }
    try header.raiseRevision()
    entries.removeAll { entry in
      switch entry {
      case .localAPIC, .localX2APIC: entry.core.map { hidden.contains($0.apicID) } ?? false
      case .localNMI(let nmi): nmi.processorUID != .max && leavingUIDs.contains(UInt32(nmi.processorUID))
      case .localX2NMI(let nmi): nmi.processorUID != .max && leavingUIDs.contains(nmi.processorUID)
      default: false
      }
    }
  }
}

extension MADT.Entry {
  /// The core that the entry stands for, if it stands for one.
  fileprivate var core: MADT.ListedCore? {
    switch self {
    case .localAPIC(let entry):
      MADT.ListedCore(
        apicID: LocalAPICID(UInt32(entry.apicID)), processorUID: UInt32(entry.processorUID),
        isEnabled: entry.flags & 1 == 1)
    case .localX2APIC(let entry):
      MADT.ListedCore(
        apicID: LocalAPICID(entry.apicID), processorUID: entry.processorUID, isEnabled: entry.flags & 1 == 1)
    default: nil
    }
  }
}
