/// Why bytes are not the firmware table that they should be, or why a table cannot be changed as asked.
public struct FirmwareTableError: Error, Equatable, Sendable {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    /// The bytes end before this many more that are needed.
    case endsEarly(needed: Int)
    /// Another signature stands here.
    case signature(found: TableSignature)
    /// The length field does not fit: this table has as many bytes as `actual` says.
    case length(field: Int, actual: Int)
    /// All bytes together should give 0 modulo 256, and give this.
    case checksum(sum: UInt8)
    /// An entry's length is not what its type has.
    case entryLength(type: UInt8, field: Int, expected: Int)
    /// An entry whose type the format does not know, and whose length therefore nobody knows.
    case entryType(UInt8)
    /// The number of entries is not what the header says.
    case entryCount(field: Int, actual: Int)
    /// A range of memory that is empty or reaches beyond 2^64.
    case range
    /// The core to be hidden is not in the table.
    case coreNotListed(LocalAPICID)
    /// No core that the OS can use would be left.
    case noCoreLeft
    /// The memory to be hidden is not all usable memory.
    case memoryNotUsable
    /// The OEM revision, which must grow for Linux to prefer the changed table, is already the largest.
    case revisionExhausted
    /// The table does not fit into what there is room for.
    case noRoom(needed: Int, available: Int)
    /// Nothing is at the address that is to hold the table.
    case absent(PhysicalAddress)
  }

  /// The table that was expected.
  public var table: TableSignature
  /// Where in the table, in bytes from its start.
  public var offset: Int
  public var reason: Reason

  public init(_ reason: Reason, in table: TableSignature, at offset: Int) {
    self.table = table
    self.offset = offset
    self.reason = reason
  }
}

extension FirmwareTableError: CustomStringConvertible {
  /// One line: the table, the offset, what is there, and what was expected.
  public var description: String { "\(table) at offset \(offset): \(reason)" }
}

extension FirmwareTableError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .endsEarly(let needed): "the table ends here, and \(needed) more bytes are needed"
    case .signature(let found): "another signature, \(found)"
    case .length(let field, let actual): "the length field says \(field) bytes, and there are \(actual)"
    case .checksum(let sum): "the bytes add up to \(sum) modulo 256, expected 0"
    case .entryLength(let type, let field, let expected):
      "an entry of type \(type) says it has \(field) bytes, expected \(expected)"
    case .entryType(let type): "an entry of unknown type \(type)"
    case .entryCount(let field, let actual): "the header says \(field) entries, and there are \(actual)"
    case .range: "a range of memory that is empty or reaches beyond 2^64"
    case .coreNotListed(let core): "no core with APIC id \(core.rawValue)"
    case .noCoreLeft: "no usable core would be left"
    case .memoryNotUsable: "the memory to hide is not all usable memory"
    case .revisionExhausted: "the OEM revision cannot grow any more"
    case .noRoom(let needed, let available): "\(needed) bytes needed, and there is room for \(available)"
    case .absent(let address): "there is no memory at physical address \(address.rawValue)"
    }
  }
}
