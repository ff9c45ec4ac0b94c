/// The RSDT or the XSDT: where the other ACPI tables are (ACPI 6.5 §5.2.7, §5.2.8).
public struct RootTable: Sendable, Hashable {
  public var header: ACPIHeader
  /// The addresses, in the table's order. An RSDT holds those below 2^32.
  public var addresses: [PhysicalAddress]

  /// Whether addresses have 64 bits (XSDT) rather than 32 (RSDT).
  public var isExtended: Bool { header.signature == .extendedRootTable }

  /// - Parameters:
  ///   - header: its signature says which of the two it is.
  ///   - addresses: of the tables, in their order.
  public init(header: ACPIHeader, addresses: [PhysicalAddress]) {
    self.header = header
    self.addresses = addresses
  }

  /// Reads a whole RSDT or XSDT.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    let wide = bytes.starts(with: [0x58, 0x53, 0x44, 0x54])
    var reader = TableReader(bytes, table: wide ? .extendedRootTable : .rootTable)
    header = try ACPIHeader(&reader, expecting: wide ? .extendedRootTable : .rootTable)
    addresses = []
    while !reader.isAtEnd {
      addresses.append(PhysicalAddress(wide ? try reader.next(UInt64.self) : UInt64(try reader.next(UInt32.self))))
    }
  }

  /// The whole table.
  public var bytes: [UInt8] {
    var body: [UInt8] = []
    for address in addresses {
      if isExtended {
        body.append(littleEndian: address.rawValue)
      } else {
        body.append(littleEndian: UInt32(truncatingIfNeeded: address.rawValue))
      }
    }
    return header.table(body: body)
  }
}
