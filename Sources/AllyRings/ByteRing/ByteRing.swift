public import AllyHW

/// A receive ring of bytes, without descriptors: frames stand in it one behind the other, each behind a header of 32 bits, and
/// each header at a multiple of four bytes.
///
/// Equal places of reader and writer mean an empty ring, so it is never filled to the last byte.
@frozen
public struct ByteRing: Sendable, BitwiseCopyable, Equatable {
  /// The first byte; a multiple of four.
  public var base: PhysicalAddress
  /// Bytes from there to where places begin anew; a power of two of at least 8.
  public var length: UInt32
  /// Whether a frame at the ring's end goes on behind it, in memory that belongs to the ring too, instead of at its start.
  public var runsOver: Bool

  @inlinable
  public init(base: PhysicalAddress = PhysicalAddress(0), length: UInt32 = 8, runsOver: Bool = false) {
    self.base = base
    self.length = length
    self.runsOver = runsOver
  }

  /// The bytes between two places.
  @inlinable
  @inline(__always)
  public func distance(from read: UInt32, to write: UInt32) -> UInt32 { (write &- read) & (length &- 1) }

  /// A place, so many bytes further.
  @inlinable
  @inline(__always)
  public func place(_ place: UInt32, advancedBy bytes: UInt32) -> UInt32 { (place &+ bytes) & (length &- 1) }

  /// How many of `bytes` from a place on lie before the ring's end, or behind it when they may.
  @inlinable
  @inline(__always)
  public func firstPiece(of bytes: UInt32, at place: UInt32) -> UInt32 {
    runsOver ? bytes : min(bytes, length &- place)
  }

  /// The bytes that a frame takes: header, frame with its frame check sequence, and up to the next multiple of four.
  @inlinable
  @inline(__always)
  public static func bytesTaken(by length: UInt32) -> UInt32 { (length &+ 7) & ~3 }
}

/// What stands in front of each frame in a receive ring of bytes: 32 bits, little-endian.
public protocol ByteRingHeader: BitwiseCopyable, Sendable {
  /// What the 32 bits say; any of them are a header.
  init(word: UInt32)
  /// The header of a frame that a NIC might have received.
  ///
  /// - Parameters:
  ///   - destination: the frame's first six bytes, the first in bits 7–0.
  ///   - length: as ``length``.
  init(destination: UInt64, length: UInt32)
  var word: UInt32 { get }
  /// The bytes of the frame with its frame check sequence of four.
  var length: UInt32 { get }
  /// Whether the NIC is still writing the frame.
  var isUnfinished: Bool { get }
  /// The header of a frame that the NIC is still writing.
  static var unfinished: Self { get }
}

/// A receive ring of bytes as the OS has programmed it: values of registers, none of them checked.
@frozen
public struct ProgrammedByteRing: Sendable, BitwiseCopyable, Equatable {
  public var base: BusAddress
  /// As ``ByteRing/length``.
  public var length: UInt32
  /// As ``ByteRing/runsOver``.
  public var runsOver: Bool
  /// Whether the OS has enabled the receiver and told it where its ring is.
  public var isEnabled: Bool

  @inlinable
  public init(base: BusAddress, length: UInt32, runsOver: Bool, isEnabled: Bool) {
    self.base = base
    self.length = length
    self.runsOver = runsOver
    self.isEnabled = isEnabled
  }
}
