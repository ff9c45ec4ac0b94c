/// What becomes of an OS core's access to a device register (paper §4.3).
@frozen
public enum RegisterDisposition: UInt8, Sendable, BitwiseCopyable {
  /// The access reaches the device; DPI cores learn nothing of it.
  case passThrough
  /// The access lands in the shadow copy in DPI memory, and an IPI tells a DPI core.
  case redirect
  /// The access lands in the shadow copy; nobody is told.
  case shadowOnly
  /// A read gives zeros, a write is ignored; counted.
  case deny
}

/// A run of device registers that are treated alike: registers are data.
///
/// A driver module lists its device's runs; the rows of the ``RemappingTable`` are derived from the list, fewer than ten
/// per device.
@frozen
public struct RegisterRange: Sendable, BitwiseCopyable, Equatable {
  /// The first byte's offset from the start of the device's register BAR.
  public var offset: UInt32
  /// The length in bytes.
  public var length: UInt32
  /// What becomes of accesses.
  public var disposition: RegisterDisposition
  /// Whether these are cause registers: a load takes the value and leaves zeros, and a store clears the bits that it
  /// has as ones (for the 82540EM, ICR: SDM §13.4.17).
  public var clearsOnRead: Bool
  /// Whether these are cause registers that loads leave alone: a store clears the bits that it has as ones (for the
  /// RTL8139C, ISR: datasheet 5.7).
  public var onesClear: Bool

  @inlinable
  public init(
    offset: UInt32, length: UInt32, disposition: RegisterDisposition, clearsOnRead: Bool = false,
    onesClear: Bool = false
  ) {
    self.offset = offset
    self.length = length
    self.disposition = disposition
    self.clearsOnRead = clearsOnRead
    self.onesClear = onesClear
  }
}

/// How wide an access to a register is, in bytes.
@frozen
public enum RegisterWidth: UInt8, Sendable, BitwiseCopyable {
  case byte = 1
  case word = 2
  case doubleWord = 4
  case quadWord = 8

  /// The width in bytes.
  @inlinable
  @inline(__always)
  public var byteCount: UInt64 { UInt64(rawValue) }

  /// Ones in as many low bits as an access of this width has.
  @inlinable
  @inline(__always)
  public var mask: UInt64 { UInt64.max >> (64 &- 8 &* byteCount) }
}

/// An OS core's access to a redirected register, as the DPI core learns of it with the IPI (paper §4.3, Figure 3).
@frozen
public struct RedirectedAccess: Sendable, BitwiseCopyable, Equatable {
  /// The register's offset in the device's register BAR.
  public var offset: UInt32
  public var width: RegisterWidth
  public var isWrite: Bool
  /// The value written; of a read, the value that the shadow gave.
  public var value: UInt64

  @inlinable
  public init(offset: UInt32, width: RegisterWidth, isWrite: Bool, value: UInt64) {
    self.offset = offset
    self.width = width
    self.isWrite = isWrite
    self.value = value
  }
}
