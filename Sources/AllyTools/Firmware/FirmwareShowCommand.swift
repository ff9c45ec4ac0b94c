internal import AllyHW

/// `ally firmware show`: what firmware tables say.
public struct FirmwareShowCommand {
  private let files: [String]

  public init(files: [String]) { self.files = files }

  /// Prints every file's table.
  ///
  /// - Throws: ``ExitStatus/damagedTable`` at the first file that holds none.
  public func perform() throws(CommandFailure) -> ExitStatus {
    for file in files { try Console.print("\(file): \(FirmwareFile.read(file, Self.explain))") }
    return .success
  }

  /// A table in words: a line for the table, and one for each entry.
  static func explain(_ bytes: [UInt8]) throws(FirmwareTableError) -> String {
    switch signature(of: bytes) {
    case .madt: try explain(MADT(parsing: bytes))
    case .srat: try explain(SRAT(parsing: bytes))
    case .mpTable: try explain(MPTable(parsing: bytes))
    case .mpPointer: try explain(MPPointer(parsing: bytes))
    case .rootPointer: try explain(RootPointer(parsing: bytes))
    case .controlStructure: try explain(ControlStructure(parsing: bytes))
    case .rootTable, .extendedRootTable: try explain(RootTable(parsing: bytes))
    default: try Self.title(of: ACPIHeader(of: bytes), length: bytes.count)
    }
  }

  private static func signature(of bytes: [UInt8]) -> TableSignature {
    var value: UInt32 = 0
    for (index, byte) in bytes.prefix(4).enumerated() { value |= UInt32(byte) << UInt32(8 * index) }
    return TableSignature(rawValue: value)
  }

  // MARK: Tables

  private static func explain(_ table: MADT) -> String {
    var lines = [
      title(of: table.header, length: table.bytes.count),
      "  local APICs at \(hexadecimal(table.localAPICAddress)), 8259s \(table.flags & 1 == 1 ? "present" : "absent")",
    ]
    lines += table.entries.map { words($0) }
    return lines.joined(separator: "\n")
  }

  private static func words(_ entry: MADT.Entry) -> String {
    switch entry {
    case .localAPIC(let core): self.core(UInt32(core.apicID), core.flags, uid: UInt32(core.processorUID))
    case .localX2APIC(let core): self.core(core.apicID, core.flags, uid: core.processorUID) + ", x2APIC"
    case .ioAPIC(let controller):
      "  I/O APIC \(controller.apicID) at \(hexadecimal(controller.address)), interrupts from "
        + "\(controller.firstInterrupt)"
    case .sourceOverride(let source):
      "  ISA interrupt \(source.source) is interrupt \(source.interrupt), \(polarity(source.flags))"
    case .nmiSource(let source): "  interrupt \(source.interrupt) is an NMI, \(polarity(source.flags))"
    case .localNMI(let pin):
      "  LINT\(pin.pin) of \(processor(UInt32(pin.processorUID), all: 0xFF)) is an NMI, \(polarity(pin.flags))"
    case .localX2NMI(let pin):
      "  LINT\(pin.pin) of \(processor(pin.processorUID, all: .max)) is an NMI, \(polarity(pin.flags))"
    case .localAPICAddress(let address): "  local APICs at \(hexadecimal(address))"
    case .other(let type, let contents): "  entry of type \(type), \(contents.count + 2) bytes"
    }
  }

  private static func explain(_ table: SRAT) -> String {
    var lines = [title(of: table.header, length: table.bytes.count)]
    lines += table.entries.map { words($0) }
    return lines.joined(separator: "\n")
  }

  private static func words(_ entry: SRAT.Entry) -> String {
    switch entry {
    case .core(let core): "  core with APIC id \(core.apicID) in domain \(core.domain)\(unused(core.flags))"
    case .x2Core(let core):
      "  core with APIC id \(core.apicID) in domain \(core.domain)\(unused(core.flags)), x2APIC"
    case .memory(let memory):
      "  memory from \(hexadecimal(memory.base)), \(memory.length) bytes, in domain "
        + "\(memory.domain)\(unused(memory.flags))"
    case .other(let type, let contents): "  entry of type \(type), \(contents.count + 2) bytes"
    }
  }

  private static func explain(_ table: MPTable) -> String {
    var lines = [
      "MP configuration table of \(name(table.oemID)), \(name(table.productID)), version 1.\(table.revision), "
        + "\(table.bytes.count) bytes, local APICs at \(hexadecimal(table.localAPICAddress))"
    ]
    lines += table.entries.map { words($0) }
    if !table.extended.isEmpty { lines.append("  extended table, \(table.extended.count) bytes") }
    return lines.joined(separator: "\n")
  }

  private static func words(_ entry: MPTable.Entry) -> String {
    switch entry {
    case .core(let core):
      "  core with APIC id \(core.apicID)\(unused(UInt32(core.flags)))\(core.flags & 2 == 2 ? ", boot core" : "")"
    case .localInterrupt(let pin):
      "  LINT\(pin.pin) of \(pin.apicID == .max ? "all cores" : "the core with APIC id \(pin.apicID)"), kind "
        + "\(pin.kind)"
    case .fixed(let type, let contents):
      switch type {
      case 1: "  bus \(contents[0]), \(name(Array(contents[1...])))"
      case 2: "  I/O APIC \(contents[0])"
      default: "  interrupt \(contents[4]) of bus \(contents[3]) at pin \(contents[6]) of I/O APIC \(contents[5])"
      }
    }
  }

  private static func explain(_ pointer: MPPointer) -> String {
    "MP floating pointer, version 1.\(pointer.revision)\n  "
      + (pointer.table == 0
        ? "default configuration \(pointer.features[0])" : "configuration table at \(hexadecimal(pointer.table))")
  }

  private static func explain(_ pointer: RootPointer) -> String {
    var text = "RSDP of \(name(pointer.oemID))\n  RSDT at \(hexadecimal(pointer.rootTable))"
    if let address = pointer.extendedRootTable { text += "\n  XSDT at \(hexadecimal(address))" }
    return text
  }

  private static func explain(_ structure: ControlStructure) -> String {
    """
    FACS, version \(structure.version), hardware signature \(hexadecimal(structure.hardwareSignature))
      wakes at \(hexadecimal(structure.wakingVector)) in real-address mode, at \
    \(hexadecimal(structure.extendedWakingVector)) in protected mode
    """
  }

  private static func explain(_ table: RootTable) -> String {
    ([title(of: table.header, length: table.bytes.count)]
      + table.addresses.map { "  table at \(hexadecimal($0.rawValue))" }).joined(separator: "\n")
  }

  // MARK: Words

  private static func title(of header: ACPIHeader, length: Int) -> String {
    "\(header.signature) of \(name(header.oemID)), \(name(header.oemTableID)), revision \(header.revision), OEM revision "
      + "\(header.oemRevision), \(length) bytes"
  }

  private static func core(_ apicID: UInt32, _ flags: UInt32, uid: UInt32) -> String {
    let state = flags & 1 == 1 ? "" : flags & 2 == 2 ? ", to be plugged" : ", disabled"
    return "  core with APIC id \(apicID), processor \(uid)\(state)"
  }

  private static func processor(_ uid: UInt32, all: UInt32) -> String {
    uid == all ? "all cores" : "processor \(uid)"
  }

  private static func unused(_ flags: UInt32) -> String { flags & 1 == 1 ? "" : ", disabled" }

  /// MPS INTI flags (ACPI 6.5 table 5.26).
  private static func polarity(_ flags: UInt16) -> String {
    let level =
      switch flags & 3 {
      case 1: "active high"
      case 3: "active low"
      default: "polarity as the bus has it"
      }
    let trigger =
      switch flags >> 2 & 3 {
      case 1: "edge"
      case 3: "level"
      default: "trigger as the bus has it"
      }
    return "\(level), \(trigger)"
  }

  private static func hexadecimal(_ value: some BinaryInteger) -> String {
    "0x" + String(value, radix: 16, uppercase: true)
  }

  /// Characters that a terminal can be given, without the spaces at the end.
  private static func name(_ bytes: [UInt8]) -> String {
    var text = String(bytes.map { (0x20...0x7E).contains($0) ? Character(Unicode.Scalar($0)) : "?" })
    while text.last == " " { text.removeLast() }
    return text.isEmpty ? "(no name)" : text
  }
}
