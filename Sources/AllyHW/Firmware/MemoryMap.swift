/// The memory map that a BIOS hands out, entry by entry, through INT 15h with EAX = 0xE820 (ACPI 6.5 §15.1).
public struct MemoryMap: Sendable, Hashable {
  /// What a range of addresses is good for.
  public struct Kind: RawRepresentable, Sendable, Hashable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Memory that the OS may use.
    public static var usable: Self { Self(rawValue: 1) }
    /// Not for the OS.
    public static var reserved: Self { Self(rawValue: 2) }
    /// Holds ACPI tables; usable once they are read.
    public static var acpiReclaimable: Self { Self(rawValue: 3) }
    /// Must be kept while the machine sleeps.
    public static var acpiNonVolatile: Self { Self(rawValue: 4) }
    /// Memory in which errors were found.
    public static var unusable: Self { Self(rawValue: 5) }
  }

  /// A range of addresses (20 bytes).
  public struct Entry: Sendable, Hashable {
    /// The first address. BIOSes list entries of no length, so this is no ``PhysicalRange``.
    public var base: UInt64
    /// The length in bytes.
    public var length: UInt64
    public var kind: Kind

    public init(base: UInt64, length: UInt64, kind: Kind) {
      self.base = base
      self.length = length
      self.kind = kind
    }

    var range: PhysicalRange? { PhysicalRange(base: PhysicalAddress(base), length: length) }
  }

  public var entries: [Entry]

  public init(entries: [Entry]) { self.entries = entries }

  /// Reads entries of 20 bytes, one after the other.
  public init(parsing bytes: [UInt8]) throws(FirmwareTableError) {
    var reader = TableReader(bytes, table: .e820)
    entries = []
    while !reader.isAtEnd {
      let start = reader.offset
      let entry = Entry(
        base: try reader.next(UInt64.self), length: try reader.next(UInt64.self),
        kind: Kind(rawValue: try reader.next(UInt32.self)))
      guard entry.length == 0 || entry.range != nil else { throw reader.error(.range, at: start) }
      entries.append(entry)
    }
  }

  /// The entries of 20 bytes, one after the other.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for entry in entries {
      bytes.append(littleEndian: entry.base)
      bytes.append(littleEndian: entry.length)
      bytes.append(littleEndian: entry.kind.rawValue)
    }
    return bytes
  }

  /// Bytes of usable memory.
  public var usableBytes: UInt64 {
    entries.reduce(0) { $1.kind == .usable ? $0 &+ $1.length : $0 }
  }

  /// Whether one usable entry holds all of a range.
  public func isUsable(_ range: PhysicalRange) -> Bool {
    entries.contains { $0.kind == .usable && $0.range?.contains(range) == true }
  }

  /// Cuts a range out of the usable entry that holds it: the map then says nothing about it, as it does of addresses
  /// without memory.
  ///
  /// - Throws: ``FirmwareTableError/Reason/memoryNotUsable``; the map is then unchanged.
  public mutating func hide(_ range: PhysicalRange) throws(FirmwareTableError) {
    guard let place = entries.firstIndex(where: { $0.kind == .usable && $0.range?.contains(range) == true }),
      let whole = entries[place].range
    else { throw FirmwareTableError(.memoryNotUsable, in: .e820, at: 0) }
    // Any other entry that speaks of the range would tell the OS that something is there.
    for index in entries.indices where index != place && entries[index].range?.overlaps(range) == true {
      throw FirmwareTableError(.memoryNotUsable, in: .e820, at: 20 * index)
    }
    let pieces = whole.subtracting(range).map {
      Entry(base: $0.base.rawValue, length: $0.length, kind: .usable)
    }
    entries.replaceSubrange(place...place, with: pieces)
  }
}
