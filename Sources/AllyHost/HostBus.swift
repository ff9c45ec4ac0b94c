public import AllyHW
internal import Synchronization

/// The bus of a NIC that lives in this process: its DMA reaches the memory that is mapped, with the rights that each piece
/// has, and nothing else.
///
/// The memory is a guest's, or an emulator's, and the DPI core's own. It changes only while nobody uses the bus. What a
/// NIC writes as an interrupt message is counted: the DPI core looks at the NIC anyway.
@frozen
public struct HostBus: DMABus, ~Copyable {
  public var memory: PhysicalMemory
  /// Interrupt messages that the NIC sent.
  public private(set) var messages: UInt64 = 0
  /// Accesses that were refused.
  public private(set) var faults: UInt64 = 0

  public init(memory: consuming PhysicalMemory) { self.memory = memory }

  public mutating func readMemory(
    _ address: BusAddress, into destination: inout MutableSpan<UInt8>, range: Range<Int>, requester: RequesterID
  ) -> Bool {
    precondition(range.upperBound <= destination.count && range.lowerBound >= 0, "the range is outside the destination")
    guard
      let place = unsafe memory.pointer(
        at: PhysicalAddress(address.rawValue), length: UInt64(range.count), for: .read)
    else {
      faults &+= 1
      return false
    }
    // `range` lies in the destination, and that many bytes are behind `place`.
    unsafe destination.withUnsafeMutableBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[range]).copyMemory(
        from: UnsafeRawBufferPointer(start: place, count: range.count))
    }
    return true
  }

  public mutating func writeMemory(_ address: BusAddress, _ source: Span<UInt8>, requester: RequesterID) -> Bool {
    if MessageSignaledInterrupt.isMessage(address) {
      messages &+= 1
      return true
    }
    guard
      let place = unsafe memory.pointer(
        at: PhysicalAddress(address.rawValue), length: UInt64(source.count), for: .write)
    else {
      faults &+= 1
      return false
    }
    // As many bytes as the source has are behind `place`.
    unsafe source.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { unsafe place.copyMemory(from: start, byteCount: bytes.count) }
    }
    return true
  }

  public mutating func publish(_ value: UInt64, at address: BusAddress, requester: RequesterID) -> Bool {
    guard address.rawValue & 7 == 0,
      let place = unsafe memory.pointer(at: PhysicalAddress(address.rawValue), length: 8, for: .write),
      UInt(bitPattern: place) & 7 == 0
    else {
      faults &+= 1
      return false
    }
    // The place is 8 bytes of mapped, writable memory, aligned: what an Atomic of 64 bits needs.
    unsafe place.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(value.littleEndian, ordering: .releasing)
    return true
  }
}
