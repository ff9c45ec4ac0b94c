public import AllyHW
internal import Synchronization

/// The driver's half of a virtqueue in DPI memory, whose device is the real NIC: a split queue without indirect descriptors
/// and without event index (virtio 1.2, §2.7), whatever the OS has negotiated.
///
/// Each buffer that the NIC has is known by a token of its head descriptor, which is not 0. The free descriptors follow
/// from the tokens, so that a worker that takes over finds them.
@frozen
@safe
@usableFromInline
struct VirtqueueNICSide: ~Copyable {
  @usableFromInline let base: UnsafeMutableRawPointer
  @usableFromInline let address: PhysicalAddress
  /// Descriptors that there is memory for.
  @usableFromInline let capacity: UInt32
  @usableFromInline var size: UInt32 = 0
  @usableFromInline var freeHead: UInt16 = 0
  @usableFromInline var freeCount: UInt32 = 0
  /// The place in the used ring that is looked at next.
  @usableFromInline var lastUsed: UInt16 = 0
  /// Descriptors that were written since this value was made.
  @usableFromInline var written: UInt64 = 0

  static func byteCount(capacity: UInt32) -> UInt64 { end(UInt64(capacity)) }

  // The parts, one after the other: descriptors, tokens, available ring, used ring, the links of free descriptors.
  private static func end(_ capacity: UInt64) -> UInt64 {
    16 &* capacity &+ 8 &* capacity &+ (8 &+ 2 &* capacity) &+ (8 &+ 8 &* capacity) &+ 2 &* capacity
  }
  private var tokensOffset: Int { 16 &* Int(capacity) }
  private var availableOffset: Int { tokensOffset &+ 8 &* Int(capacity) }
  private var usedOffset: Int { availableOffset &+ 8 &+ 2 &* Int(capacity) }
  private var linksOffset: Int { usedOffset &+ 8 &+ 8 &* Int(capacity) }

  /// `capacity` is a power of two of at least 8; `base` has ``byteCount(capacity:)`` bytes of DPI memory, 16-byte aligned.
  @unsafe
  init(base: UnsafeMutableRawPointer, address: PhysicalAddress, capacity: UInt32) {
    unsafe self.base = base
    self.address = address
    self.capacity = capacity
  }

  /// Where the NIC finds the queue.
  var programmed: ProgrammedVirtqueue {
    var queue = ProgrammedVirtqueue()
    queue.size = size
    queue.descriptors = BusAddress(address.rawValue)
    queue.driverArea = BusAddress(address.rawValue &+ UInt64(availableOffset))
    queue.deviceArea = BusAddress(address.rawValue &+ UInt64(usedOffset))
    queue.isEnabled = true
    return queue
  }

  /// An empty queue of `size` descriptors, a power of two up to the capacity.
  mutating func start(size: UInt32) {
    self.size = size
    lastUsed = 0
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.end(UInt64(capacity))))
    rebuild()
  }

  mutating func stop() {
    size = 0
    freeCount = 0
  }

  /// Takes the queue up as the memory has it.
  mutating func resume(size: UInt32, lastUsed: UInt16) {
    self.size = size
    self.lastUsed = lastUsed
    rebuild()
  }

  /// Finds the free descriptors: those that belong to no buffer with a token.
  private mutating func rebuild() {
    // A link of its own index marks a descriptor that is in use, for the time of this.
    for index in 0..<UInt16(truncatingIfNeeded: size) { setLink(index, UInt16.max) }
    for head in 0..<UInt16(truncatingIfNeeded: size) where token(head) != 0 {
      var index = head
      for _ in 0..<size {
        setLink(index, index)
        guard hasNext(index) else { break }
        index = next(index)
      }
    }
    freeCount = 0
    for index in (0..<UInt16(truncatingIfNeeded: size)).reversed() where link(index) != index {
      setLink(index, freeHead)
      freeHead = index
      freeCount &+= 1
    }
  }

  // MARK: - Places. Invariant: `index` is below the size, as the free list and `takeUsed` see to.

  private func link(_ index: UInt16) -> UInt16 {
    unsafe base.load(fromByteOffset: linksOffset &+ 2 &* Int(index), as: UInt16.self)
  }
  private func setLink(_ index: UInt16, _ value: UInt16) {
    unsafe base.storeBytes(of: value, toByteOffset: linksOffset &+ 2 &* Int(index), as: UInt16.self)
  }
  @usableFromInline
  func token(_ head: UInt16) -> UInt64 {
    unsafe base.load(fromByteOffset: tokensOffset &+ 8 &* Int(head), as: UInt64.self)
  }
  func setToken(_ head: UInt16, _ value: UInt64) {
    unsafe base.storeBytes(of: value, toByteOffset: tokensOffset &+ 8 &* Int(head), as: UInt64.self)
  }
  /// A descriptor's address, length, and whether another follows in its buffer.
  func address(_ index: UInt16) -> UInt64 { unsafe base.load(fromByteOffset: 16 &* Int(index), as: UInt64.self) }
  func length(_ index: UInt16) -> UInt32 {
    unsafe base.load(fromByteOffset: 16 &* Int(index) &+ 8, as: UInt32.self)
  }
  /// Bytes of the buffer at `head`, all its descriptors together.
  func bufferLength(_ head: UInt16) -> UInt32 {
    var total = length(head)
    var index = head
    // OS buffers have 2^30 bytes at the most.
    for _ in 0..<size where hasNext(index) {
      index = next(index)
      total &+= length(index)
    }
    return total
  }
  func hasNext(_ index: UInt16) -> Bool {
    unsafe base.load(fromByteOffset: 16 &* Int(index) &+ 12, as: UInt16.self) & VirtqueueFlag.next != 0
  }
  func next(_ index: UInt16) -> UInt16 {
    unsafe base.load(fromByteOffset: 16 &* Int(index) &+ 14, as: UInt16.self)
  }

  // MARK: - Giving buffers to the NIC

  /// The number of buffers that the NIC was given, as the available ring has it.
  @usableFromInline var posted: UInt16 { unsafe loadShared(base + (availableOffset &+ 2), as: UInt16.self) }

  /// Takes a free descriptor and writes it; the caller has seen that there is one.
  mutating func add(_ address: UInt64, _ length: UInt32, isWritable: Bool, after previous: UInt16?) -> UInt16 {
    let index = freeHead
    freeHead = link(index)
    freeCount &-= 1
    written &+= 1
    let flags = isWritable ? VirtqueueFlag.write : 0
    unsafe base.storeBytes(of: address, toByteOffset: 16 &* Int(index), as: UInt64.self)
    unsafe base.storeBytes(
      of: UInt64(length) | UInt64(flags) << 32, toByteOffset: 16 &* Int(index) &+ 8, as: UInt64.self)
    if let previous {
      let place = 16 &* Int(previous) &+ 12
      let flags = unsafe base.load(fromByteOffset: place, as: UInt16.self)
      unsafe base.storeBytes(of: flags | VirtqueueFlag.next, toByteOffset: place, as: UInt16.self)
      unsafe base.storeBytes(of: index, toByteOffset: place &+ 2, as: UInt16.self)
    }
    return index
  }

  /// Makes the buffer at `head` available to the NIC.
  mutating func expose(_ head: UInt16) {
    let index = posted
    let slot = Int(UInt32(index) & (size &- 1))
    unsafe base.storeBytes(of: head, toByteOffset: availableOffset &+ 4 &+ 2 &* slot, as: UInt16.self)
    unsafe storeShared(index &+ 1, to: base + (availableOffset &+ 2))
  }

  /// Whether the NIC wants to be told of new buffers.
  @usableFromInline var wantsNotification: Bool {
    // It sees the buffers before it says whether it looks for them by itself.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return unsafe loadShared(base + usedOffset, as: UInt16.self) & 1 == 0
  }

  // MARK: - Taking them back

  /// How many buffers the NIC has used that were not looked at.
  var usedCount: UInt16 { unsafe loadShared(base + (usedOffset &+ 2), as: UInt16.self) &- lastUsed }

  /// The used buffer at a place of the used ring: head and bytes written; nil when it is none that the NIC was given.
  func used(at place: UInt16) -> (head: UInt16, length: UInt32)? {
    let element = unsafe loadShared(base + (usedOffset &+ 4 &+ 8 &* Int(UInt32(place) & (size &- 1))), as: UInt32.self)
    guard element < size, token(UInt16(element)) != 0 else { return nil }
    let length = unsafe loadShared(
      base + (usedOffset &+ 8 &+ 8 &* Int(UInt32(place) & (size &- 1))), as: UInt32.self)
    return (UInt16(element), length)
  }

  /// Frees a buffer's descriptors; nothing when that was done.
  mutating func release(_ head: UInt16) {
    guard token(head) != 0 else { return }
    setToken(head, 0)
    var index = head
    for _ in 0..<size {
      let follows = hasNext(index)
      let following = next(index)
      setLink(index, freeHead)
      freeHead = index
      freeCount &+= 1
      guard follows, UInt32(following) < size else { return }
      index = following
    }
  }
}
