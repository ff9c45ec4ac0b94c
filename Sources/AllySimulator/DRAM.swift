internal import Glibc
public import AllyHW

/// The machine's memory chips: zeroed bytes from physical address 0 up.
///
/// As in a PC, the last GiB below 4 GiB belongs to devices: memory beyond ``holeStart`` goes on at ``holeEnd``. Pages that
/// nobody touches take no memory of the host, so that a machine may have more than the host: up to ``maximumSize``.
@safe
public final class DRAM {
  /// The first physical address that is a device's: 3 GiB.
  public static var holeStart: UInt64 { 0xC000_0000 }
  /// Where memory goes on: 4 GiB.
  public static var holeEnd: UInt64 { 0x1_0000_0000 }
  /// 1 TiB.
  public static var maximumSize: UInt64 { 1 << 40 }

  /// Bytes, a multiple of 4,096.
  public let size: UInt64
  let storage: UnsafeMutableRawPointer

  /// - Parameter size: bytes, a multiple of 4,096, not 0.
  /// - Throws: ``SimulatorError/outOfMemory(bytes:)`` when it is more than ``maximumSize``, or the host has no room in its
  ///   address space.
  public init(size: UInt64) throws(SimulatorError) {
    precondition(size > 0 && size % 4096 == 0, "memory comes in pages of 4,096 bytes")
    guard size <= Self.maximumSize else { throw .outOfMemory(bytes: size) }
    let protection = PROT_READ | PROT_WRITE
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let storage = unsafe mmap(nil, Int(size), protection, flags, -1, 0), unsafe storage != MAP_FAILED else {
      throw .outOfMemory(bytes: size)
    }
    self.size = size
    unsafe self.storage = storage
  }

  deinit { unsafe munmap(storage, Int(size)) }

  /// A copy of all its bytes.
  public var image: [UInt8] { unsafe [UInt8](UnsafeRawBufferPointer(start: storage, count: Int(size))) }

  /// Puts back what ``image`` had.
  ///
  /// - Precondition: the image is of this memory.
  public func restore(_ image: [UInt8]) {
    precondition(image.count == Int(size), "the image is of another memory")
    // As many bytes as the storage has.
    unsafe image.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { unsafe storage.copyMemory(from: base, byteCount: bytes.count) }
    }
  }

  /// The physical address of the byte that has `count` bytes of memory below it.
  public static func address(after count: UInt64) -> PhysicalAddress {
    PhysicalAddress(count < holeStart ? count : count + (holeEnd - holeStart))
  }

  /// Puts all of it into a physical memory.
  ///
  /// The memory must not be used after the last reference to this object is gone.
  public func map(into memory: inout PhysicalMemory) throws(PhysicalMemoryError) {
    let low = min(size, Self.holeStart)
    unsafe try memory.map(base: PhysicalAddress(0), length: low, storage: storage, rights: .all)
    if size > low {
      // `low` bytes of the storage are used above; the rest has `size - low`.
      unsafe try memory.map(
        base: PhysicalAddress(Self.holeEnd), length: size - low, storage: storage + Int(low), rights: .all)
    }
  }
}

/// Why a simulated machine cannot be made.
public enum SimulatorError: Error, Equatable, Sendable {
  /// The host refused the memory.
  case outOfMemory(bytes: UInt64)
  /// The layout does not fit: what, and what was expected.
  case layout(String)
}
