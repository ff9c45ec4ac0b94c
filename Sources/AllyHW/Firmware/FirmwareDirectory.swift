/// The firmware tables of a machine, found in its memory as an OS finds them: from the RSDP through the XSDT or RSDT to
/// the tables, and from the MP floating pointer to the MP configuration table.
public struct FirmwareDirectory: Sendable {
  /// A table, and where it lies.
  public struct Placed: Sendable, Hashable {
    public var address: PhysicalAddress
    public var signature: TableSignature
    /// The whole table.
    public var bytes: [UInt8]
  }

  /// Where the RSDP lies.
  public private(set) var rootPointerAddress: PhysicalAddress
  public private(set) var rootPointer: RootPointer
  /// The ACPI tables, in the order of the root table.
  public private(set) var tables: [Placed]
  /// The MP configuration table, if the BIOS left one.
  public private(set) var mpTable: Placed?
  /// Where the MP floating pointer structure lies, if there is one.
  public private(set) var mpPointerAddress: PhysicalAddress?

  /// Where a BIOS puts the two pointers, on 16-byte boundaries.
  static var searchArea: PhysicalRange { PhysicalRange(base: PhysicalAddress(0xE_0000), length: 0x2_0000)! }
  /// No table is longer: a length field above it is nonsense, not a reason to read all memory.
  static var maximumTableLength: Int { 1 << 20 }

  /// Looks the tables up.
  public init(in memory: borrowing PhysicalMemory) throws(FirmwareTableError) {
    guard let found = Self.findRootPointer(in: memory) else {
      throw FirmwareTableError(.absent(Self.searchArea.base), in: .rootPointer, at: 0)
    }
    (rootPointerAddress, rootPointer) = found
    let root = PhysicalAddress(rootPointer.extendedRootTable ?? UInt64(rootPointer.rootTable))
    let rootTable = try RootTable(parsing: Self.acpiTable(at: root, in: memory))
    tables = []
    for address in rootTable.addresses {
      let bytes = try Self.acpiTable(at: address, in: memory)
      tables.append(Placed(address: address, signature: try ACPIHeader(of: bytes).signature, bytes: bytes))
    }
    if let pointer = Self.findMPPointer(in: memory) {
      mpPointerAddress = pointer.address
      if pointer.structure.table != 0 {
        let address = PhysicalAddress(UInt64(pointer.structure.table))
        mpTable = Placed(address: address, signature: .mpTable, bytes: try Self.mpTable(at: address, in: memory))
      }
    }
  }

  /// The first ACPI table with a signature.
  public func table(_ signature: TableSignature) -> Placed? { tables.first { $0.signature == signature } }

  /// Puts changed bytes in a table's place; the rest of the old table becomes zeros.
  ///
  /// - Throws: ``FirmwareTableError/Reason/noRoom(needed:available:)`` when the table has grown.
  public static func replace(
    _ table: Placed, with bytes: [UInt8], in memory: borrowing PhysicalMemory
  ) throws(FirmwareTableError) {
    guard bytes.count <= table.bytes.count else {
      throw FirmwareTableError(
        .noRoom(needed: bytes.count, available: table.bytes.count), in: table.signature, at: table.bytes.count)
    }
    for offset in 0..<table.bytes.count {
      let address = table.address.advanced(by: UInt64(offset))
      guard memory.store(offset < bytes.count ? bytes[offset] : 0, at: address) else {
        throw FirmwareTableError(.absent(address), in: table.signature, at: offset)
      }
    }
  }

  // MARK: Bounded reads

  private static func read(
    _ count: Int, at address: PhysicalAddress, in memory: borrowing PhysicalMemory, table: TableSignature
  ) throws(FirmwareTableError) -> [UInt8] {
    guard count <= maximumTableLength else {
      throw FirmwareTableError(.length(field: count, actual: maximumTableLength), in: table, at: 4)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for offset in 0..<count {
      let place = address.advanced(by: UInt64(offset))
      guard let byte = memory.load(UInt8.self, at: place) else {
        throw FirmwareTableError(.absent(place), in: table, at: offset)
      }
      bytes.append(byte)
    }
    return bytes
  }

  private static func acpiTable(
    at address: PhysicalAddress, in memory: borrowing PhysicalMemory
  ) throws(FirmwareTableError) -> [UInt8] {
    let signature = TableSignature(rawValue: memory.load(UInt32.self, at: address) ?? 0)
    guard let length = memory.load(UInt32.self, at: address.advanced(by: 4)) else {
      throw FirmwareTableError(.absent(address), in: signature, at: 4)
    }
    let bytes = try read(Int(length), at: address, in: memory, table: signature)
    _ = try ACPIHeader(of: bytes)
    return bytes
  }

  private static func mpTable(
    at address: PhysicalAddress, in memory: borrowing PhysicalMemory
  ) throws(FirmwareTableError) -> [UInt8] {
    let header = try read(MPTable.headerLength, at: address, in: memory, table: .mpTable)
    let base = Int(header[4]) | Int(header[5]) << 8
    let extended = Int(header[40]) | Int(header[41]) << 8
    return try read(base + extended, at: address, in: memory, table: .mpTable)
  }

  private static func findRootPointer(
    in memory: borrowing PhysicalMemory
  ) -> (PhysicalAddress, RootPointer)? {
    var address = searchArea.base
    while address <= searchArea.last {
      if memory.load(UInt64.self, at: address) == RootPointer.signature {
        // The short structure may stand at the very end of the area, so the long one is tried first and not insisted on.
        for length in [RootPointer.longLength, RootPointer.shortLength] {
          if let bytes = try? read(length, at: address, in: memory, table: .rootPointer),
            let pointer = try? RootPointer(parsing: bytes)
          {
            return (address, pointer)
          }
        }
      }
      address = address.advanced(by: 16)
    }
    return nil
  }

  private static func findMPPointer(
    in memory: borrowing PhysicalMemory
  ) -> (address: PhysicalAddress, structure: MPPointer)? {
    var address = searchArea.base
    while address <= searchArea.last {
      if memory.load(UInt32.self, at: address) == TableSignature.mpPointer.rawValue,
        let bytes = try? read(MPPointer.length, at: address, in: memory, table: .mpPointer),
        let pointer = try? MPPointer(parsing: bytes)
      {
        return (address, pointer)
      }
      address = address.advanced(by: 16)
    }
    return nil
  }
}
