internal import AllyDeviceModels
internal import CAllyLinux
internal import Synchronization

/// What of a guest outlives the worker that serves it, besides DPI memory: memory that the keeper and its workers share.
///
/// Two records, of the NIC and of its guest, each in two slots. A worker writes the slot that does not count, and one store
/// of one word makes it count; so what a worker that died has left is always the whole of some moment. What happens between
/// two such moments, and cannot be undone, has a place of its own: the frame that came from the uplink (`FrameStaging`),
/// the message that is being answered, and its answer (`KeptMessages`).
///
/// Plain bytes, written and read by copies of one process image, or by another whose layout is the same (``KeptLayout``).
public final class KeptMemory {
  private let memory: MappedMemory
  /// DPI memory, once it was asked for.
  private var dpiMemory: MappedMemory?

  public init() throws(HostError) { memory = try MappedMemory(shared: UInt64(Layout.length)) }

  /// Memory of the same kind for what ends with its process.
  init(private: Void) throws(HostError) { memory = try MappedMemory(zeros: UInt64(Layout.length)) }

  /// DPI memory of so many bytes: the same at each call.
  func dpiMemory(length: UInt64) throws(HostError) -> MappedMemory {
    if let dpiMemory, dpiMemory.length == Int(length) { return dpiMemory }
    let made = try MappedMemory(shared: length)
    dpiMemory = made
    return made
  }

  /// Leaves it to the executable that comes after this one, or becomes what the one before has left.
  func leave(as name: String, layout: String, in starter: WorkerStarter) throws(HostError) {
    try starter.inheritance.note(memory, as: "\(name)'s state", layout: layout)
    if let dpiMemory {
      try starter.inheritance.note(
        dpiMemory, as: "\(name)'s DPI memory", layout: KeptLayout.text("DPI memory", dpiMemory.length))
    }
  }

  /// What is where. Pages that nobody touches take no memory.
  private enum Layout {
    static let words = 0
    static let staging = 0x1000
    static let messages = staging + FrameStaging.byteCount
    static let journal = messages + KeptMessages.byteCount
    static let nic = journal + DMAJournal.byteCount
    static let guest = nic + 2 * KeptRecords.nicCapacity
    static let length = guest + 2 * KeptRecords.guestCapacity
  }

  // Each part lies in the memory, which this object keeps; the views are used by owners of this object alone.

  var records: KeptRecords {
    unsafe KeptRecords(
      words: memory.storage + Layout.words, nic: memory.storage + Layout.nic, guest: memory.storage + Layout.guest)
  }

  var staging: FrameStaging { unsafe FrameStaging(at: memory.storage + Layout.staging) }
  var journal: DMAJournal { unsafe DMAJournal(at: memory.storage + Layout.journal) }
  var messages: KeptMessages { unsafe KeptMessages(at: memory.storage + Layout.messages) }
}

/// The records of a NIC and of its guest; a view of ``KeptMemory``. One thread uses it.
@safe
struct KeptRecords {
  static let nicCapacity = 0x4_0000
  static let guestCapacity = 0x2_0000

  /// Invariant: the owner of the memory outlives every use of a copy; the sizes are those of the layout.
  private let words: UnsafeMutableRawPointer
  private let nic: UnsafeMutableRawPointer
  private let guest: UnsafeMutableRawPointer

  fileprivate init(words: UnsafeMutableRawPointer, nic: UnsafeMutableRawPointer, guest: UnsafeMutableRawPointer) {
    unsafe self.words = words
    unsafe self.nic = nic
    unsafe self.guest = guest
  }

  /// How often either record was made to count: the NIC's in the low half.
  private var counts: (nic: UInt32, guest: UInt32) {
    let word = unsafe words.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring)
    return (UInt32(truncatingIfNeeded: word), UInt32(truncatingIfNeeded: word >> 32))
  }

  /// How often the NIC's record was made to count.
  var nicCount: UInt64 { UInt64(counts.nic) }

  private func count(nic: UInt32, guest: UInt32) {
    let word = UInt64(nic) | UInt64(guest) << 32
    unsafe words.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(word, ordering: .releasing)
  }

  /// Writes the NIC's record, which does not count yet.
  func writeNIC(_ body: (inout StateRecord) -> Void) {
    let slot = Int(counts.nic &+ 1) & 1
    unsafe exchange(nic, Self.nicCapacity, slot, isRestoring: false, body)
  }

  /// Writes the guest's record, which does not count yet.
  func writeGuest(_ body: (inout StateRecord) -> Void) {
    let slot = Int(counts.guest &+ 1) & 1
    unsafe exchange(guest, Self.guestCapacity, slot, isRestoring: false, body)
  }

  /// From now on the NIC's record that was written counts.
  func commitNIC() {
    DeathPoint.reach(.beforeCommitOfNIC)
    let (nic, guest) = counts
    count(nic: nic &+ 1, guest: guest)
    DeathPoint.reach(.afterCommitOfNIC)
  }

  /// From now on both records that were written count.
  func commit() {
    let (nic, guest) = counts
    count(nic: nic &+ 1, guest: guest &+ 1)
  }

  /// Reads the NIC's record that counts.
  func restoreNIC(_ body: (inout StateRecord) -> Void) {
    unsafe exchange(nic, Self.nicCapacity, Int(counts.nic) & 1, isRestoring: true, body)
  }

  /// Reads the guest's record that counts.
  func restoreGuest(_ body: (inout StateRecord) -> Void) {
    unsafe exchange(guest, Self.guestCapacity, Int(counts.guest) & 1, isRestoring: true, body)
  }

  @unsafe
  private func exchange(
    _ place: UnsafeMutableRawPointer, _ capacity: Int, _ slot: Int, isRestoring: Bool,
    _ body: (inout StateRecord) -> Void
  ) {
    // One of two slots of `capacity` bytes.
    var record = unsafe StateRecord(
      at: place + slot * capacity, capacity: capacity, slot: slot, isRestoring: isRestoring)
    body(&record)
  }

  /// Whether the NIC's reset has begun and not ended: nothing of its queues is whole meanwhile.
  var isResetting: Bool {
    get { unsafe words.load(fromByteOffset: 64, as: UInt64.self) != 0 }
    nonmutating set {
      atomicMemoryFence(ordering: .acquiringAndReleasing)
      unsafe words.storeBytes(of: newValue ? 1 : 0, toByteOffset: 64, as: UInt64.self)
      atomicMemoryFence(ordering: .acquiringAndReleasing)
    }
  }

  /// Causes that the message of a number has read away from a register, and that its reader may not have heard of.
  func causesRead(by message: UInt64) -> UInt64 {
    unsafe words.load(fromByteOffset: 128, as: UInt64.self) == message
      ? words.load(fromByteOffset: 136, as: UInt64.self) : 0
  }

  /// Notes what the message of a number is about to read away.
  func note(causes: UInt64, readBy message: UInt64) {
    // A note of another message becomes none before it becomes this one's.
    unsafe words.storeBytes(of: UInt64.max, toByteOffset: 128, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    unsafe words.storeBytes(of: causes, toByteOffset: 136, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    unsafe words.storeBytes(of: message, toByteOffset: 128, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
  }
}
