internal import Synchronization

/// The northbridge of paper §2.1 (Figure 1): what all cores and devices share. Memory, the IOMMU before it, the Interrupt
/// Unit, and the Remapping Table that the cores' MMUs look into.
///
/// Owned by the platform; one core or device at a time uses it.
@frozen
public struct Northbridge: ~Copyable {
  public var memory: PhysicalMemory
  public var iommu: IOMMU
  public var interrupts: InterruptUnit
  public var remapping: RemappingTable
  /// Ally's configuration registers. They begin with the partition of the IOMMU, and without a lock.
  public internal(set) var configuration: AllyConfiguration

  public init(
    memory: consuming PhysicalMemory, iommu: consuming IOMMU, interrupts: consuming InterruptUnit,
    remapping: consuming RemappingTable
  ) {
    self.memory = memory
    self.configuration = AllyConfiguration(partition: iommu.partition)
    self.iommu = iommu
    self.interrupts = interrupts
    self.remapping = remapping
  }
}

extension Northbridge: DMABus {
  /// The memory behind the start of an access, and how much of it is in one piece; nil when refused.
  @usableFromInline
  @unsafe
  mutating func piece(
    _ address: BusAddress, length: Int, rights: AccessRights, requester: RequesterID
  ) -> UnsafeMutableRawBufferPointer? {
    guard
      let piece = iommu.translatePiece(address, length: UInt64(length), rights: rights, requester: requester)
    else { return nil }
    guard let place = unsafe memory.pointer(at: piece.address, length: piece.length, for: rights) else {
      iommu.record(.absent, address, rights, requester)
      return nil
    }
    // A piece is never longer than what was asked for, so its length fits an Int.
    return unsafe UnsafeMutableRawBufferPointer(start: place, count: Int(truncatingIfNeeded: piece.length))
  }

  public mutating func readMemory(
    _ address: BusAddress, into destination: inout MutableSpan<UInt8>, range: Range<Int>, requester: RequesterID
  ) -> Bool {
    precondition(range.upperBound <= destination.count && range.lowerBound >= 0, "the range is outside the destination")
    var done = 0
    while done < range.count {
      let place = BusAddress(address.rawValue &+ UInt64(done))
      guard let piece = unsafe piece(place, length: range.count &- done, rights: .read, requester: requester)
      else { return false }
      let start = range.lowerBound &+ done
      unsafe destination.withUnsafeMutableBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start...]).copyMemory(from: UnsafeRawBufferPointer(piece))
      }
      done &+= piece.count
    }
    return true
  }

  public mutating func writeMemory(_ address: BusAddress, _ source: Span<UInt8>, requester: RequesterID) -> Bool {
    let count = source.count
    if MessageSignaledInterrupt.isMessage(address) {
      guard count == 4 else { return false }
      let data = UInt32(source[0]) | UInt32(source[1]) << 8 | UInt32(source[2]) << 16 | UInt32(source[3]) << 24
      interrupts.signal(MessageSignaledInterrupt(address: address.rawValue, data: data), from: requester)
      return true
    }
    var done = 0
    while done < count {
      let place = BusAddress(address.rawValue &+ UInt64(done))
      guard let piece = unsafe piece(place, length: count &- done, rights: .write, requester: requester)
      else { return false }
      unsafe source.withUnsafeBytes { bytes in
        let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[done..<(done &+ piece.count)])
        unsafe piece.copyMemory(from: part)
      }
      done &+= piece.count
    }
    return true
  }

  public mutating func publish(_ value: UInt64, at address: BusAddress, requester: RequesterID) -> Bool {
    guard address.rawValue & 7 == 0,
      let piece = unsafe piece(address, length: 8, rights: .write, requester: requester),
      piece.count == 8, let place = piece.baseAddress, UInt(bitPattern: place) & 7 == 0
    else { return false }
    // The place is 8 bytes of mapped, writable memory, aligned: what an Atomic of 64 bits needs.
    unsafe place.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(
      value.littleEndian, ordering: .releasing)
    return true
  }
}
