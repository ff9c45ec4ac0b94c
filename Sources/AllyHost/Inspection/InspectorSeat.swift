internal import AllyHW
public import AllyPacket
internal import AllyRings
internal import CAllyLinux
internal import Glibc

/// The place of an inspector in a process of its own: what it needs of the interceptor's, which is the ring that they share and the
/// files that frames lie in, to read.
///
/// One thread uses it.
@safe
public final class InspectorSeat {
  private let area: InspectionArea
  private let areaMemory: MappedMemory
  private let inspectorWake: WakeUp
  private let interceptorWake: WakeUp
  /// Readable when the interceptor is gone.
  private let life: OwnedFile
  private let frameFiles: [OwnedFile]
  /// Of the inspectors that there were, the first being 1.
  private let number: UInt32
  /// The files of frames, once they were looked at, and where they are.
  private var frames: [MappedMemory?]
  private var starts: [UnsafeRawPointer?]
  private var lengths: [UInt64]
  /// What an inspector answers, before it crosses. Invariant: `scratchLength` bytes, and twice `outboxLength`.
  private let scratch: UnsafeMutableRawPointer
  private let outboxes: UnsafeMutableRawPointer

  /// Whether another inspector has been here before.
  public var hasPredecessor: Bool { number > 1 }

  private static var scratchLength: Int { 0x1_1000 }
  private static var outboxLength: Int { 0x2_0000 }

  init(
    area: MappedMemory, inspectorWake: consuming WakeUp, interceptorWake: consuming WakeUp,
    life: OwnedFile, frameFiles: [OwnedFile], number: UInt32
  ) {
    areaMemory = area
    // As long as this object exists.
    self.area = unsafe InspectionArea(area.storage)
    self.inspectorWake = inspectorWake
    self.interceptorWake = interceptorWake
    self.life = life
    self.frameFiles = frameFiles
    self.number = number
    frames = Array(repeating: nil, count: frameFiles.count)
    unsafe starts = Array(repeating: nil, count: frameFiles.count)
    lengths = Array(repeating: 0, count: frameFiles.count)
    unsafe scratch = .allocate(byteCount: Self.scratchLength, alignment: 16)
    unsafe outboxes = .allocate(byteCount: 2 * Self.outboxLength, alignment: 16)
    // Zeros are an empty outbox.
    unsafe outboxes.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * Self.outboxLength)
  }

  deinit {
    unsafe scratch.deallocate()
    unsafe outboxes.deallocate()
  }

  /// Inspects what the interceptor submits, in its order, until that ends it or is gone.
  ///
  /// - Parameters:
  ///   - inspector: sees every frame once.
  ///   - often: called every quarter of a second and at the end; ends the work when it returns false.
  public func run<Inspector: PacketInspector & ~Copyable>(
    inspecting inspector: inout Inspector, often: (inout Inspector) -> Bool
  ) throws(HostError) {
    var answers = unsafe FrameAnswers(
      scratch: scratch, capacity: Self.scratchLength,
      towardsOS: FrameOutbox(storage: outboxes, length: Self.outboxLength),
      towardsWire: FrameOutbox(storage: outboxes + Self.outboxLength, length: Self.outboxLength))
    area.store(number, .ready)
    interceptorWake.send()
    var done: UInt32 = 0
    // The number of the last verdict with answers.
    var answered: UInt32?
    var next: UInt64 = 0
    while true {
      let now = MonotonicTime.now
      if now >= next {
        next = now + GuestServer.period
        guard often(&inspector) else { return }
      }
      let submitted = area.load(.submitted)
      guard submitted != done else {
        if area.load(.isOver) != 0 { break }
        if try !waits(until: next, for: { self.area.load(.submitted) != done || self.area.load(.isOver) != 0 }) {
          break
        }
        continue
      }
      while done != submitted {
        // The answers before are where these would go.
        while let number = answered, !InspectionArea.isReached(number, by: area.load(.taken)) {
          let isHere = try waits(until: MonotonicTime.now + GuestServer.period) {
            InspectionArea.isReached(number, by: area.load(.taken)) || area.load(.isOver) != 0
          }
          guard isHere, area.load(.isOver) == 0 else { return }
        }
        let (verdict, hasAnswers) = try inspect(done, with: &inspector, &answers)
        area.setVerdict(UInt64(verdict.rawValue) | (hasAnswers ? 0x100 : 0), done)
        done &+= 1
        if hasAnswers { answered = done }
        area.store(done, .done)
        wakeInterceptor(done)
      }
    }
    _ = often(&inspector)
  }

  private func inspect<Inspector: PacketInspector & ~Copyable>(
    _ place: UInt32, with inspector: inout Inspector, _ answers: inout FrameAnswers
  ) throws(HostError) -> (Verdict, hasAnswers: Bool) {
    let submission = area.submission(place)
    guard let direction = Direction(rawValue: submission.direction) else {
      throw HostError("a frame that was neither received nor sent")
    }
    let start = unsafe try self.start(of: submission)
    // `start` is good for as many bytes, and the interceptor changes none of them before it has the verdict.
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: Int(submission.length)).bytes
    let packet = Packet(
      bytes: bytes, stamp: submission.stamp, direction: direction, queue: submission.queue,
      offloads: submission.offloads)
    let verdict = AllyRings.inspect(packet, with: &inspector, &answers)
    guard !Inspector.actions.isEmpty else { return (verdict, false) }
    let area = unsafe self.area.answers
    return (verdict, unsafe InspectionAnswers.write(answers, isReplaced: verdict == .replace, into: area))
  }

  /// Where a frame is in this process.
  @unsafe
  private func start(of submission: Submission) throws(HostError) -> UnsafeRawPointer {
    if submission.file == Submission.stray, Int(submission.length) <= InspectionArea.longestFrame {
      return unsafe UnsafeRawPointer(area.stray)
    }
    let file = Int(submission.file)
    guard frameFiles.indices.contains(file) else { throw HostError("a frame in no file") }
    if frames[file] == nil { try map(file) }
    guard let start = unsafe starts[file], submission.offset <= lengths[file],
      UInt64(submission.length) <= lengths[file] - submission.offset
    else { throw HostError("a frame beyond the end of its file") }
    return unsafe start + Int(submission.offset)
  }

  private func map(_ file: Int) throws(HostError) {
    let memory = try MappedMemory(frameFiles[file].number, offset: 0, length: area.frameFileLength(file), rights: .read)
    frames[file] = memory
    // The object keeps them mapped as long as this one exists.
    unsafe starts[file] = UnsafeRawPointer(memory.storage)
    lengths[file] = UInt64(memory.length)
  }

  private func wakeInterceptor(_ done: UInt32) {
    area.fence()
    guard area.load(.interceptorSleeps) != 0, InspectionArea.isReached(area.load(.wanted), by: done) else { return }
    interceptorWake.send()
  }

  /// Waits, first awake.
  ///
  /// - Returns: false when the interceptor is gone.
  private func waits(until deadline: UInt64, for condition: () -> Bool) throws(HostError) -> Bool {
    if Spinning.until(condition) { return true }
    area.store(1, .inspectorSleeps)
    area.fence()
    defer { area.store(0, .inspectorSleeps) }
    if condition() { return true }
    var entries = [
      pollfd(fd: inspectorWake.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: life.number, events: Int16(POLLIN), revents: 0),
    ]
    let now = MonotonicTime.now
    let count = unsafe ally_wait(&entries, entries.count, deadline > now ? deadline - now : 0)
    if count < 0, errno != EINTR { throw HostError("cannot wait for frames", code: errno) }
    if count > 0, entries[0].revents != 0 { inspectorWake.clear() }
    return count <= 0 || entries[1].revents == 0
  }
}
