public import AllyHW
public import AllyPacket
public import Synchronization

/// What one pass over a transmit queue's completions did.
@frozen
public struct TransmitCompletions: Sendable, BitwiseCopyable, Equatable {
  /// Descriptors that were completed in the OS queue.
  public var descriptors: UInt32
  /// Whether the OS wanted any of them reported.
  public var isReported: Bool
  /// Whether the OS queue is empty now.
  public var isEmpty: Bool

  @inlinable
  public init(descriptors: UInt32 = 0, isReported: Bool = false, isEmpty: Bool = false) {
    self.descriptors = descriptors
    self.isReported = isReported
    self.isEmpty = isEmpty
  }
}

/// The transmit direction of a virtualized queue pair (paper §4.3): descriptors that the OS posts are copied to the DPI queue,
/// their frames inspected; those that pass are handed to the NIC, those that do not never reach it and complete in their
/// turn.
///
/// Each descriptor is loaded once; what is inspected, handed on and completed is that copy. Owned by one DPI core; what it
/// must remember is in the memory it was given (``QueueState``).
@frozen
@safe
public struct TransmitVirtualizer<OSSide: TransmitDescriptor, NICSide: TransmitDescriptor>: ~Copyable {
  @usableFromInline let ring: RingMemory
  @usableFromInline let partition: Partition
  /// The queue pair's number, as inspectors see it.
  @usableFromInline let queue: UInt16
  /// Slots of the OS queue, between its head and the last one copied, whose disposition is not `forwarded`.
  @usableFromInline var unusualSlots: UInt32 = 0
  /// How far this worker is within a frame.
  @usableFromInline var partial = PartialFrame()
  /// The OS queue in this process.
  @usableFromInline var os = OSQueueView<OSSide>()
  /// Slots of the DPI queue with frames of inspectors' own. Each counts as an unusual slot besides.
  @usableFromInline var injectedSlots: UInt32 = 0
  /// Whether slots of the DPI queue do not say where their copies are: nothing is copied until all are done.
  @usableFromInline var hasUnknownCopies: Bool

  /// How many bytes of DPI memory a transmit queue needs.
  public static func requiredMemory(limits: RingLimits) -> UInt64 {
    unsafe RingMemory.requiredLength(limits: limits, stride: MemoryLayout<NICSide>.stride)
  }

  /// Takes possession of DPI memory for a transmit queue.
  ///
  /// The `region` has at least ``requiredMemory(limits:)`` bytes of DPI memory, which must stay mapped as long as this
  /// value exists. `queue` is the queue pair's number, for the inspector; `start` tells whether to go on with the state
  /// that the memory holds.
  public init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits = RingLimits(),
    queue: UInt16 = 0, start: RingStart = .fresh
  ) throws(RingSetupError) {
    guard isUsable(OSSide.self), isUsable(NICSide.self), MemoryLayout<OSSide.OffloadContext>.size <= 256,
      MemoryLayout<OSSide.OffloadContext>.alignment <= 16
    else { throw .descriptorFormat }
    unsafe self.ring = try RingMemory(
      region: region, memory: memory, partition: partition, limits: limits, osStride: MemoryLayout<OSSide>.stride,
      nicStride: MemoryLayout<NICSide>.stride, start: start)
    self.partition = partition
    self.queue = queue
    // In place, slots that were copied by the plain loops do not say.
    self.hasUnknownCopies = unsafe start == .resuming && ring.state.pointee.protection == .inPlace
    if start == .resuming, unsafe ring.state.pointee.isRunning { resume() }
  }

  /// The persistent state.
  public var state: QueueState {
    var state = unsafe ring.state.pointee
    state.dpiQueue.tail = state.transmit.tail
    return state
  }

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
      if protection == .copyToDPIMemory, unsafe ring.limits.copyMemory == 0 { throw .queueLength }
      var state = unsafe ring.state.pointee
      state.osQueue = osQueue
      state.dpiQueue = unsafe DescriptorQueue(base: ring.slotsAddress, count: osQueue.count)
      state.protection = protection
      state.checksumKey = checksumKey
      state.transmit = TransmitProgress()
      state.transmit.packed = TransmitProgress.pack(copied: osQueue.head, tail: 0, isDiscarding: false)
      unsafe ring.state.pointee = state
      for slot in 0..<Int(osQueue.count) {
        unsafe ring.dispositions[slot] = .forwarded
        unsafe ring.words[slot] = 0
      }
      unsafe ring.clearContext()
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
    unsafe ring.state.pointee.transmit = TransmitProgress()
    unsafe ring.outbox.removeAll()
    unusualSlots = 0
    injectedSlots = 0
    hasUnknownCopies = false
    partial = PartialFrame()
    os = OSQueueView()
  }

  /// The OS wrote its Tail Pointer.
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

  // MARK: - From the OS to the NIC

  /// Copies the descriptors that the OS has posted to the DPI queue and inspects the frames that they make up; afterwards
  /// the NIC is to be told the DPI queue's tail.
  ///
  /// `towardsOS` is where an inspector's own frames go that are for the OS: ``ReceiveVirtualizer/outbox`` of the same queue
  /// pair.
  ///
  /// - Returns: how many descriptors of the OS queue were taken.
  @inlinable
  public mutating func copyPosted<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory,
    towardsOS: FrameOutbox = FrameOutbox()
  ) -> UInt32 {
    let state = unsafe ring.state
    let before = unsafe state.pointee.transmit
    let end = unsafe state.pointee.osQueue.tail
    // A queue that does not run is empty.
    guard before.copied != end || !Inspector.actions.isEmpty && hasWaiting,
      unsafe os.isGood(for: state.pointee.osQueue, memory: memory, partition: partition)
    else { return 0 }
    let nic = nicSlots
    var taken = before.copied
    var tail = before.tail
    let context = unsafe ring.context(OSSide.self).pointee
    var answers = FrameAnswers()
    if !Inspector.actions.isEmpty {
      answers = unsafe ring.answers(towardsOS: towardsOS, towardsWire: ring.outbox)
      return copyUncommon(
        from: taken, tail, inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
    }
    if unsafe state.pointee.protection != .inPlace || before.isDiscarding || !partial.isEmpty || injectedSlots != 0 {
      return copyUncommon(
        from: taken, tail, inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
    }
    hasUnknownCopies = true
    repeat {
      // Whole frames of one descriptor each, up to where the first of the two queues wraps around.
      let run = min((end > taken ? end : os.slots.count) &- taken, nic.count &- tail)
      let plain = unsafe Self.forwardPlainFrames(
        run, before: os.slots.place(of: taken &+ run), nic.place(of: tail &+ run), window: os.window, queue: queue,
        context: context, inspecting: &inspector, clock: &clock)
      taken = wrapped(taken &+ plain.frames, os.slots.count)
      tail = wrapped(tail &+ plain.frames, nic.count)
      unsafe state.pointee.counters.accepted &+= UInt64(plain.frames)
      guard plain.frames == run else {
        if !plain.verdict.passes {
          countRefused(plain.verdict)
          setDisposition(.dropped, at: taken)
          taken = wrapped(taken &+ 1, os.slots.count)
        }
        return copyUncommon(
          from: taken, tail, inspecting: &inspector, answers: &answers, clock: &clock, memory: memory)
      }
    } while taken != end
    return finish(before, taken: taken, tail: tail, isDiscarding: false)
  }

  // MARK: - From the NIC to the OS

  /// Completes in the OS queue, in order, what the NIC has completed in the DPI queue and what was dropped.
  @inlinable
  public mutating func completeTransmitted(memory: borrowing PhysicalMemory) -> TransmitCompletions {
    let state = unsafe ring.state
    let end = unsafe state.pointee.transmit.copied
    let start = unsafe state.pointee.osQueue.head
    guard start != end || injectedSlots != 0,
      unsafe os.isGood(for: state.pointee.osQueue, memory: memory, partition: partition)
    else { return TransmitCompletions() }
    let nic = nicSlots
    var head = start
    var nicHead = unsafe state.pointee.dpiQueue.head
    guard unusualSlots == 0, OSSide.self == NICSide.self else {
      return completeUncommon(since: start, from: head, nicHead)
    }
    repeat {
      // All slots were forwarded as they were. NICs complete in order, so when the last slot before either queue wraps
      // around is completed, all are.
      let run = min((end > head ? end : os.slots.count) &- head, nic.count &- nicHead)
      let nicEnd = unsafe nic.place(of: nicHead &+ run)
      guard unsafe DescriptorSlots<NICSide>.loadOwnership(from: nicEnd - DescriptorSlots<NICSide>.stride).isCompleted
      else { return completeUncommon(since: start, from: head, nicHead) }
      unsafe Self.completeRun(run, before: os.slots.place(of: head &+ run), nicEnd, from: head, noting: headPlace)
      head = wrapped(head &+ run, os.slots.count)
      nicHead = wrapped(nicHead &+ run, nic.count)
    } while head != end
    unsafe state.pointee.osQueue.head = head
    unsafe state.pointee.dpiQueue.head = nicHead
    return unsafe TransmitCompletions(
      descriptors: state.pointee.osQueue.distance(from: start, to: head), isReported: true,
      isEmpty: head == state.pointee.osQueue.tail)
  }

  // MARK: - Steps

  @inlinable
  var nicSlots: DescriptorSlots<NICSide> {
    unsafe DescriptorSlots(base: ring.slots, count: ring.state.pointee.dpiQueue.count)
  }

  /// `index`, or 0 when it is the slot after the last.
  @inlinable
  @inline(__always)
  func wrapped(_ index: UInt32, _ count: UInt32) -> UInt32 { index == count ? 0 : index }

  /// Ends a pass: it takes effect in one store.
  ///
  /// - Parameters:
  ///   - before: the state at its beginning.
  ///   - taken: the slot of the OS queue after the last one that was taken; the end of a frame.
  ///   - tail: the slot of the DPI queue after the last one that the NIC may fetch.
  /// - Returns: how many descriptors of the OS queue were taken.
  @inlinable
  @inline(__always)
  mutating func finish(
    _ before: TransmitProgress, taken: UInt32, tail: UInt32, isDiscarding: Bool
  ) -> UInt32 {
    let state = unsafe ring.state
    if tail != before.tail {
      let last = (tail == 0 ? nicSlots.count : tail) &- 1
      if !nicSlots.loadOwnership(at: last).reportsCompletion {
        requestReport(of: last, since: before.tail, taken: taken)
      }
    }
    let packed = TransmitProgress.pack(copied: taken, tail: tail, isDiscarding: isDiscarding)
    unsafe withUnsafeMutablePointer(to: &state.pointee.transmit.packed) {
      unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: Atomic<UInt64>.self)
        .pointee.store(packed, ordering: .releasing)
    }
    let count = unsafe state.pointee.osQueue.distance(from: before.copied, to: taken)
    if unsafe count > state.pointee.counters.highWater { unsafe state.pointee.counters.highWater = count }
    return count
  }

  /// Where the OS Head Pointer is kept.
  @unsafe
  @inlinable
  @inline(__always)
  var headPlace: UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe withUnsafeMutablePointer(to: &ring.state.pointee.osQueue.head) {
      unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
  }

  @inlinable
  mutating func countRefused(_ verdict: Verdict) { unsafe ring.state.pointee.counters.countRefused(verdict) }
}

extension TransmitDescriptor {
  /// An OS's descriptor as the NIC is to see it, or nil when the NIC's format cannot say it.
  @inlinable
  @inline(__always)
  init?<OSSide: TransmitDescriptor>(forwarding descriptor: OSSide) {
    if Self.self == OSSide.self {
      self = unsafe unsafeBitCast(descriptor, to: Self.self)
    } else if Self.Core.self == OSSide.self {
      self.init(core: unsafe unsafeBitCast(descriptor, to: Self.Core.self))
    } else {
      self.init(descriptor.request)
    }
  }
}
