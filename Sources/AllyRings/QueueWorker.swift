public import AllyHW
public import AllyPacket

/// One queue pair of a NIC, for a DPI core of its own: its rings and its frames, and nothing of what the pairs share.
///
/// The core that handles registers lends it (``RingVirtualizer/worker(for:)``). Passes of the workers of different pairs run
/// concurrently, each with an inspector, clocks and a view of physical memory of its own. What a pass did goes back as a
/// ``QueueReport`` to the core that handles registers, which tells the NIC and the OS: once for each pass, not for each frame.
@safe
public struct QueueWorker<Driver: NICDriver>: ~Copyable, @unchecked Sendable {
  /// Invariant of both: they belong to the virtualizer, which outlives the worker; what `pair` refers to is touched while the
  /// gate is entered, and by nobody else then.
  private let pair: UnsafeMutablePointer<QueuePair<Driver>>
  private let gate: UnsafeMutablePointer<QueueGate>
  /// The pair's number.
  public let queue: Int

  @unsafe
  init(_ pair: UnsafeMutablePointer<QueuePair<Driver>>, _ gate: UnsafeMutablePointer<QueueGate>, queue: Int) {
    unsafe self.pair = pair
    unsafe self.gate = gate
    self.queue = queue
  }

  /// One pass over both directions, bounded by the queues' lengths.
  ///
  /// - Parameters:
  ///   - inspector: what is asked about each frame.
  ///   - receiveClock: stamps the frames that this pair receives.
  ///   - transmitClock: stamps the frames that the OS sends through this pair.
  ///   - memory: this core's own view of physical memory.
  /// - Returns: what to report, also when nothing moved; nil when the OS is changing the pair's queues.
  public mutating func pass<
    Inspector: PacketInspector & ~Copyable, ReceiveClock: FrameClock & ~Copyable, TransmitClock: FrameClock & ~Copyable
  >(
    inspecting inspector: inout Inspector, receiveClock: inout ReceiveClock, transmitClock: inout TransmitClock,
    memory: borrowing PhysicalMemory
  ) -> QueueReport? {
    guard unsafe gate.pointee.enter() else { return nil }
    defer { unsafe gate.pointee.leave() }
    var report = unsafe QueueReport(
      queue: queue, receiveGeneration: gate.pointee.generation(isTransmit: false),
      transmitGeneration: gate.pointee.generation(isTransmit: true))
    if let tail = unsafe gate.pointee.takeTail(isTransmit: false) {
      _ = unsafe pair.pointee.receive.moveTail(to: tail)
    }
    if let tail = unsafe gate.pointee.takeTail(isTransmit: true) {
      _ = unsafe pair.pointee.transmit.moveTail(to: tail)
    }
    unsafe pair.pointee.passReceive(&report, inspecting: &inspector, clock: &receiveClock, memory: memory)
    unsafe pair.pointee.passTransmit(&report, inspecting: &inspector, clock: &transmitClock, memory: memory)
    return report
  }
}

/// What a pass over a queue pair did, of which NIC and OS have to be told.
public struct QueueReport: Sendable, BitwiseCopyable {
  /// The pair's number.
  public var queue: Int
  /// What the pass did.
  public var result = ServiceResult()
  var receiveGeneration: UInt64
  var transmitGeneration: UInt64
  var receiveTail: UInt32?
  var transmitTail: UInt32?
  var published: UInt32 = 0
  var receiveHead: UInt32 = 0
  var completions = TransmitCompletions()
  var transmitHead: UInt32 = 0

  init(queue: Int, receiveGeneration: UInt64, transmitGeneration: UInt64) {
    self.queue = queue
    self.receiveGeneration = receiveGeneration
    self.transmitGeneration = transmitGeneration
  }
}

extension QueuePair {
  mutating func passReceive<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ report: inout QueueReport, inspecting inspector: inout Inspector, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) {
    let before = receive.nicTail
    let offered = receive.copyPosted(memory: memory)
    let towardsWire = Inspector.actions.isEmpty ? FrameOutbox() : transmit.outbox
    let published = receive.publishCompleted(
      inspecting: &inspector, clock: &clock, memory: memory, towardsWire: towardsWire)
    if receive.nicTail != before { report.receiveTail = receive.nicTail }
    report.published = published.descriptors
    report.receiveHead = receive.osHead
    report.result.received = published.frames
    report.result.hasMoved = published.descriptors > 0 || report.receiveTail != nil
    report.result.descriptorBytes =
      UInt64(offered) &* UInt64(MemoryLayout<Driver.NICReceive>.size)
      &+ UInt64(published.descriptors) &* UInt64(MemoryLayout<Driver.OSReceive>.size)
  }

  mutating func passTransmit<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ report: inout QueueReport, inspecting inspector: inout Inspector, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) {
    let before = transmit.nicTail
    let towardsOS = Inspector.actions.isEmpty ? FrameOutbox() : receive.outbox
    let taken = transmit.copyPosted(inspecting: &inspector, clock: &clock, memory: memory, towardsOS: towardsOS)
    if transmit.nicTail != before { report.transmitTail = transmit.nicTail }
    report.completions = transmit.completeTransmitted(memory: memory)
    report.transmitHead = transmit.osHead
    report.result.transmitted = taken
    let hasMoved = taken > 0 || report.completions.descriptors > 0 || report.transmitTail != nil
    report.result.hasMoved = report.result.hasMoved || hasMoved
    report.result.descriptorBytes &+=
      UInt64(taken) &* UInt64(MemoryLayout<Driver.NICTransmit>.size) &+ UInt64(report.completions.descriptors) &* 8
  }
}

extension RingVirtualizer {
  /// Lends a queue pair to a DPI core of its own; from now on it is that core's to serve, `service` calls leave it alone, and
  /// this value goes on handling registers for it.
  ///
  /// The worker must not be used any more once this value is gone. Its passes are never concurrent with each other.
  ///
  /// - Precondition: `queue < queuePairs`, and the pair has not been lent.
  @unsafe
  public mutating func worker(for queue: Int) -> QueueWorker<Driver> {
    precondition(queue >= 0 && queue < Driver.queuePairs, "there is no such queue pair")
    precondition(!lent.contains(queue), "the queue pair has been lent")
    lent.formUnion(QueueSet(queue))
    return unsafe QueueWorker(pairs + queue, gates + queue, queue: queue)
  }

  /// Tells the NIC and the driver module what a worker's pass did; for the core that handles registers.
  ///
  /// What a pass did to a queue before the OS changed that queue has no effect.
  public mutating func report<NIC: NICDevice & ~Copyable>(
    _ report: QueueReport, registers: RegisterFile, nic: inout NIC
  ) {
    let queue = report.queue
    guard lent.contains(queue) else { return }
    if unsafe gates[queue].generation(isTransmit: false) == report.receiveGeneration {
      if let tail = report.receiveTail { unsafe saved.pointee.driver.setReceiveTail(queue, tail, nic: &nic) }
      if report.published > 0 {
        unsafe saved.pointee.driver.notePublished(
          queue, head: report.receiveHead, descriptors: report.published, registers: registers)
      }
    }
    if unsafe gates[queue].generation(isTransmit: true) == report.transmitGeneration {
      if let tail = report.transmitTail { unsafe saved.pointee.driver.setTransmitTail(queue, tail, nic: &nic) }
      if report.completions.descriptors > 0 {
        unsafe saved.pointee.driver.noteTransmitted(
          queue, head: report.transmitHead, report.completions, registers: registers)
      }
    }
  }
}
