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

  /// Loads the ownership word alone; the descriptor's other words are zeros.
  ///
  /// - Precondition: `index < count`.
  @inlinable
  @inline(__always)
  public func loadOwnership(at index: UInt32) -> Format {
    precondition(index < count)
    return unsafe Self.loadOwnership(from: base + Int(index) &* Self.stride)
  }

  /// The place of slot `index`, at most `count`, which is the end of the queue.
  @unsafe
  @inlinable
  @inline(__always)
  func place(of index: UInt32) -> UnsafeMutableRawPointer {
    unsafe base + Int(index) &* Self.stride
  }

  // MARK: - Words

  // Descriptors of 16 bytes, which nearly all are, go through a pair of words in registers; others through their bytes in
  // memory.

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
    let ownership = unsafe word(place, Format.ownershipWordOffset).pointee.load(ordering: .acquiring)
    if stride == 16 {
      let other = unsafe word(place, 8 &- Format.ownershipWordOffset).pointee.load(ordering: .relaxed)
      let pair = Format.ownershipWordOffset == 0 ? (ownership, other) : (other, ownership)
      return unsafe unsafeBitCast(pair, to: Format.self)
    }
    var copy = Format()
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
  static func loadOwnership(from place: UnsafeMutableRawPointer) -> Format {
    let ownership = unsafe word(place, Format.ownershipWordOffset).pointee.load(ordering: .acquiring)
    if stride == 16 {
      let pair = Format.ownershipWordOffset == 0 ? (ownership, 0) : (0, ownership)
      return unsafe unsafeBitCast(pair, to: Format.self)
    }
    var copy = Format()
    unsafe withUnsafeMutableBytes(of: &copy) {
      unsafe $0.storeBytes(of: ownership, toByteOffset: Format.ownershipWordOffset, as: UInt64.self)
    }
    return copy
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func store(_ descriptor: Format, to place: UnsafeMutableRawPointer) {
    if stride == 16 {
      let pair = unsafe unsafeBitCast(descriptor, to: (UInt64, UInt64).self)
      let other = Format.ownershipWordOffset == 0 ? pair.1 : pair.0
      unsafe word(place, 8 &- Format.ownershipWordOffset).pointee.store(other, ordering: .relaxed)
    } else {
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
    }
    unsafe storeOwnership(of: descriptor, to: place)
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func storeOwnership(of descriptor: Format, to place: UnsafeMutableRawPointer) {
    let ownership: UInt64
    if stride == 16 {
      let pair = unsafe unsafeBitCast(descriptor, to: (UInt64, UInt64).self)
      ownership = Format.ownershipWordOffset == 0 ? pair.0 : pair.1
    } else {
      ownership = unsafe withUnsafeBytes(of: descriptor) {
        unsafe $0.loadUnaligned(fromByteOffset: Format.ownershipWordOffset, as: UInt64.self)
      }
    }
    unsafe word(place, Format.ownershipWordOffset).pointee.store(ownership, ordering: .releasing)
  }
}
