public import AllyHW
public import AllyPacket
public import Synchronization

/// What one pass over a transmit queue's completions did.
@frozen
public struct TransmitCompletions: Sendable, BitwiseCopyable, Equatable {
  /// Descriptors that were completed in the OS queue.
  public var descriptors: UInt32
  /// How many of them the OS wanted reported.
  public var reported: UInt32
  /// Whether the OS queue is empty now.
  public var isEmpty: Bool

  @inlinable
  public init(descriptors: UInt32 = 0, reported: UInt32 = 0, isEmpty: Bool = false) {
    self.descriptors = descriptors
    self.reported = reported
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
  @usableFromInline var unusualSlots: UInt32

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
    guard isUsable(OSSide.self), isUsable(NICSide.self) else { throw .descriptorFormat }
    unsafe self.ring = try RingMemory(
      region: region, memory: memory, partition: partition, limits: limits, osStride: MemoryLayout<OSSide>.stride,
      nicStride: MemoryLayout<NICSide>.stride, start: start)
    self.partition = partition
    self.queue = queue
    self.unusualSlots = 0
    if start == .resuming, unsafe ring.state.pointee.isRunning { resume() }
  }

  /// The persistent state.
  public var state: QueueState { unsafe ring.state.pointee }

  /// Makes the twin of a queue that the OS has programmed. The NIC must not be working on the present one.
  ///
  /// - Returns: nil, or why the queue cannot be served; it is then stopped, and the fault counted.
  public mutating func start(
    _ programmed: ProgrammedQueue, rules: QueueRules, protection: PacketProtection,
    memory: borrowing PhysicalMemory
  ) -> RingFault? {
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
      var progress = TransmitProgress()
      progress.copied = osQueue.head
      state.transmit = InlineArray(repeating: progress)
      state.copied = osQueue.head
      unsafe ring.state.pointee = state
      for slot in 0..<Int(osQueue.count) { unsafe ring.dispositions[slot] = .forwarded }
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
    unsafe ring.state.pointee.copied = 0
    unusualSlots = 0
  }

  /// The OS wrote its Tail Pointer.
  ///
  /// - Returns: nil, or why the value was ignored; counted.
  @inlinable
  public mutating func moveTail(to value: UInt32) -> RingFault? {
    guard unsafe ring.state.pointee.isRunning else { return nil }
    let fault = unsafe ring.state.pointee.osQueue.moveTail(to: value)
    if let fault { unsafe ring.state.pointee.counters.faults.count(fault) }
    return fault
  }

  // MARK: - From the OS to the NIC

  /// Copies the descriptors that the OS has posted to the DPI queue and inspects the frames that they make up; afterwards
  /// the NIC is to be told the DPI queue's tail.
  ///
  /// - Returns: how many descriptors of the OS queue were taken.
  @inlinable
  public mutating func copyPosted<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    inspecting inspector: inout Inspector, clock: inout Clock, memory: borrowing PhysicalMemory
  ) -> UInt32 {
    let state = unsafe ring.state
    guard unsafe state.pointee.isRunning else { return 0 }
    let end = unsafe state.pointee.osQueue.tail
    let start = unsafe state.pointee.copied
    guard start != end, let os = unsafe state.pointee.osQueue.slots(of: OSSide.self, memory: memory) else { return 0 }
    let nic = nicSlots
    let copies = unsafe state.pointee.protection == .copyToDPIMemory
    var progress = self.progress
    var window = unsafe BufferWindow(
      near: state.pointee.osQueue, memory: memory, partition: partition, rights: .read)
    var accepted: UInt32 = 0
    var bytes: UInt64 = 0
    while progress.copied != end {
      if progress.staged == progress.tail, !progress.isDiscarding, !copies {
        // The common case: whole frames of one descriptor each, in buffers near each other, up to where the first of the
        // two queues wraps around.
        let osRun = (end > progress.copied ? end : os.count) &- progress.copied
        let run = min(osRun, nic.count &- progress.tail)
        let roomy = window.lastPlainOffset(maximumLength: OSSide.maximumPlainFrameLength)
        let base = window.base
        var place = 0
        while place != Int(run) {
          let descriptor = os.load(at: progress.copied &+ UInt32(truncatingIfNeeded: place))
          let offset = descriptor.buffer.rawValue &- base
          guard descriptor.isPlainFrame, offset < roomy,
            let forwarded = NICSide(forwarding: descriptor)
          else { break }
          let length = descriptor.length
          let verdict = unsafe inspectTransmitted(
            window.place(at: offset), length: length, inspecting: &inspector, clock: &clock)
          bytes &+= UInt64(length)
          guard verdict.passes else {
            countRefused(verdict)
            unsafe ring.dispositions[Int(progress.copied) &+ place] = .dropped
            unusualSlots &+= 1
            progress.copied = unsafe state.pointee.osQueue.next(after: progress.copied &+ UInt32(place))
            progress.tail = wrapped(progress.tail &+ UInt32(place), nic.count)
            progress.staged = progress.tail
            accepted &+= UInt32(place)
            place = -1
            break
          }
          nic.store(forwarded, at: progress.tail &+ UInt32(truncatingIfNeeded: place))
          place &+= 1
        }
        if place < 0 { continue }
        progress.copied = wrapped(progress.copied &+ UInt32(place), os.count)
        progress.tail = wrapped(progress.tail &+ UInt32(place), nic.count)
        progress.staged = progress.tail
        accepted &+= UInt32(place)
        if place == Int(run) { continue }
      }
      guard
        stageUncommon(
          os, progress: &progress, window: &window, inspecting: &inspector, clock: &clock, memory: memory)
      else { break }
    }
    abandonEndless(&progress, end: end)
    requestReport(progress)
    let taken = unsafe state.pointee.osQueue.distance(from: start, to: progress.copied)
    commit(progress)
    unsafe state.pointee.counters.accepted &+= UInt64(accepted)
    unsafe state.pointee.counters.bytes &+= bytes
    if unsafe taken > state.pointee.counters.highWater { unsafe state.pointee.counters.highWater = taken }
    return taken
  }

  // MARK: - From the NIC to the OS

  /// Completes in the OS queue, in order, what the NIC has completed in the DPI queue and what was dropped.
  @inlinable
  public mutating func completeTransmitted(memory: borrowing PhysicalMemory) -> TransmitCompletions {
    let state = unsafe ring.state
    guard unsafe state.pointee.isRunning,
      unsafe state.pointee.osQueue.head != state.pointee.copied,
      let os = unsafe state.pointee.osQueue.slots(of: OSSide.self, memory: memory)
    else { return TransmitCompletions() }
    let nic = nicSlots
    let end = unsafe state.pointee.copied
    let start = unsafe state.pointee.osQueue.head
    var head = start
    var nicHead = unsafe state.pointee.dpiQueue.head
    var reported: UInt32 = 0
    // The common case: nothing but frames of one descriptor each, every one to be reported.
    if unusualSlots == 0, OSSide.self == NICSide.self {
      while head != end {
        let descriptor = nic.load(at: nicHead)
        guard descriptor.isReportedCompletion else { break }
        os.storeOwnership(of: unsafe unsafeBitCast(descriptor, to: OSSide.self), at: head)
        head = wrapped(head &+ 1, os.count)
        nicHead = wrapped(nicHead &+ 1, nic.count)
        unsafe advanceHead(to: head)
        reported &+= 1
      }
    }
    if head != end { completeUncommon(os, head: &head, nicHead: &nicHead, end: end, reported: &reported) }
    unsafe state.pointee.dpiQueue.head = nicHead
    let completed = unsafe state.pointee.osQueue.distance(from: start, to: head)
    return unsafe TransmitCompletions(
      descriptors: completed, reported: reported, isEmpty: head == state.pointee.osQueue.tail)
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

  /// The valid one of the two copies.
  @inlinable
  var progress: TransmitProgress {
    unsafe ring.state.pointee.transmit[Int(ring.state.pointee.currentTransmit & 1)]
  }

  /// Makes a pass take effect: the other copy is written, then one store makes it the valid one.
  @inlinable
  func commit(_ progress: TransmitProgress) {
    let state = unsafe ring.state
    let other = unsafe 1 &- (state.pointee.currentTransmit & 1)
    unsafe state.pointee.transmit[Int(other)] = progress
    unsafe withUnsafeMutablePointer(to: &state.pointee.currentTransmit) {
      unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: Atomic<UInt32>.self)
        .pointee.store(other, ordering: .releasing)
    }
    unsafe state.pointee.copied = progress.copied
    unsafe state.pointee.dpiQueue.tail = progress.tail
  }

  /// Stores the OS Head Pointer after the descriptors before it.
  @unsafe
  @inlinable
  @inline(__always)
  func advanceHead(to index: UInt32) {
    unsafe withUnsafeMutablePointer(to: &ring.state.pointee.osQueue.head) {
      unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: Atomic<UInt32>.self)
        .pointee.store(index, ordering: .releasing)
    }
  }

  @inlinable
  mutating func countRefused(_ verdict: Verdict) {
    if verdict == .reject {
      unsafe ring.state.pointee.counters.rejected &+= 1
    } else {
      unsafe ring.state.pointee.counters.dropped &+= 1
    }
  }

  /// Stamps and inspects one frame that lies in one piece.
  @unsafe
  @inlinable
  @inline(__always)
  func inspectTransmitted<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ place: UnsafeMutableRawPointer, length: UInt32, inspecting inspector: inout Inspector, clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: length)
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(length)).bytes
    return inspector.inspect(Packet(bytes: bytes, stamp: stamp, direction: .transmit, queue: queue))
  }
}

extension BufferWindow {
  /// A bound for the offsets in the window from which `maximumLength` bytes fit; 0 in a window that is too small.
  @inlinable
  @inline(__always)
  func lastPlainOffset(maximumLength: UInt32) -> UInt64 {
    length > UInt64(maximumLength) ? length &- UInt64(maximumLength) : 0
  }

  /// Where the byte at an offset is, which must lie within the window.
  @unsafe
  @inlinable
  @inline(__always)
  func place(at offset: UInt64) -> UnsafeMutableRawPointer {
    unsafe storage.unsafelyUnwrapped + Int(truncatingIfNeeded: offset)
  }
}

extension TransmitDescriptor {
  /// An OS's descriptor as the NIC is to see it, or nil when the NIC's format cannot say it.
  @inlinable
  @inline(__always)
  init?<OSSide: TransmitDescriptor>(forwarding descriptor: OSSide) {
    if Self.self == OSSide.self {
      self = unsafe unsafeBitCast(descriptor, to: Self.self)
    } else {
      self.init(descriptor.request)
    }
  }
}
