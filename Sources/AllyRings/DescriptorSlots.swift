public import Synchronization

/// A descriptor ring's slots in this process, for the time of one pass.
///
/// Loads and stores go 64 bits at a time through atomics, because the other side (an OS core, a NIC) writes the
/// same memory: each word is loaded exactly once, the ownership word first.
@frozen
@safe
public struct DescriptorSlots<Format: Descriptor>: BitwiseCopyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  /// How many slots there are.
  public let count: UInt32

  /// The `count` slots from `base` on, which is 8-byte aligned; they stay valid as long as this value is used.
  @unsafe
  @inlinable
  public init(base: UnsafeMutableRawPointer, count: UInt32) {
    unsafe self.base = base
    self.count = count
  }

  /// A descriptor's size in bytes.
  @inlinable
  @inline(__always)
  public static var stride: Int { MemoryLayout<Format>.size }

  /// Loads the descriptor of a slot, each of its words once.
  ///
  /// - Precondition: `index < count`.
  @inlinable
  @inline(__always)
  public func load(at index: UInt32) -> Format {
    precondition(index < count)
    return unsafe Self.load(from: base + Int(index) &* Self.stride)
  }

  /// Stores a descriptor, its ownership word last.
  ///
  /// - Precondition: `index < count`.
  @inlinable
  @inline(__always)
  public func store(_ descriptor: Format, at index: UInt32) {
    precondition(index < count)
    unsafe Self.store(descriptor, to: base + Int(index) &* Self.stride)
  }

  /// Stores the ownership word alone.
  ///
  /// - Precondition: `index < count`.
  @inlinable
  @inline(__always)
  public func storeOwnership(of descriptor: Format, at index: UInt32) {
    precondition(index < count)
    unsafe Self.storeOwnership(of: descriptor, to: base + Int(index) &* Self.stride)
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func word(_ place: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    unsafe (place + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func load(from place: UnsafeMutableRawPointer) -> Format {
    var copy = Format()
    let ownership = unsafe word(place, Format.ownershipWordOffset).pointee.load(ordering: .acquiring)
    unsafe withUnsafeMutableBytes(of: &copy) { bytes in
      var offset = 0
      while offset < stride {
        let value =
          offset == Format.ownershipWordOffset
          ? ownership : unsafe word(place, offset).pointee.load(ordering: .relaxed)
        unsafe bytes.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
        offset &+= 8
      }
    }
    return copy
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func store(_ descriptor: Format, to place: UnsafeMutableRawPointer) {
    unsafe withUnsafeBytes(of: descriptor) { bytes in
      var offset = 0
      while offset < stride {
        if offset != Format.ownershipWordOffset {
          let value = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
          unsafe word(place, offset).pointee.store(value, ordering: .relaxed)
        }
        offset &+= 8
      }
    }
    unsafe storeOwnership(of: descriptor, to: place)
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func storeOwnership(of descriptor: Format, to place: UnsafeMutableRawPointer) {
    let value = unsafe withUnsafeBytes(of: descriptor) {
      unsafe $0.loadUnaligned(fromByteOffset: Format.ownershipWordOffset, as: UInt64.self)
    }
    unsafe word(place, Format.ownershipWordOffset).pointee.store(value, ordering: .releasing)
  }
}
