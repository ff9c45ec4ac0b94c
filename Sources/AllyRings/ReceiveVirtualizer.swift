public import AllyHW
public import AllyPacket
public import Synchronization

/// What one pass over a receive queue did.
@frozen
public struct PublishResult: Sendable, BitwiseCopyable, Equatable {
  /// Frames that were inspected.
  public var frames: UInt32
  /// Descriptors that were completed in the OS queue.
  public var descriptors: UInt32

  @inlinable
  public init(frames: UInt32 = 0, descriptors: UInt32 = 0) {
    self.frames = frames
    self.descriptors = descriptors
  }
}

/// The receive direction of a virtualized queue pair (paper §4.3, Figure 4): descriptors go from the OS queue to its twin in
/// DPI memory, completions come back once the frames were inspected.
///
/// Owned by one DPI core. Everything it must remember is in the memory it was given (``QueueState``), so that it can be
/// replaced at any time by one that resumes. The packet loop is generic over the two formats, the inspector and the clock,
/// and nothing in it allocates or counts references.
@frozen
@safe
public struct ReceiveVirtualizer<OSSide: ReceiveDescriptor, NICSide: ReceiveDescriptor>: ~Copyable {
  @usableFromInline let ring: RingMemory
  @usableFromInline let partition: Partition
  /// The queue pair's number, as inspectors see it.
  @usableFromInline let queue: UInt16
  /// The OS queue in this process.
  @usableFromInline var os = OSQueueView<OSSide>()
  /// Whether the first frame may have been published by a worker that died before it could note so.
  @usableFromInline var isResuming: Bool

  /// How many bytes of DPI memory a receive queue needs.
  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    unsafe RingMemory.requiredLength(limits: limits, stride: MemoryLayout<NICSide>.stride)
  }

  /// Takes possession of DPI memory for a receive queue.
  ///
  /// The `region` has at least ``requiredMemory(limits:)`` bytes of DPI memory, which must stay mapped as long as this
  /// value exists. `queue` is the queue pair's number, for the inspector; `start` tells whether to go on with the state
  /// that the memory holds.
  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    queue: UInt16 = 0, start: RingStart = .fresh
  ) throws(RingSetupError) {
    guard isUsable(OSSide.self), isUsable(NICSide.self) else { throw .descriptorFormat }
    unsafe self.ring = try RingMemory(
      region: region, memory: memory, partition: partition, limits: limits, osStride: MemoryLayout<OSSide>.stride,
      nicStride: MemoryLayout<NICSide>.stride, start: start)
    self.partition = partition
    self.queue = queue
    self.isResuming = start == .resuming
    // These two follow from what is stored last in each step.
    if start == .resuming, unsafe ring.state.pointee.protection != .copyToDPIMemory {
      unsafe ring.state.pointee.dpiQueue.head = ring.state.pointee.osQueue.head
      unsafe ring.state.pointee.dpiQueue.tail = ring.state.pointee.receive.copied
    }
  }

  /// The persistent state.
  public var state: QueueState { unsafe ring.state.pointee }

  /// Makes the twin of a queue that the OS has programmed. The NIC must not be working on the present one.
  ///
  /// - Returns: nil, or why the queue cannot be served; it is then stopped, and the fault counted.
  public mutating func start(
    _ programmed: ProgrammedQueue, rules: QueueRules, protection: PacketProtection,
    checksumKey: ChecksumKey = ChecksumKey(), memory: borrowing PhysicalMemory
  ) -> RingFault? {
    precondition(protection != .checksum || NICSide.hasFrameChecksum, "the NIC has no frame checksums")
    stop()
    do throws(RingFault) {
      let osQueue = try DescriptorQueue.validated(
        programmed, rules: rules, limits: unsafe ring.limits, stride: MemoryLayout<OSSide>.stride, memory: memory,
        partition: partition)
      guard programmed.bufferLength > 0 else { throw .queueLength }
      var dpiQueue = unsafe DescriptorQueue(base: ring.slotsAddress, count: osQueue.count, start: osQueue.head)
      if protection == .copyToDPIMemory {
        // As many slots as there are copies, in a number that the NIC accepts.
        let multiple = max(1, rules.lengthMultiple / UInt32(MemoryLayout<NICSide>.stride))
        let affordable = unsafe UInt32(clamping: ring.limits.copyMemory / UInt64(programmed.bufferLength))
        let count = min(osQueue.count, affordable) / multiple &* multiple
        guard count > 1 else { throw .queueLength }
        dpiQueue = unsafe DescriptorQueue(base: ring.slotsAddress, count: count)
      }
      var state = unsafe ring.state.pointee
      state.osQueue = osQueue
      state.dpiQueue = dpiQueue
      state.protection = protection
      state.checksumKey = checksumKey
      state.receive = ReceiveProgress()
      state.receive.copied = osQueue.head
      state.receive.bufferLength = programmed.bufferLength
      state.receive.trailerLength = programmed.trailerLength
      unsafe ring.state.pointee = state
      if protection == .copyToDPIMemory { offerCopies() }
      unsafe ring.state.pointee.isRunning = true
    } catch {
      unsafe ring.state.pointee.counters.faults.count(error)
      return error
    }
    return programmed.tail == programmed.head ? nil : moveTail(to: programmed.tail)
  }

  /// Stops the queue. The NIC must not be working on it any more.
  public mutating func stop() {
    unsafe ring.state.pointee.isRunning = false
    unsafe ring.state.pointee.osQueue = DescriptorQueue()
    unsafe ring.state.pointee.dpiQueue = DescriptorQueue()
    unsafe ring.state.pointee.receive = ReceiveProgress()
    unsafe ring.outbox.removeAll()
    isResuming = false
    os = OSQueueView()
  }

  /// The OS wrote its Tail Pointer (paper Figure 4(a)).
  ///
  /// - Returns: nil, or why the value was ignored; counted.
  @inlinable
  public mutating func moveTail(to value: UInt32) -> RingFault? {
    guard let fault = unsafe ring.state.pointee.osQueue.moveTail(to: value) else { return nil }
    // A queue that does not run has no tail to be moved.
    guard unsafe ring.state.pointee.isRunning else { return nil }
    unsafe ring.state.pointee.counters.faults.count(fault)
    return fault
  }

  // MARK: - Figure 4(b)

  /// Copies the descriptors that the OS has posted to the DPI queue (paper Figure 4(b)); afterwards the NIC is to be told
  /// the DPI queue's tail.
  ///
  /// A descriptor whose buffer is absent or reaches into DPI memory is not handed on: the NIC gets a buffer of ours in its
  /// place, and the frame that lands there ends there.
  ///
  /// - Returns: how many descriptors were copied; 0 with ``PacketProtection/copyToDPIMemory``, where the NIC never sees
  ///   the OS's buffers.
  @inlinable
  public mutating func copyPosted(memory: borrowing PhysicalMemory) -> UInt32 {
    let state = unsafe ring.state
    guard unsafe state.pointee.protection != .copyToDPIMemory,
      unsafe state.pointee.receive.copied != state.pointee.osQueue.tail,
      unsafe os.isGood(for: state.pointee.osQueue, memory: memory, partition: partition)
    else { return 0 }
    let nic = nicSlots
    let end = unsafe state.pointee.osQueue.tail
    let start = unsafe state.pointee.receive.copied
    var index = start
    var window = os.window
    repeat {
      // Up to where the queues wrap around, which they do at the same slot.
      let run = (end > index ? end : os.slots.count) &- index
      let copied = unsafe Self.copyOffers(
        run, before: os.slots.place(of: index &+ run), nic.place(of: index &+ run), ring.words + Int(index &+ run),
        window: window, length: state.pointee.receive.bufferLength)
      index = wrapped(index &+ copied)
      if copied != run {
        copyOutlying(at: index, window: &window, memory: memory)
        index = wrapped(index &+ 1)
      }
    } while index != end
    unsafe state.pointee.dpiQueue.tail = end
    unsafe state.pointee.receive.copied = end
    return unsafe state.pointee.osQueue.distance(from: start, to: end)
  }

  /// Copies one descriptor whose buffer is not in the window: somewhere else in memory, or not to be had.
  @inline(never)
  @inlinable
  mutating func copyOutlying(at index: UInt32, window: inout BufferWindow, memory: borrowing PhysicalMemory) {
    let length = unsafe ring.state.pointee.receive.bufferLength
    let offered = os.slots.load(at: index).offeredBuffer
    let buffer = acceptable(offered, length: length, window: &window, memory: memory)
    unsafe ring.words[Int(index)] = buffer.rawValue
    nicSlots.store(NICSide(offering: buffer), at: index)
  }

  /// The buffer to hand to the NIC for one that is not in the window.
  @inlinable
  mutating func acceptable(
    _ buffer: BusAddress, length: UInt32, window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> BusAddress {
    guard
      let fault = window.move(
        to: buffer.rawValue, length: length, memory: memory, partition: partition, rights: .readWrite)
    else { return buffer }
    unsafe ring.state.pointee.counters.faults.count(fault)
    return unsafe BusAddress(ring.refusedBuffer.rawValue)
  }

  // MARK: - Figure 4(c) and (d)

  /// Inspects the frames that the NIC has completed in the DPI queue and publishes them to the OS queue in their order,
  /// each according to its verdict (paper Figure 4(c) and (d)).
  ///
  /// With ``PacketProtection/copyToDPIMemory`` the DPI queue's tail moves too, and the NIC is to be told. `towardsWire` is
  /// where an inspector's own frames go that are for the wire: ``TransmitVirtualizer/outbox`` of the same queue pair.
  @inlinable
  public mutating func publishCompleted<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    towardsWire: FrameOutbox = FrameOutbox()
  ) -> PublishResult {
    // A queue that does not run is empty.
    guard unsafe ring.state.pointee.dpiQueue.head != ring.state.pointee.dpiQueue.tail,
      unsafe os.isGood(for: ring.state.pointee.osQueue, memory: memory, partition: partition)
    else { return PublishResult() }
    var answers =
      unsafe Inspector.actions.isEmpty
      ? FrameAnswers() : ring.answers(towardsOS: outbox, towardsWire: towardsWire)
    switch unsafe ring.state.pointee.protection {
    case .inPlace:
      return publishInPlace(
        mayBePlain: Inspector.actions.isEmpty, inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
    case .checksum:
      return publishChecked(inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
    case .copyToDPIMemory:
      return publishCopies(inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
    }
  }

  /// Frames of inspectors' own that wait to be published to the OS. It takes none in place, where there is no slot for
  /// them: the NIC has all that the OS has posted.
  @inlinable
  public var outbox: FrameOutbox {
    unsafe ring.state.pointee.protection == .copyToDPIMemory ? ring.outbox : FrameOutbox()
  }

  /// In place, each frame's checksum verified.
  @inlinable
  @inline(never)
  mutating func publishChecked<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> PublishResult {
    publishInPlace(mayBePlain: false, inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
  }

  @inlinable
  @inline(__always)
  mutating func publishInPlace<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    mayBePlain: Bool, inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> PublishResult {
    let state = unsafe ring.state
    if isResuming { finishInterrupted(os.slots, memory: memory) }
    let nic = nicSlots
    let end = unsafe state.pointee.dpiQueue.tail
    let start = unsafe state.pointee.osQueue.head
    var window = os.window
    var index = start
    var result = PublishResult()
    while index != end {
      if mayBePlain, unsafe !state.pointee.receive.isDiscarding {
        // Whole frames of one descriptor each, up to where the queues wrap around, which they do at the same slot.
        let run = (end > index ? end : os.slots.count) &- index
        let plain = unsafe Self.publishPlainFrames(
          run, before: os.slots.place(of: index &+ run), nic.place(of: index &+ run),
          ring.words + Int(index &+ run), endSlot: index &+ run, noting: headPlace, window: window,
          progress: state.pointee.receive, queue: queue, inspecting: &inspector, clock: &clock)
        index = wrapped(index &+ plain.frames)
        result.frames &+= plain.frames
        unsafe state.pointee.counters.accepted &+= UInt64(plain.frames)
        if plain.frames == run { continue }
        if !plain.verdict.passes {
          result.frames &+= 1
          countRefused(plain.verdict)
          let next = wrapped(index &+ 1)
          publish(from: index, to: next, dropped: true, os.slots, memory: memory)
          index = next
          continue
        }
      }
      let next = publishUncommon(
        from: index, os.slots, window: &window, result: &result, inspecting: &inspector, answers: &answers,
        clock: &clock,
        memory: memory)
      if next == index { break }
      index = next
    }
    unsafe state.pointee.osQueue.head = index
    unsafe state.pointee.dpiQueue.head = index
    result.descriptors = unsafe state.pointee.osQueue.distance(from: start, to: index)
    if unsafe result.descriptors > state.pointee.counters.highWater {
      unsafe state.pointee.counters.highWater = result.descriptors
    }
    return result
  }

  // MARK: - Steps

  @inlinable
  var nicSlots: DescriptorSlots<NICSide> {
    unsafe DescriptorSlots(base: ring.slots, count: ring.state.pointee.dpiQueue.count)
  }

  /// `index`, or 0 when it is the slot after the last of the OS queue.
  @inlinable
  @inline(__always)
  func wrapped(_ index: UInt32) -> UInt32 { index == os.slots.count ? 0 : index }

  /// Where the OS Head Pointer is kept.
  @unsafe
  @inlinable
  @inline(__always)
  var headPlace: UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe withUnsafeMutablePointer(to: &ring.state.pointee.osQueue.head) {
      unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
  }

  /// Stores the OS Head Pointer after the descriptors before it.
  @inlinable
  func advanceHead(to index: UInt32) { unsafe headPlace.pointee.store(index, ordering: .releasing) }

  @inlinable
  mutating func countRefused(_ verdict: Verdict) { unsafe ring.state.pointee.counters.countRefused(verdict) }

}

extension ReceiveDescriptor {
  /// A NIC's completed descriptor as the OS is to see it. With equal formats that is the descriptor itself, unless the
  /// format overwrites the buffer's address, which is nobody's concern then; the same goes for the core of another format.
  @inlinable
  @inline(__always)
  init<NICSide: ReceiveDescriptor>(published descriptor: NICSide, buffer: UInt64) {
    if Self.self == NICSide.self {
      self = unsafe unsafeBitCast(descriptor, to: Self.self)
    } else if Self.self == NICSide.Core.self {
      self = unsafe unsafeBitCast(descriptor.core, to: Self.self)
    } else {
      self.init(descriptor.completion, buffer: BusAddress(buffer))
    }
  }
}
