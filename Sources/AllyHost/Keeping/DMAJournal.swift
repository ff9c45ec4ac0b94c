internal import AllyHW
internal import Synchronization

/// What a NIC's DMA has overwritten since its record counted last, so that a successor can have it back: a NIC that goes back to
/// its record finds its descriptors as they were then. A view of ``KeptMemory``. One thread uses it.
///
/// Descriptors alone: formats that put their report in the place of the buffer's address could not be completed twice. Frames
/// are written again as they are.
@safe
struct DMAJournal {
  /// More words than a frame each way completes, the rings being no longer than that.
  private static let capacity = 8192
  private static let entries = 64
  static let byteCount = (entries + 16 * capacity + 0xFFF) & ~0xFFF

  /// Invariant: `byteCount` bytes; the owner of the memory outlives every use of a copy.
  private let place: UnsafeMutableRawPointer

  init(at place: UnsafeMutableRawPointer) { unsafe self.place = place }

  private enum Word {
    /// How often the record had counted, and how many words were overwritten since.
    static let record = 0
    static let count = 8
  }

  private func load(_ word: Int) -> UInt64 { unsafe place.load(fromByteOffset: word, as: UInt64.self) }

  /// Stores a word after all before it, and before all after it.
  private func set(_ word: Int, _ value: UInt64) {
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    unsafe place.storeBytes(of: value, toByteOffset: word, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
  }

  /// A word is about to be overwritten.
  ///
  /// - Parameter record: how often the record has counted.
  func note(_ value: UInt64, at address: BusAddress, since record: UInt64) {
    if load(Word.record) != record {
      set(Word.count, 0)
      set(Word.record, record)
    }
    let count = load(Word.count)
    guard count < UInt64(Self.capacity) else { return }
    // Below the capacity.
    let entry = unsafe place + Self.entries + 16 * Int(count)
    unsafe entry.storeBytes(of: address.rawValue, as: UInt64.self)
    unsafe entry.storeBytes(of: value, toByteOffset: 8, as: UInt64.self)
    set(Word.count, count + 1)
  }

  /// Gives everything back that was overwritten since the record has counted so often.
  func undo(since record: UInt64, on bus: inout HostBus) {
    guard load(Word.record) == record else { return }
    for index in (0..<min(load(Word.count), UInt64(Self.capacity))).reversed() {
      let entry = unsafe place + Self.entries + 16 * Int(index)
      let address = BusAddress(unsafe entry.load(as: UInt64.self))
      let value = UInt64(littleEndian: unsafe entry.load(fromByteOffset: 8, as: UInt64.self))
      _ = bus.publish(value, at: address, requester: RequesterID(bus: 0, device: 0, function: 0))
    }
    set(Word.count, 0)
  }
}

/// A bus that notes what it overwrites.
@safe
struct JournaledBus: DMABus, ~Copyable {
  /// Invariant: what ``KeptNIC`` lends, for the time of one step of its model.
  private let bus: UnsafeMutablePointer<HostBus>
  private let journal: DMAJournal
  private let record: UInt64

  @unsafe
  init(_ bus: UnsafeMutablePointer<HostBus>, _ journal: DMAJournal, since record: UInt64) {
    unsafe self.bus = bus
    self.journal = journal
    self.record = record
  }

  mutating func readMemory(
    _ address: BusAddress, into destination: inout MutableSpan<UInt8>, range: Range<Int>, requester: RequesterID
  ) -> Bool {
    unsafe bus.pointee.readMemory(address, into: &destination, range: range, requester: requester)
  }

  mutating func writeMemory(_ address: BusAddress, _ source: Span<UInt8>, requester: RequesterID) -> Bool {
    unsafe bus.pointee.writeMemory(address, source, requester: requester)
  }

  mutating func publish(_ value: UInt64, at address: BusAddress, requester: RequesterID) -> Bool {
    // Eight bytes of mapped memory, which need not be aligned yet.
    if let place = unsafe bus.pointee.memory.pointer(at: PhysicalAddress(address.rawValue), length: 8, for: .write) {
      journal.note(unsafe place.loadUnaligned(as: UInt64.self), at: address, since: record)
    }
    return unsafe bus.pointee.publish(value, at: address, requester: requester)
  }
}
