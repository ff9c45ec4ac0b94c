/// The Firmware ACPI Control Structure (FACS), through which an OS and its firmware hand the machine over when it wakes
/// (ACPI 6.5 §5.2.10). Alone among the tables it has neither the common header nor a checksum, because both sides write
/// to it.
public struct ControlStructure: Sendable, Hashable {
  /// A value that changes when the machine's hardware does.
  public var hardwareSignature: UInt32
  /// Where the firmware jumps to in real-address mode after waking; 0 when there is no such place.
  public var wakingVector: UInt32
  /// Bit 0: waiting, bit 1: owned.
  public var globalLock: UInt32
  public var flags: UInt32
  /// Where the firmware jumps to in protected mode; 0 when there is no such place. Not in version 0.
  public var extendedWakingVector: UInt64
  public var version: UInt8

  /// The fewest bytes that the structure has.
  static var minimumLength: Int { 64 }

  /// Reads the structure, which is all of `bytes`.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .controlStructure)
    let signature = TableSignature(rawValue: try reader.next(UInt32.self))
    guard signature == .controlStructure else { throw reader.error(.signature(found: signature), at: 0) }
    let length = Int(try reader.next(UInt32.self))
    guard length == bytes.count, length >= Self.minimumLength else {
      throw reader.error(.length(field: length, actual: bytes.count), at: 4)
    }
    hardwareSignature = try reader.next(UInt32.self)
    wakingVector = try reader.next(UInt32.self)
    globalLock = try reader.next(UInt32.self)
    flags = try reader.next(UInt32.self)
    extendedWakingVector = try reader.next(UInt64.self)
    version = try reader.next(UInt8.self)
  }
}
