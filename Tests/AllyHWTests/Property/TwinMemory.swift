import AllyHW
import Glibc

/// Physical memory of up to 8 GiB, with the devices' GiB below 4 GiB left out as in a PC, and beside it a twin of the same
/// size in which the generator keeps what the bytes should be. Only pages that are touched take memory.
@safe
final class TwinMemory {
  static let holeStart: UInt64 = 3 << 30
  static let holeEnd: UInt64 = 4 << 30

  /// The first physical address after memory.
  let end: UInt64
  private let length: Int
  private let real: UnsafeMutableRawPointer
  private let twin: UnsafeMutableRawPointer

  init(end: UInt64) {
    self.end = end
    length = Int(end > Self.holeStart ? end - (Self.holeEnd - Self.holeStart) : end)
    unsafe real = Self.reserve(length)
    unsafe twin = Self.reserve(length)
  }

  deinit {
    unsafe munmap(real, length)
    unsafe munmap(twin, length)
  }

  private static func reserve(_ length: Int) -> UnsafeMutableRawPointer {
    let place = unsafe mmap(
      nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let place = unsafe place, unsafe place != MAP_FAILED else {
      fatalError("no address space for the test's memory")
    }
    return unsafe place
  }

  func map(into memory: inout PhysicalMemory) throws {
    let low = min(end, Self.holeStart)
    unsafe try memory.map(base: PhysicalAddress(0), length: low, storage: real, rights: .all)
    guard end > Self.holeEnd else { return }
    unsafe try memory.map(
      base: PhysicalAddress(Self.holeEnd), length: end - Self.holeEnd, storage: real + Int(Self.holeStart),
      rights: .all)
  }

  private func offset(_ physical: UInt64) -> Int {
    Int(physical < Self.holeStart ? physical : physical - (Self.holeEnd - Self.holeStart))
  }

  /// What the twin says that a little-endian integer of `width` bytes is.
  func expected(_ physical: UInt64, width: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in (0..<width).reversed() {
      value = unsafe value << 8 | UInt64(twin.load(fromByteOffset: offset(physical) + index, as: UInt8.self))
    }
    return value
  }

  /// Notes what a store should leave behind.
  func expect(_ value: UInt64, at physical: UInt64, width: Int) {
    for index in 0..<width {
      unsafe twin.storeBytes(
        of: UInt8(truncatingIfNeeded: value >> UInt64(8 * index)), toByteOffset: offset(physical) + index,
        as: UInt8.self)
    }
  }

  /// What the memory really holds.
  func actual(_ physical: UInt64) -> UInt64 {
    unsafe real.load(fromByteOffset: offset(physical), as: UInt64.self)
  }

  /// Puts a word there, and knows of it.
  func put(_ value: UInt64, at physical: UInt64) {
    unsafe real.storeBytes(of: value, toByteOffset: offset(physical), as: UInt64.self)
    unsafe twin.storeBytes(of: value, toByteOffset: offset(physical), as: UInt64.self)
  }

  /// Whether a page is as the twin says.
  func isAsExpected(page: UInt64) -> Bool {
    unsafe memcmp(real + offset(page), twin + offset(page), 0x1000) == 0
  }
}
