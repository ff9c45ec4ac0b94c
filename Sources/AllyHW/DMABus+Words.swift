import Synchronization

/// Words of 16 bits that two sides of a ring hand over through memory, such as the indexes of a virtqueue.
extension DMABus where Self: ~Copyable {
  /// Loads 16 bits, least significant byte first; what is read afterwards is at least as new (acquire).
  ///
  /// - Returns: nil when refused.
  public mutating func acquire(at address: BusAddress, requester: RequesterID) -> UInt16? {
    var bytes = InlineArray<2, UInt8>(repeating: 0)
    var span = bytes.mutableSpan
    // The store that asks for a notification comes before this load, whichever way the other side goes.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard readMemory(address, into: &span, range: 0..<2, requester: requester) else { return nil }
    atomicMemoryFence(ordering: .acquiring)
    return UInt16(bytes[0]) | UInt16(bytes[1]) << 8
  }

  /// Stores 16 bits, least significant byte first, after everything that was written before (release).
  ///
  /// - Returns: false when refused.
  public mutating func publish(_ value: UInt16, at address: BusAddress, requester: RequesterID) -> Bool {
    let bytes: InlineArray<2, UInt8> = [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
    atomicMemoryFence(ordering: .releasing)
    return writeMemory(address, bytes.span, requester: requester)
  }
}
