internal import Glibc
public import AllyHW

/// The machine's memory chips: zeroed bytes from physical address 0 up.
///
/// Pages that nobody touches take no memory of the host.
@safe
public final class DRAM {
  /// Bytes, a multiple of 4,096.
  public let size: UInt64
  let storage: UnsafeMutableRawPointer

  /// - Parameter size: bytes, a multiple of 4,096, not 0.
  /// - Throws: ``SimulatorError/outOfMemory(bytes:)`` when the host has not that much.
  public init(size: UInt64) throws(SimulatorError) {
    precondition(size > 0 && size % 4096 == 0, "memory comes in pages of 4,096 bytes")
    guard let storage = unsafe calloc(1, Int(size)) else { throw .outOfMemory(bytes: size) }
    self.size = size
    unsafe self.storage = storage
  }

  deinit { unsafe free(storage) }

  /// Puts all of it into a physical memory at address 0.
  ///
  /// The memory must not be used after the last reference to this object is gone.
  public func map(into memory: inout PhysicalMemory) throws(PhysicalMemoryError) {
    unsafe try memory.map(base: PhysicalAddress(0), length: size, storage: storage, rights: [.read, .write, .execute])
  }
}

/// Why a simulated machine cannot be made.
public enum SimulatorError: Error, Equatable, Sendable {
  /// The host refused the memory.
  case outOfMemory(bytes: UInt64)
  /// The layout does not fit: what, and what was expected.
  case layout(String)
}
