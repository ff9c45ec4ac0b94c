/// The bus as a device that masters it sees it: memory behind an IOMMU.
///
/// Whoever runs a device model provides one: the ``Northbridge`` of a simulated machine, the memory that a guest shares,
/// or a middleware that traces or injects faults. Every access names its requester and may be refused; a refusal is a
/// false, never a trap, and is counted by the bus.
public protocol DMABus: ~Copyable {
  /// Copies memory out, into the bytes of `destination` that `range` names.
  ///
  /// - Precondition: the range is inside `destination`.
  /// - Returns: false when any byte was refused; the range then holds nothing to rely on.
  mutating func readMemory(
    _ address: BusAddress, into destination: inout MutableSpan<UInt8>, range: Range<Int>, requester: RequesterID
  ) -> Bool

  /// Copies bytes into memory. A write to the interrupt range is an interrupt message.
  ///
  /// - Returns: false when any byte was refused; a part may have been written.
  mutating func writeMemory(_ address: BusAddress, _ source: Span<UInt8>, requester: RequesterID) -> Bool

  /// Stores eight bytes in one piece, after everything that was written before (release): how a device hands a
  /// descriptor over.
  ///
  /// - Returns: false when refused, or when the address is not a multiple of 8.
  mutating func publish(_ value: UInt64, at address: BusAddress, requester: RequesterID) -> Bool
}
