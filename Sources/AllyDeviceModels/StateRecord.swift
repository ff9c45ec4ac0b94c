/// A NIC's state on its way into memory that outlives its process, or out of it again: plain bytes, one field after the
/// other.
///
/// One list of fields serves both ways, so that they cannot differ (``PersistentModel/exchange(with:)``). The memory has two
/// slots, of which the writer changes the one that does not count at the time.
@safe
public struct StateRecord: ~Copyable {
  /// Which of two slots this is, 0 or 1.
  public let slot: Int
  /// Bytes that were exchanged so far.
  public private(set) var length = 0
  /// Invariant: `capacity` bytes as long as the record is used; nil when bytes are counted only.
  private let place: UnsafeMutableRawPointer?
  private let capacity: Int
  /// Whether fields get what the memory has.
  public let isRestoring: Bool

  /// A record that only counts how many bytes there are.
  public init() {
    slot = 0
    unsafe place = nil
    capacity = .max
    isRestoring = false
  }

  /// A record in memory.
  ///
  /// - Parameters:
  ///   - place: where it is, valid as long as this value is used. To restore from, what was saved there.
  ///   - capacity: how many bytes it has.
  ///   - slot: which of the two slots it is, 0 or 1.
  ///   - isRestoring: whether fields get what the memory has, instead of the other way.
  @unsafe
  public init(at place: UnsafeMutableRawPointer, capacity: Int, slot: Int, isRestoring: Bool) {
    precondition(slot == 0 || slot == 1, "there are two slots")
    self.slot = slot
    unsafe self.place = place
    self.capacity = capacity
    self.isRestoring = isRestoring
  }

  /// Room for so many bytes.
  ///
  /// - Precondition: the record has it: its size was taken from the same list of fields.
  private mutating func take(_ count: Int) -> Int {
    precondition(count <= capacity - length, "a state record is too small for its state")
    defer { length += count }
    return length
  }

  /// Saves a value, or restores it.
  public mutating func exchange<Value: BitwiseCopyable>(_ value: inout Value) {
    let offset = take(MemoryLayout<Value>.size)
    guard let place = unsafe place else { return }
    // `take` has seen to the room; what is restored was stored by the same list of fields.
    if isRestoring {
      unsafe value = place.loadUnaligned(fromByteOffset: offset, as: Value.self)
    } else {
      unsafe place.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }
  }

  /// Saves all values, or restores them; how many there are does not change.
  public mutating func exchange<Value: BitwiseCopyable>(_ values: inout [Value]) {
    let size = values.count * MemoryLayout<Value>.stride
    let offset = take(size)
    guard let place = unsafe place else { return }
    // As above.
    unsafe values.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      if isRestoring {
        unsafe base.copyMemory(from: place + offset, byteCount: size)
      } else {
        unsafe (place + offset).copyMemory(from: base, byteCount: size)
      }
    }
  }

  /// Saves those blocks of an array that the slot does not have yet, or restores all.
  mutating func exchange(_ words: inout [UInt32], _ changes: inout ChangedBlocks) {
    guard !isRestoring else {
      exchange(&words)
      return changes.noteAll()
    }
    let offset = take(words.count * 4)
    guard let place = unsafe place else { return }
    let stale = changes.take(slot)
    for index in 0..<stale.count {
      var left = stale[index]
      while left != 0 {
        let block = 64 * index + left.trailingZeroBitCount
        left &= left &- 1
        let first = block * ChangedBlocks.length
        let last = min(first + ChangedBlocks.length, words.count)
        guard first < last else { continue }
        unsafe words.withUnsafeBytes { bytes in
          // A block of the array, and its place in the room that was taken.
          unsafe (place + offset + 4 * first).copyMemory(
            from: bytes.baseAddress! + 4 * first, byteCount: 4 * (last - first))
        }
      }
    }
  }
}

/// Which blocks of an array of words were changed since each of two slots was given them: registers are many, and few of
/// them change from one record to the next.
struct ChangedBlocks {
  /// Words in a block.
  static var length: Int { 64 }

  /// A bit for each block; all are new to a slot that was never written.
  private var first = InlineArray<8, UInt64>(repeating: .max)
  private var second = InlineArray<8, UInt64>(repeating: .max)

  /// The word at `index` changes. Words of an array of up to 32,768 are told apart.
  mutating func note(_ index: Int) {
    let block = index / Self.length
    let bit: UInt64 = 1 << UInt64(block & 63)
    first[block >> 6 & 7] |= bit
    second[block >> 6 & 7] |= bit
  }

  mutating func noteAll() { self = ChangedBlocks() }

  /// The blocks that a slot lacks, which it is given now.
  mutating func take(_ slot: Int) -> InlineArray<8, UInt64> {
    let stale = slot == 0 ? first : second
    if slot == 0 { first = InlineArray(repeating: 0) } else { second = InlineArray(repeating: 0) }
    return stale
  }
}

/// A model whose state can be put into memory that outlives its process.
///
/// A frame of which a model has fetched only a part is not in the record: behind Ally's queues a NIC never has one.
public protocol PersistentModel: DeviceModel, ~Copyable {
  /// Exchanges every field that changes with a record: what was saved of one model and is restored into another, made alike,
  /// makes that one continue where the first was.
  mutating func exchange(with record: inout StateRecord)
}
