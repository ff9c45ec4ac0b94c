public import AllyHW
public import Synchronization

/// What came of looking for a buffer.
@frozen
public enum VirtqueueTake: UInt8, Sendable, BitwiseCopyable {
  /// ``VirtqueueOSSide/chain`` is the next buffer.
  case chain
  /// The driver has made none available.
  case none
  /// The next buffer has memory that it must not have, or too many segments: it can only be handed back.
  case refused
  /// The driver broke the rules of virtqueues; see ``VirtqueueOSState/isBroken``.
  case broken
}

/// The device's half of a virtqueue whose driver is not to be trusted: an OS's, or a guest's (virtio 1.2, §2.6 to §2.8).
///
/// Split and packed layout, indirect descriptors, event index. Every index, length and address is loaded once, checked, and
/// used from that copy; a buffer's segments lie in OS memory and nowhere else. It knows nothing of the far side: that may be
/// the virtqueue of a NIC (``VirtqueueVirtualizer``) or an uplink.
///
/// In one pass the owner calls ``begin(memory:)``, then ``take(memory:)`` and ``advance(far:)`` for what the driver made
/// available, ``stage(_:length:)`` and ``decide(far:postedBefore:)``, ``show()``, ``finish()`` for what goes back, and at the
/// end ``requestNotification()`` and ``wantsInterrupt()``. One core at a time; nothing is allocated.
@frozen
@safe
public struct VirtqueueOSSide: ~Copyable {
  /// The most segments of a buffer.
  @inlinable public static var maximumSegments: Int { 256 }
  /// The most buffers that are handed back at once.
  @inlinable public static var maximumStaged: Int { 256 }
  /// Bytes of DPI memory: the state, the segments of one buffer, and what is staged.
  @inlinable public static var byteCount: UInt64 { 512 + 256 * 24 + 256 * 8 }

  @usableFromInline let saved: UnsafeMutablePointer<VirtqueueOSState>
  @usableFromInline let segmentPlace: UnsafeMutablePointer<VirtqueueSegment>
  /// Id, slots, length: 16, 16 and 32 bits.
  @usableFromInline let stagedPlace: UnsafeMutablePointer<UInt64>
  @usableFromInline let partition: Partition

  // Good for one pass: where the queue's three parts are. Invariant: they hold as many bytes as the queue's size asks for.
  @usableFromInline var descriptors: UnsafeMutableRawPointer
  @usableFromInline var driverArea: UnsafeMutableRawPointer
  @usableFromInline var deviceArea: UnsafeMutableRawPointer
  @usableFromInline var window = BufferWindow()
  /// The place from which ``take(memory:)`` takes: ahead of the state's by what was not yet committed.
  public private(set) var next: UInt16 = 0
  /// The place behind ``chain``.
  public private(set) var following: UInt16 = 0
  /// The buffer that was taken last.
  public private(set) var chain = VirtqueueChain()
  /// Why the last one was refused, or the queue broke.
  public private(set) var fault = RingFault.malformedChain
  /// How many buffers are staged.
  public private(set) var stagedCount = 0
  /// Where a buffer was looked for in vain, in this pass; nil when there was one each time.
  private var awaited: UInt16?

  /// The half in ``byteCount`` bytes of DPI memory from `storage` on, 16-byte aligned, which stay mapped as long as this
  /// value is used. `start` tells whether to go on with the state that the memory holds.
  @unsafe
  public init(storage: UnsafeMutableRawPointer, partition: Partition, start: RingStart) {
    unsafe saved = storage.assumingMemoryBound(to: VirtqueueOSState.self)
    unsafe segmentPlace = (storage + 512).assumingMemoryBound(to: VirtqueueSegment.self)
    unsafe stagedPlace = (storage + 512 + 256 * 24).assumingMemoryBound(to: UInt64.self)
    self.partition = partition
    unsafe descriptors = storage
    unsafe driverArea = storage
    unsafe deviceArea = storage
    if start == .fresh { unsafe saved.initialize(to: VirtqueueOSState()) }
  }

  /// The persistent state.
  public var state: VirtqueueOSState { unsafe saved.pointee }

  /// Where the queue stands; nil when it does not run.
  public var position: VirtqueuePosition? {
    let state = state
    guard state.isRunning else { return nil }
    return VirtqueuePosition(
      available: UInt16(truncatingIfNeeded: state.taken), used: UInt16(truncatingIfNeeded: state.used))
  }

  // MARK: - Start and stop

  /// Takes up a queue that the driver has programmed.
  ///
  /// - Returns: nil, or why it cannot be served; it then stays stopped.
  public mutating func start(
    _ queue: ProgrammedVirtqueue, far: UInt64 = 0, limits: RingLimits, memory: borrowing PhysicalMemory
  ) -> RingFault? {
    stop()
    let isPowerOfTwo = queue.size & (queue.size &- 1) == 0
    guard queue.size > 0, queue.size <= min(limits.maximumDescriptors, 32768), queue.isPacked || isPowerOfTwo else {
      return .queueLength
    }
    for part in 0..<3 {
      let (address, length, alignment) = Self.part(part, of: queue)
      guard address.rawValue % alignment == 0 else { return .queueMisaligned }
      let base = PhysicalAddress(address.rawValue)
      guard !partition.touchesDPI(base, length: length) else { return .queueInDPIMemory }
      guard let place = unsafe memory.pointer(at: base, length: length, for: .readWrite) else { return .queueAbsent }
      guard UInt64(UInt(bitPattern: place)) % alignment == 0 else { return .queueMisaligned }
    }
    var state = VirtqueueOSState()
    state.queue = queue
    state.isRunning = true
    // The first lap's bit is 1 (§2.8.1).
    let first: UInt16 = queue.isPacked ? 1 << 15 : 0
    let beginning = queue.beginning ?? VirtqueuePosition(available: first, used: first)
    for place in [beginning.available, beginning.used] where queue.isPacked && UInt32(place & 0x7FFF) >= queue.size {
      return .tailOutOfRange
    }
    state.taken = UInt64(beginning.available) | far << 16
    state.used = UInt64(beginning.used)
    state.signalled = beginning.used
    unsafe saved.pointee = state
    return nil
  }

  /// Forgets the queue.
  public mutating func stop() { unsafe saved.pointee = VirtqueueOSState() }

  /// Where a queue's part is, its length in bytes, and how it is aligned (§2.7 and §2.8).
  private static func part(_ index: Int, of queue: ProgrammedVirtqueue) -> (BusAddress, UInt64, UInt64) {
    let size = UInt64(queue.size)
    switch index {
    case 0: return (queue.descriptors, 16 &* size, 16)
    case 1: return (queue.driverArea, queue.isPacked ? 4 : 6 &+ 2 &* size, queue.isPacked ? 4 : 2)
    default: return (queue.deviceArea, queue.isPacked ? 4 : 6 &+ 8 &* size, 4)
    }
  }

  /// Begins a pass.
  ///
  /// - Returns: false when the queue does not run, or its memory is gone.
  public mutating func begin(memory: borrowing PhysicalMemory) -> Bool {
    let queue = unsafe saved.pointee.queue
    guard unsafe saved.pointee.isRunning, unsafe !saved.pointee.isBroken else { return false }
    let (first, second, third) = (Self.part(0, of: queue), Self.part(1, of: queue), Self.part(2, of: queue))
    guard
      let descriptors = unsafe memory.pointer(at: PhysicalAddress(first.0.rawValue), length: first.1, for: .readWrite),
      let driverArea = unsafe memory.pointer(at: PhysicalAddress(second.0.rawValue), length: second.1, for: .readWrite),
      let deviceArea = unsafe memory.pointer(at: PhysicalAddress(third.0.rawValue), length: third.1, for: .readWrite)
    else { return false }
    unsafe self.descriptors = descriptors
    unsafe self.driverArea = driverArea
    unsafe self.deviceArea = deviceArea
    window = BufferWindow()
    awaited = nil
    rewind()
    return true
  }

  /// Forgets what was taken and staged, and not committed.
  public mutating func rewind() {
    next = UInt16(truncatingIfNeeded: unsafe saved.pointee.taken)
    following = next
    stagedCount = 0
  }

  /// A segment of ``chain``.
  ///
  /// - Precondition: `index` is below the chain's count.
  @inlinable
  public func segment(_ index: Int) -> VirtqueueSegment {
    precondition(index >= 0 && index < Int(chain.count))
    return unsafe segmentPlace[index]
  }

  /// The bytes of a segment of ``chain``; 0 when there is none.
  func segmentLength(_ index: Int) -> UInt32 { index < Int(chain.count) ? segment(index).length : 0 }

  // MARK: - Taking

  /// Looks at the next buffer: the one after those that ``skip()`` passed.
  public mutating func take(memory: borrowing PhysicalMemory) -> VirtqueueTake {
    chain = VirtqueueChain()
    let answer = unsafe saved.pointee.queue.isPacked ? takePacked(memory: memory) : takeSplit(memory: memory)
    if answer == .broken { unsafe saved.pointee.isBroken = true }
    if answer == .none { awaited = next }
    return answer
  }

  /// Passes over ``chain``; it is committed with a hand-over.
  public mutating func skip() { next = following }

  /// Passes over ``chain`` for good; `far` is stored in the same step.
  public mutating func advance(far: UInt64) {
    next = following
    unsafe saved.pointee.taken = UInt64(next) | far << 16
  }

  /// Goes on at `place`, as a worker that died had come to but not noted.
  mutating func advance(to place: UInt16, far: UInt64) {
    following = place
    advance(far: far)
  }

  private mutating func takeSplit(memory: borrowing PhysicalMemory) -> VirtqueueTake {
    let size = unsafe saved.pointee.queue.size
    let index = unsafe loadShared(driverArea + 2, as: UInt16.self)
    guard index != next else { return .none }
    // More than the queue holds, counted from what is committed.
    guard UInt32(index &- next) <= size else { return broken(.tailOutOfRange) }
    let slot = Int(UInt32(next) & (size &- 1))
    let head = unsafe loadShared(driverArea + (4 &+ 2 &* slot), as: UInt16.self)
    guard UInt32(head) < size else { return broken(.headOutOfRange) }
    following = next &+ 1
    chain.id = head
    let hasIndirect = unsafe saved.pointee.queue.hasIndirectDescriptors
    var table = unsafe descriptors
    var count = size
    var place = UInt32(head)
    var isTable = false
    var steps: UInt32 = 0
    while true {
      // A chain has no more descriptors than its table.
      guard steps < count else { return broken(.endlessChain) }
      steps &+= 1
      let descriptor = unsafe Self.load(table + Int(place) &* 16)
      if descriptor.flags & VirtqueueFlag.indirect != 0 {
        guard hasIndirect, !isTable, descriptor.flags & VirtqueueFlag.next == 0, descriptor.length > 0,
          descriptor.length % 16 == 0
        else { return broken(.malformedChain) }
        guard let found = unsafe indirectTable(descriptor, memory: memory) else { return .refused }
        unsafe table = found
        count = descriptor.length / 16
        place = 0
        steps = 0
        isTable = true
        continue
      }
      switch append(descriptor, isWritable: descriptor.flags & VirtqueueFlag.write != 0, memory: memory) {
      case .chain: break
      case let answer: return answer
      }
      guard descriptor.flags & VirtqueueFlag.next != 0 else { return .chain }
      place = UInt32(descriptor.next)
      guard place < count else { return broken(.malformedChain) }
    }
  }

  private mutating func takePacked(memory: borrowing PhysicalMemory) -> VirtqueueTake {
    let queue = unsafe saved.pointee.queue
    let size = queue.size
    var slot = UInt32(next & 0x7FFF)
    let lap = next >> 15 == 1
    guard slot < size else { return broken(.tailOutOfRange) }
    let flags = unsafe loadShared(descriptors + (Int(slot) &* 16 &+ 14), as: UInt16.self)
    guard (flags & VirtqueueFlag.available != 0) == lap, (flags & VirtqueueFlag.used != 0) != lap else { return .none }
    var answer = VirtqueueTake.chain
    var slots: UInt32 = 0
    while true {
      guard slots < size else { return broken(.endlessChain) }
      let descriptor = unsafe Self.load(descriptors + Int(slot) &* 16)
      slots &+= 1
      slot = slot &+ 1 == size ? 0 : slot &+ 1
      let flags = descriptor.packedFlags
      let step: VirtqueueTake
      if flags & VirtqueueFlag.indirect != 0 {
        guard queue.hasIndirectDescriptors, slots == 1, flags & VirtqueueFlag.next == 0, descriptor.length > 0,
          descriptor.length % 16 == 0
        else { return broken(.malformedChain) }
        step = appendTable(descriptor, memory: memory)
      } else if answer == .chain {
        step = append(descriptor, isWritable: flags & VirtqueueFlag.write != 0, memory: memory)
      } else {
        step = answer
      }
      if step == .broken { return .broken }
      // The rest of a refused chain still has to be passed over.
      answer = step
      if flags & VirtqueueFlag.next == 0 {
        chain.id = descriptor.id
        break
      }
    }
    chain.slots = UInt16(truncatingIfNeeded: slots)
    following = Self.moved(next, by: slots, size: size)
    return answer
  }

  /// The descriptors of a packed queue's indirect table follow one another (§2.8.7).
  private mutating func appendTable(
    _ descriptor: VirtqueueDescriptor, memory: borrowing PhysicalMemory
  ) -> VirtqueueTake {
    guard let table = unsafe indirectTable(descriptor, memory: memory) else { return .refused }
    for index in 0..<Int(descriptor.length / 16) {
      let entry = unsafe Self.load(table + index &* 16)
      let answer = append(entry, isWritable: entry.packedFlags & VirtqueueFlag.write != 0, memory: memory)
      guard answer == .chain else { return answer }
    }
    return .chain
  }

  /// Where an indirect table is; nil, with ``fault``, when it must not be there or is too long.
  @unsafe
  private mutating func indirectTable(
    _ descriptor: VirtqueueDescriptor, memory: borrowing PhysicalMemory
  ) -> UnsafeMutableRawPointer? {
    guard descriptor.length / 16 <= UInt32(Self.maximumSegments), descriptor.address % 8 == 0 else {
      fault = .malformedChain
      return nil
    }
    return unsafe place(descriptor.address, descriptor.length, memory: memory)
  }

  /// Where a run of OS memory is; nil, with ``fault``, when it is not all OS memory.
  @unsafe
  mutating func place(
    _ address: UInt64, _ length: UInt32, memory: borrowing PhysicalMemory
  ) -> UnsafeMutableRawPointer? {
    if let place = unsafe window.pointer(at: address, length: length) { return unsafe place }
    if let why = window.move(to: address, length: length, memory: memory, partition: partition, rights: .readWrite) {
      fault = why
      return nil
    }
    return unsafe window.pointer(at: address, length: length)
  }

  private mutating func append(
    _ descriptor: VirtqueueDescriptor, isWritable: Bool, memory: borrowing PhysicalMemory
  ) -> VirtqueueTake {
    // What the device reads comes before what it writes (§2.6.4.2).
    if !isWritable, chain.count > chain.readable { return broken(.malformedChain) }
    guard descriptor.length > 0 else { return .chain }
    guard Int(chain.count) < Self.maximumSegments else {
      fault = .endlessChain
      return .refused
    }
    guard let place = unsafe place(descriptor.address, descriptor.length, memory: memory) else { return .refused }
    let total = UInt64(isWritable ? chain.writableLength : chain.readableLength) &+ UInt64(descriptor.length)
    guard total <= 1 << 30 else {
      fault = .frameTooLong
      return .refused
    }
    unsafe segmentPlace[Int(chain.count)] = VirtqueueSegment(
      address: descriptor.address, place: place, length: descriptor.length)
    chain.count &+= 1
    if isWritable {
      chain.writableLength = UInt32(total)
    } else {
      chain.readable = chain.count
      chain.readableLength = UInt32(total)
    }
    return .chain
  }

  private mutating func broken(_ fault: RingFault) -> VirtqueueTake {
    self.fault = fault
    return .broken
  }

  @unsafe
  private static func load(_ place: UnsafeMutableRawPointer) -> VirtqueueDescriptor {
    // The second word first: in a packed ring it has the flags.
    let second = unsafe loadShared(place + 8, as: UInt64.self)
    return unsafe VirtqueueDescriptor(address: loadShared(place, as: UInt64.self), second: second)
  }

  /// A place of a packed queue, so many elements further.
  private static func moved(_ place: UInt16, by slots: UInt32, size: UInt32) -> UInt16 {
    let slot = UInt32(place & 0x7FFF) &+ slots
    if slot < size { return UInt16(truncatingIfNeeded: slot) | place & 0x8000 }
    return UInt16(truncatingIfNeeded: slot &- size) | (place & 0x8000 ^ 0x8000)
  }

  // MARK: - Handing back

  /// Notes that a buffer goes back, `length` bytes of it written.
  ///
  /// - Returns: false when ``maximumStaged`` are noted already.
  public mutating func stage(_ chain: VirtqueueChain, length: UInt32) -> Bool {
    guard stagedCount < Self.maximumStaged else { return false }
    unsafe stagedPlace[stagedCount] = UInt64(chain.id) | UInt64(chain.slots) << 16 | UInt64(length) << 32
    stagedCount &+= 1
    return true
  }

  /// What is staged goes back with nothing written.
  mutating func emptyStaged() {
    for index in 0..<stagedCount { unsafe stagedPlace[index] &= 0xFFFF_FFFF }
  }

  /// Decides the hand-over of all that is staged, and that what ``skip()`` passed is taken.
  ///
  /// - Parameters:
  ///   - far: what the far side commits along with it: 48 bits of ``VirtqueueOSState/used``.
  ///   - postedBefore: kept in the hand-over for the far side.
  public mutating func decide(far: UInt64, postedBefore: UInt16 = 0) {
    let queue = unsafe saved.pointee.queue
    let before = unsafe saved.pointee.used
    var handover = VirtqueueHandover()
    var place = UInt16(truncatingIfNeeded: before)
    for index in 0..<stagedCount {
      let staged = unsafe stagedPlace[index]
      let id = UInt16(truncatingIfNeeded: staged)
      let length = UInt32(truncatingIfNeeded: staged >> 32)
      if queue.isPacked {
        var flags: UInt16 = place >> 15 == 1 ? VirtqueueFlag.available | VirtqueueFlag.used : 0
        if length > 0 { flags |= VirtqueueFlag.write }
        let word = UInt64(length) | UInt64(id) << 32 | UInt64(flags) << 48
        let slot = place & 0x7FFF
        if index == 0 {
          handover.word = word
          handover.slot = slot
        } else {
          unsafe storeShared(word, to: descriptors + (Int(slot) &* 16 &+ 8))
        }
        place = Self.moved(place, by: UInt32(truncatingIfNeeded: staged >> 16 & 0xFFFF), size: queue.size)
      } else {
        let element = 4 &+ 8 &* Int(UInt32(place) & (queue.size &- 1))
        unsafe storeShared(UInt32(id), to: deviceArea + element)
        unsafe storeShared(length, to: deviceArea + (element &+ 4))
        place = place &+ 1
      }
    }
    handover.isVisible = stagedCount > 0
    handover.taken = unsafe saved.pointee.taken & ~0xFFFF | UInt64(next)
    handover.used = UInt64(place) | far << 16
    handover.usedBefore = before
    handover.postedBefore = postedBefore
    unsafe saved.pointee.handover = handover
    // What was decided is in memory before it counts.
    atomicMemoryFence(ordering: .releasing)
    unsafe saved.pointee.handover.isDecided = true
    atomicMemoryFence(ordering: .releasing)
    stagedCount = 0
  }

  /// Carries the hand-over out: the driver sees the buffers.
  public mutating func show() {
    let handover = unsafe saved.pointee.handover
    unsafe saved.pointee.taken = handover.taken
    unsafe saved.pointee.used = handover.used
    guard handover.isVisible else { return }
    if unsafe saved.pointee.queue.isPacked {
      unsafe storeShared(handover.word, to: descriptors + (Int(handover.slot) &* 16 &+ 8))
    } else {
      unsafe storeShared(UInt16(truncatingIfNeeded: handover.used), to: deviceArea + 2)
    }
  }

  /// The far side has done its part of the hand-over.
  @inlinable
  public mutating func finish() {
    atomicMemoryFence(ordering: .releasing)
    unsafe saved.pointee.handover.isDecided = false
  }

  /// Carries out what a worker that died had decided. After ``begin(memory:)``, before anything else; the far side does its
  /// part of ``VirtqueueOSState/handover``, and then calls ``finish()``.
  ///
  /// - Returns: whether there is something to finish.
  public mutating func resume() -> Bool {
    let handover = unsafe saved.pointee.handover
    guard handover.isDecided else { return false }
    unsafe saved.pointee.taken = handover.taken
    unsafe saved.pointee.used = handover.used
    rewind()
    guard handover.isVisible else { return true }
    if unsafe saved.pointee.queue.isPacked {
      // The driver may have seen it, and used the element again. Only the buffer that it once made available there has
      // the available bit of this lap, and not the used bit.
      let place = unsafe descriptors + (Int(handover.slot) &* 16)
      let flags = unsafe loadShared(place + 14, as: UInt16.self)
      let lap = handover.word >> 55 & 1 == 1
      if (flags & VirtqueueFlag.available != 0) == lap, (flags & VirtqueueFlag.used != 0) != lap {
        unsafe storeShared(handover.word, to: place + 8)
      }
    } else {
      unsafe storeShared(UInt16(truncatingIfNeeded: handover.used), to: deviceArea + 2)
    }
    return true
  }

  // MARK: - Notifications

  /// Asks the driver to notify of the next buffer that it makes available: behind those that are there and not yet enough.
  ///
  /// A driver on another core may have made one available just before it sees this, so after a pass that moved anything
  /// there is another one.
  public mutating func requestNotification() {
    let queue = unsafe saved.pointee.queue
    let place = unsafe awaited ?? UInt16(truncatingIfNeeded: saved.pointee.taken)
    if queue.isPacked {
      let value = queue.hasEventIndex ? UInt32(place) | 2 << 16 : 0
      unsafe storeShared(value, to: deviceArea)
    } else if queue.hasEventIndex {
      unsafe storeShared(place, to: deviceArea + (4 &+ 8 &* Int(queue.size)))
    } else {
      unsafe storeShared(UInt16(0), to: deviceArea)
    }
    // The request is visible before the next pass looks at what is available.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  /// Whether the driver is to be interrupted about what was handed back since the last time that it was asked for.
  public mutating func wantsInterrupt() -> Bool {
    let queue = unsafe saved.pointee.queue
    let now = UInt16(truncatingIfNeeded: unsafe saved.pointee.used)
    let before = unsafe saved.pointee.signalled
    guard now != before else { return false }
    unsafe saved.pointee.signalled = now
    // The used buffers are visible before the driver's wish is read.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if queue.isPacked {
      let flags = unsafe loadShared(driverArea + 2, as: UInt16.self) & 3
      guard flags >= 2, queue.hasEventIndex else { return flags != 1 }
      let event = unsafe loadShared(driverArea, as: UInt16.self)
      guard UInt32(event & 0x7FFF) < queue.size else { return true }
      return Self.isReached(
        Self.linear(event, queue.size), from: Self.linear(before, queue.size), to: Self.linear(now, queue.size),
        modulus: 2 &* queue.size)
    }
    guard queue.hasEventIndex else { return unsafe loadShared(driverArea, as: UInt16.self) & 1 == 0 }
    let event = unsafe loadShared(driverArea + (4 &+ 2 &* Int(queue.size)), as: UInt16.self)
    return Self.isReached(UInt32(event), from: UInt32(before), to: UInt32(now), modulus: 1 << 16)
  }

  /// A place of a packed queue, counted over two laps.
  private static func linear(_ place: UInt16, _ size: UInt32) -> UInt32 {
    UInt32(place & 0x7FFF) &+ (place >> 15 == 1 ? 0 : size)
  }

  /// Whether `event` lies in what was used between two places (§2.7.10).
  private static func isReached(_ event: UInt32, from before: UInt32, to now: UInt32, modulus: UInt32) -> Bool {
    (now &+ modulus &- event &- 1) % modulus < (now &+ modulus &- before) % modulus
  }
}
