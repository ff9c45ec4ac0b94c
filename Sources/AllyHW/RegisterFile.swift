public import Synchronization

/// The shadow copies of one device's registers, in DPI memory: what OS cores read and write instead of the device
/// (paper §4.3).
///
/// A view, not an owner: every copy of it means the same registers, so that the OS cores' side (through the
/// ``RemappingTable``) and the DPI core that virtualizes the device each hold one. A register lies at its offset, so
/// memory is needed up to the last intercepted register. Single registers are read and written at once (acquire and
/// release), from any core. Offsets outside the file read as 0, and writes there are lost.
@frozen
@safe
public struct RegisterFile: BitwiseCopyable, @unchecked Sendable {
  @usableFromInline let storage: UnsafeMutableRawPointer
  /// The length in bytes: registers have offsets from 0 up to it.
  public let length: UInt32

  /// The registers in `length` bytes of DPI memory, with the values that are there (zeros after power-up).
  ///
  /// `storage` is 8-byte aligned and stays valid as long as any copy of the file is used.
  @unsafe
  @inlinable
  public init(storage: UnsafeMutableRawPointer, length: UInt32) {
    precondition(UInt(bitPattern: storage) & 7 == 0, "the registers are not 8-byte aligned")
    unsafe self.storage = storage
    self.length = length & ~7
  }

  /// The registers in DPI memory at `address`; nil when no single segment has `length` writable bytes there.
  ///
  /// The segment must stay mapped as long as any copy of the file is used.
  @unsafe
  @inlinable
  public init?(at address: PhysicalAddress, length: UInt32, in memory: borrowing PhysicalMemory) {
    guard let place = unsafe memory.pointer(at: address, length: UInt64(length), for: .readWrite),
      UInt(bitPattern: place) & 7 == 0
    else { return nil }
    unsafe self.init(storage: place, length: length)
  }

  @usableFromInline
  @inline(__always)
  func holds(_ offset: UInt32, _ width: RegisterWidth) -> Bool {
    offset < length && UInt32(width.rawValue) <= length &- offset
  }

  /// Invariant of the three cells below: the caller has checked ``holds(_:_:)`` and the alignment, and storage is
  /// 8-byte aligned, so the cell lies in the storage and is aligned.
  @usableFromInline
  @inline(__always)
  @unsafe
  func cell<T: BitwiseCopyable & AtomicRepresentable>(_ offset: UInt32, _ type: T.Type) -> UnsafeMutablePointer<
    Atomic<T>
  > {
    unsafe (storage + Int(offset)).assumingMemoryBound(to: Atomic<T>.self)
  }

  /// Loads a register (acquire). An access that is not aligned to its width is made of single bytes.
  @inlinable
  public func load(_ offset: UInt32, width: RegisterWidth = .doubleWord) -> UInt64 {
    guard holds(offset, width) else { return 0 }
    guard offset & (UInt32(width.rawValue) &- 1) == 0 else { return loadBytes(offset, width) }
    switch width {
    case .byte: return unsafe UInt64(cell(offset, UInt8.self).pointee.load(ordering: .acquiring))
    case .word: return unsafe UInt64(UInt16(littleEndian: cell(offset, UInt16.self).pointee.load(ordering: .acquiring)))
    case .doubleWord:
      return unsafe UInt64(UInt32(littleEndian: cell(offset, UInt32.self).pointee.load(ordering: .acquiring)))
    case .quadWord: return unsafe UInt64(littleEndian: cell(offset, UInt64.self).pointee.load(ordering: .acquiring))
    }
  }

  /// Stores a register (release).
  @inlinable
  public func store(_ value: UInt64, at offset: UInt32, width: RegisterWidth = .doubleWord) {
    guard holds(offset, width) else { return }
    guard offset & (UInt32(width.rawValue) &- 1) == 0 else { return storeBytes(value, offset, width) }
    switch width {
    case .byte: unsafe cell(offset, UInt8.self).pointee.store(UInt8(truncatingIfNeeded: value), ordering: .releasing)
    case .word:
      unsafe cell(offset, UInt16.self).pointee.store(
        UInt16(truncatingIfNeeded: value).littleEndian, ordering: .releasing)
    case .doubleWord:
      unsafe cell(offset, UInt32.self).pointee.store(
        UInt32(truncatingIfNeeded: value).littleEndian, ordering: .releasing)
    case .quadWord: unsafe cell(offset, UInt64.self).pointee.store(value.littleEndian, ordering: .releasing)
    }
  }

  /// Sets bits of a 32-bit register, in one step with what other cores do to it: how a DPI core raises causes.
  ///
  /// - Returns: the register before.
  @discardableResult
  @inlinable
  public func set(_ bits: UInt32, at offset: UInt32) -> UInt32 {
    guard holds(offset, .doubleWord), offset & 3 == 0 else { return 0 }
    let (old, _) = unsafe cell(offset, UInt32.self).pointee.bitwiseOr(
      bits.littleEndian, ordering: .acquiringAndReleasing)
    return UInt32(littleEndian: old)
  }

  /// Clears bits of a 32-bit register, in one step with what other cores do to it.
  ///
  /// - Returns: the register before.
  @discardableResult
  @inlinable
  public func clear(_ bits: UInt32, at offset: UInt32) -> UInt32 {
    guard holds(offset, .doubleWord), offset & 3 == 0 else { return 0 }
    let (old, _) = unsafe cell(offset, UInt32.self).pointee.bitwiseAnd(
      (~bits).littleEndian, ordering: .acquiringAndReleasing)
    return UInt32(littleEndian: old)
  }

  @usableFromInline
  func loadBytes(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<UInt32(width.rawValue) { value |= load(offset &+ index, width: .byte) << UInt64(8 &* index) }
    return value
  }

  @usableFromInline
  func storeBytes(_ value: UInt64, _ offset: UInt32, _ width: RegisterWidth) {
    for index in 0..<UInt32(width.rawValue) {
      store(value >> UInt64(8 &* index) & 0xFF, at: offset &+ index, width: .byte)
    }
  }
}
