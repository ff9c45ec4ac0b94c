/// The 36 bytes that every ACPI system description table begins with, but for its length and checksum, which follow
/// from the table (ACPI 6.5 §5.2.6).
public struct ACPIHeader: Sendable, Hashable {
  public var signature: TableSignature
  public var revision: UInt8
  /// 6 characters.
  public var oemID: [UInt8]
  /// 8 characters.
  public var oemTableID: [UInt8]
  /// Linux takes a table from the initrd in place of the firmware's only if this is greater.
  public var oemRevision: UInt32
  public var creatorID: UInt32
  public var creatorRevision: UInt32

  /// The length in bytes.
  public static var length: Int { 36 }
  static var lengthOffset: Int { 4 }
  static var checksumOffset: Int { 9 }

  /// Names are cut or filled up with spaces.
  public init(
    signature: TableSignature, revision: UInt8, oemID: [UInt8], oemTableID: [UInt8], oemRevision: UInt32,
    creatorID: UInt32 = 0, creatorRevision: UInt32 = 0
  ) {
    self.signature = signature
    self.revision = revision
    self.oemID = oemID.asName(ofLength: 6)
    self.oemTableID = oemTableID.asName(ofLength: 8)
    self.oemRevision = oemRevision
    self.creatorID = creatorID
    self.creatorRevision = creatorRevision
  }

  /// Reads the header of a whole table, whose length field and checksum are checked first.
  ///
  /// - Parameters:
  ///   - bytes: the table, all of it and nothing else.
  ///   - signature: what the table must be; nil takes any.
  public init(of bytes: [UInt8], expecting signature: TableSignature? = nil) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: signature ?? .rootTable)
    self = try Self(&reader, expecting: signature)
  }

  init(_ reader: inout TableReader, expecting expected: TableSignature?) throws(FirmwareTableError) {
    signature = TableSignature(rawValue: try reader.next(UInt32.self))
    if let expected, signature != expected { throw reader.error(.signature(found: signature), at: 0) }
    let length = try reader.next(UInt32.self)
    revision = try reader.next(UInt8.self)
    try reader.skip(1)
    oemID = try reader.next(count: 6)
    oemTableID = try reader.next(count: 8)
    oemRevision = try reader.next(UInt32.self)
    creatorID = try reader.next(UInt32.self)
    creatorRevision = try reader.next(UInt32.self)
    guard Int(length) == reader.bytes.count else {
      throw reader.error(.length(field: Int(length), actual: reader.bytes.count), at: Self.lengthOffset)
    }
    let sum = byteSum(reader.bytes)
    guard sum == 0 else { throw reader.error(.checksum(sum: sum), at: Self.checksumOffset) }
  }

  /// A whole table: this header, with length and checksum filled in, and `body`.
  public func table(body: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.length + body.count)
    bytes.append(littleEndian: signature.rawValue)
    bytes.append(littleEndian: UInt32(truncatingIfNeeded: Self.length + body.count))
    bytes.append(revision)
    bytes.append(0)
    bytes.append(contentsOf: oemID)
    bytes.append(contentsOf: oemTableID)
    bytes.append(littleEndian: oemRevision)
    bytes.append(littleEndian: creatorID)
    bytes.append(littleEndian: creatorRevision)
    bytes.append(contentsOf: body)
    bytes.balanceChecksum(at: Self.checksumOffset)
    return bytes
  }

  /// Lets the OEM revision grow by one.
  mutating func raiseRevision() throws(FirmwareTableError) {
    guard oemRevision < .max else { throw FirmwareTableError(.revisionExhausted, in: signature, at: 24) }
    oemRevision += 1
  }
}
