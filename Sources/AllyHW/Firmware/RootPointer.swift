/// The Root System Description Pointer, where an OS begins to look for ACPI tables (ACPI 6.5 §5.2.5.3).
///
/// The BIOS puts it on a 16-byte boundary in the first KiB of the extended BIOS data area or from 0xE0000 up to 0xFFFFF.
public struct RootPointer: Sendable, Hashable {
  /// 6 characters.
  public var oemID: [UInt8]
  /// Where the RSDT is.
  public var rootTable: UInt32
  /// Where the XSDT is: revision 2 and later; nil of the 20-byte structure of ACPI 1.0.
  public var extendedRootTable: UInt64?

  static var shortLength: Int { 20 }
  static var longLength: Int { 36 }
  /// `RSD PTR `, as it lies in memory.
  static var signature: UInt64 { 0x2052_5450_2044_5352 }

  public init(oemID: [UInt8], rootTable: UInt32, extendedRootTable: UInt64? = nil) {
    self.oemID = oemID.asName(ofLength: 6)
    self.rootTable = rootTable
    self.extendedRootTable = extendedRootTable
  }

  /// Reads the structure at the start of `bytes`; what follows it does not matter.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .rootPointer)
    let signature = try reader.next(UInt64.self)
    guard signature == Self.signature else {
      throw reader.error(.signature(found: TableSignature(rawValue: UInt32(truncatingIfNeeded: signature))), at: 0)
    }
    try reader.skip(1)
    oemID = try reader.next(count: 6)
    let revision = try reader.next(UInt8.self)
    rootTable = try reader.next(UInt32.self)
    let sum = byteSum(bytes.prefix(Self.shortLength))
    guard sum == 0 else { throw reader.error(.checksum(sum: sum), at: 8) }
    guard revision >= 2 else { return }
    let length = Int(try reader.next(UInt32.self))
    extendedRootTable = try reader.next(UInt64.self)
    try reader.skip(4)
    guard length >= Self.longLength, length <= bytes.count else {
      throw reader.error(.length(field: length, actual: bytes.count), at: 20)
    }
    let longSum = byteSum(bytes.prefix(length))
    guard longSum == 0 else { throw reader.error(.checksum(sum: longSum), at: 32) }
  }

  /// The structure: 20 bytes, or 36 with an XSDT.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: Self.signature)
    bytes.append(0)
    bytes.append(contentsOf: oemID)
    bytes.append(extendedRootTable == nil ? 0 : 2)
    bytes.append(littleEndian: rootTable)
    bytes.balanceChecksum(at: 8)
    guard let extendedRootTable else { return bytes }
    bytes.append(littleEndian: UInt32(Self.longLength))
    bytes.append(littleEndian: extendedRootTable)
    bytes.append(zeros: 4)
    bytes.balanceChecksum(at: 32)
    return bytes
  }
}
