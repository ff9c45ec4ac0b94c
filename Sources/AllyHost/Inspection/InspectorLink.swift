internal import AllyHW
internal import AllyPacket
internal import CAllyLinux
internal import Glibc

/// The interceptor's end of an inspector in a process of its own (paper §4.4): frames are submitted in a ring that both share,
/// verdicts come back in their order, and whoever sleeps is woken.
///
/// What the inspector writes is hostile: bounded, read once. An inspector that ends, that gives no verdict in time or that writes
/// nonsense is ended and another started; until that is ready every frame gets the verdict of ``InspectorFailure``. One thread calls.
@safe
public final class InspectorLink {
  /// What an operator would like to hear of.
  public enum Event: Sendable {
    /// One has ended by itself, with an exit status, or 128 and the signal.
    case ended(status: Int32)
    /// One gave no verdict in time, and is ended.
    case stuck
    /// One wrote what no inspector writes, and is ended.
    case misbehaved
    /// Another is ready.
    case began
  }

  /// Where a frame that was submitted lies, to know it again.
  private struct Pending: BitwiseCopyable {
    var place: UInt
    var length: Int
    var ordinal: UInt64
    var direction: Direction
    var queue: UInt16

    init(_ packet: borrowing Packet) {
      unsafe place = packet.bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
      length = packet.bytes.byteCount
      ordinal = packet.stamp.ordinal
      direction = packet.direction
      queue = packet.queue
    }

    func isSame(as other: Pending) -> Bool {
      place == other.place && length == other.length && ordinal == other.ordinal && direction == other.direction
        && queue == other.queue
    }
  }

  /// Absent when none runs; starting when one was started and has not said that it is ready; ending when one is to be ended, or was,
  /// and its end was not told.
  private typealias State = KeptInspection.State

  private let area: InspectionArea
  private let areaMemory: MappedMemory
  private let inspectorWake: WakeUp
  private let interceptorWake: WakeUp
  /// The inspector sees when its other end is closed.
  private var life: OwnedFile?
  /// To the starter; nil when that is gone.
  private var socket: OwnedFile?
  private let frameFiles: [OwnedFile]
  private var frames: [MappedMemory] = []
  /// Where each of `frames` begins, and its length.
  private var regions: [(start: UInt, length: Int)] = []
  private let failure: InspectorFailure
  private let timeout: UInt64
  private let tell: (Event) -> Void

  private var state = State.absent { didSet { kept?.inspector = (number, state) } }
  /// Of the inspector that was started last.
  private var number: UInt32 = 0
  /// Where a worker's successor finds what it has to know; nil without a keeper.
  private var kept: KeptInspection?
  private var notBefore: UInt64 = 0
  /// Frames in the ring, those of them that the inspector can know of, and those whose verdict was taken; counted since it began.
  private var written: UInt32 = 0
  private var submitted: UInt32 = 0
  private var taken: UInt32 = 0
  /// How many verdicts there were at the last look.
  private var done: UInt32 = 0
  /// The frames of the ring that are under way. Invariant: `InspectionArea.slots` entries.
  private let pending: UnsafeMutablePointer<Pending>
  /// A frame could not be announced: nor can those behind it, or they would be before it.
  private var isSkipping = false
  public private(set) var report = InspectionReport()

  /// Nanoseconds from one inspector's readiness, or end before it, to the start of the next.
  private static let pause: UInt64 = 1_000_000_000

  init(
    area: MappedMemory, inspectorWake: consuming WakeUp, interceptorWake: consuming WakeUp,
    life: OwnedFile, socket: OwnedFile, frameFiles: [OwnedFile],
    failure: InspectorFailure, timeout: UInt64, tell: @escaping (Event) -> Void
  ) {
    areaMemory = area
    // As long as this object exists.
    self.area = unsafe InspectionArea(area.storage)
    self.inspectorWake = inspectorWake
    self.interceptorWake = interceptorWake
    self.life = life
    self.socket = socket
    self.frameFiles = frameFiles
    self.failure = failure
    self.timeout = timeout
    self.tell = tell
    unsafe pending = .allocate(capacity: Int(InspectionArea.slots))
  }

  deinit { unsafe pending.deallocate() }

  // MARK: - Surviving

  /// Closes what a process has of the link that does not use it.
  public func letGo() {
    life = nil
    socket = nil
    for file in frameFiles { file.close() }
  }

  /// Serves as a keeper's worker from now on: the first, or in the place of one that died. Frames that were under way are asked
  /// about anew; what the inspector had made of them is forgotten.
  ///
  /// - Parameters:
  ///   - page: of the keeper, which outlives this object. No inspector has it.
  ///   - hasPredecessor: whether another worker has served before.
  public func begin(_ page: KeeperPage, hasPredecessor: Bool) {
    let kept = page.inspection
    guard hasPredecessor else {
      self.kept = kept
      return kept.inspector = (number, state)
    }
    let inspector = kept.inspector
    number = inspector.number
    report = kept.report
    submitted = kept.submitted
    written = submitted
    taken = kept.taken
    done = taken
    isSkipping = false
    switch inspector.state {
    case .absent:
      state = .absent
      // Of what has ended already.
      while takeReport() != nil {}
    case .starting:
      state = .starting
      // Once more, which changes nothing if it was heard.
      order(.start(number))
    case .ready:
      state = .ready
      area.store(submitted, .submitted)
      area.store(taken, .taken)
      area.store(0, .interceptorSleeps)
      wakeInspector()
    case .ending:
      state = .ending
      order(.kill)
    }
    if state != .ready { forget() }
    self.kept = kept
    kept.inspector = (number, state)
    withdraw()
  }

  // MARK: - Memory for frames

  /// Memory whose frames the inspector can see, and can never write.
  func makeFrameMemory(_ length: UInt64) throws(HostError) -> MappedMemory {
    let index = frames.count
    guard frameFiles.indices.contains(index), let size = Int(exactly: length) else {
      throw HostError("more memory for frames than an inspector was made for")
    }
    let file = frameFiles[index].number
    guard ftruncate(file, size) == 0 else { throw HostError("cannot get \(length) bytes of memory", code: errno) }
    let memory = try MappedMemory(file, offset: 0, length: length, rights: .readWrite)
    guard ally_seal(file, 1) == 0 else { throw HostError("cannot seal the memory of frames", code: errno) }
    frames.append(memory)
    unsafe regions.append((UInt(bitPattern: memory.storage), size))
    area.setFrameFileLength(length, index)
    return memory
  }

  // MARK: - The inspector's life

  /// Starts the first inspector, and waits until it is ready.
  ///
  /// - Returns: nil, or the exit status of one that ended before it was.
  public func begin() throws(HostError) -> Int32? {
    start()
    while state == .starting {
      var entries = [
        pollfd(fd: interceptorWake.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: socket?.number ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      if unsafe poll(&entries, 2, -1) < 0, errno != EINTR {
        throw HostError("cannot wait for the inspector", code: errno)
      }
      interceptorWake.clear()
      if let status = takeReport() { return status }
      becomeReady()
    }
    return state == .ready ? nil : 1
  }

  private func start() {
    number &+= 1
    area.reset()
    // The one before could write these, too.
    for (index, region) in regions.enumerated() { area.setFrameFileLength(UInt64(region.length), index) }
    forget()
    interceptorWake.clear()
    inspectorWake.clear()
    state = .starting
    order(.start(number))
  }

  private func order(_ order: InspectorStarter.Order) {
    guard let number = socket?.number else { return }
    let bytes = order.bytes
    if unsafe ally_send(number, bytes, bytes.count, Int32(MSG_DONTWAIT), nil, 0) != bytes.count {
      socket = nil
      state = .absent
    }
  }

  private func becomeReady() {
    guard state == .starting, area.load(.ready) == number else { return }
    state = .ready
    // Those that are soon gone are not started without end.
    notBefore = MonotonicTime.now &+ Self.pause
    if number > 1 { tell(.began) }
  }

  /// What the starter has said.
  ///
  /// - Returns: the exit status of an inspector that has ended, or 128 and the signal.
  private func takeReport() -> Int32? {
    guard let descriptor = socket?.number else { return nil }
    var bytes = [UInt8](repeating: 0, count: InspectorStarter.reportLength)
    var count = 0
    // It stays in the socket until it counts.
    let look = Int32(MSG_DONTWAIT) | Int32(MSG_PEEK)
    let result = unsafe ally_receive(descriptor, &bytes, bytes.count, look, nil, 0, &count)
    if result < 0, errno == EAGAIN || errno == EINTR { return nil }
    if state == .starting { notBefore = MonotonicTime.now &+ Self.pause }
    state = .absent
    forget()
    if result > 0 { _ = unsafe ally_receive(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT), nil, 0, &count) }
    guard result == bytes.count else {
      // No starter, no inspector.
      socket = nil
      return 1
    }
    return Int32(bitPattern: InspectorStarter.number(bytes[...]))
  }

  /// For times without frames, and often: hears of an inspector's end, and starts another.
  func look() {
    kept?.report = report
    becomeReady()
    if !hearOfEnd() { startAgain() }
  }

  /// Hears of an inspector's end, if it has ended, and starts another.
  private func hearOfEnd() -> Bool {
    let wasEnding = state == .ending
    guard let status = takeReport() else { return false }
    if !wasEnding {
      report.ended &+= 1
      tell(.ended(status: status))
    }
    startAgain()
    return true
  }

  private func startAgain() {
    guard state == .absent, socket != nil, MonotonicTime.now >= notBefore else { return }
    report.restarts &+= 1
    start()
  }

  /// Has the inspector end, and waits for it; what it was doing it does to its end.
  ///
  /// - Returns: its exit status, or 128 and the signal that ended it; nil when there was none.
  public func end() -> Int32? {
    defer {
      // The starter ends with them: its end of the socket closes.
      life = nil
      if let descriptor = socket?.number {
        shutdown(descriptor, Int32(SHUT_WR))
        while awaitInput(descriptor, milliseconds: 1000), takeReport() != nil, socket != nil {}
      }
      socket = nil
      state = .absent
    }
    guard state != .absent else { return nil }
    withdraw()
    area.store(1, .isOver)
    inspectorWake.send()
    for milliseconds in [Self.patience, 1000] {
      if let descriptor = socket?.number, awaitInput(descriptor, milliseconds: milliseconds), let status = takeReport()
      {
        return status
      }
      order(.kill)
    }
    return nil
  }

  /// Milliseconds that an inspector has to write down what is left.
  private static let patience: Int32 = 30_000

  /// The inspector is of no use any more.
  private func give(up event: Event) {
    switch event {
    case .stuck: report.stuck &+= 1
    case .misbehaved: report.misbehaved &+= 1
    case .ended, .began: break
    }
    state = .ending
    forget()
    order(.kill)
    tell(event)
  }

  /// No verdict will come any more.
  private func forget() {
    (written, submitted, taken, done) = (0, 0, 0, 0)
    kept?.submitted = 0
    kept?.taken = 0
    isSkipping = false
  }

  // MARK: - Frames

  /// A frame that is asked about soon, in this order, and changes no more until then.
  func announce(_ packet: borrowing Packet) {
    guard !isSkipping else { return }
    becomeReady()
    guard state == .ready, written &- taken < InspectionArea.slots, let (file, offset) = place(of: packet) else {
      isSkipping = true
      return
    }
    write(packet, file: file, offset: offset)
  }

  /// What becomes of a frame.
  func decide(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    if written != taken, !nextPending.isSame(as: Pending(packet)) { withdraw() }
    if written == taken {
      isSkipping = false
      guard submitAlone(packet) else { return failed() }
    }
    submit()
    guard awaitVerdict() else { return failed() }
    let word = area.verdict(taken)
    guard let verdict = Verdict(rawValue: UInt8(truncatingIfNeeded: word)), word < 0x200 else {
      give(up: .misbehaved)
      return failed()
    }
    report.inspected &+= 1
    var isReplaced = false
    if word & 0x100 != 0 {
      let found = unsafe InspectionAnswers.read(
        from: UnsafeRawBufferPointer(area.answers), about: packet, into: &answers)
      isReplaced = found.isReplaced
      report.refusedAnswers &+= found.refused
    }
    take(wakesInspector: word & 0x100 != 0)
    // A replacement that there is none of.
    return verdict == .replace && !isReplaced ? .drop : verdict
  }

  /// A verdict while there is nobody to give one.
  private func failed() -> Verdict {
    report.undecided &+= 1
    return failure == .open ? .accept : .drop
  }

  private var nextPending: Pending { unsafe pending[Int(taken & (InspectionArea.slots - 1))] }

  /// Puts one frame into the ring; false when there is no inspector.
  private func submitAlone(_ packet: borrowing Packet) -> Bool {
    becomeReady()
    guard state == .ready else { return false }
    if let (file, offset) = place(of: packet) {
      write(packet, file: file, offset: offset)
      return true
    }
    // It lies where the inspector cannot see it. Nothing else is under way, so the one place for such frames is free.
    guard packet.bytes.byteCount <= InspectionArea.longestFrame else { return false }
    unsafe packet.bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe area.stray.copyMemory(from: base, byteCount: bytes.count)
    }
    report.copies &+= 1
    write(packet, file: Submission.stray, offset: 0)
    return true
  }

  private func write(_ packet: borrowing Packet, file: UInt16, offset: UInt64) {
    unsafe pending[Int(written & (InspectionArea.slots - 1))] = Pending(packet)
    area.setSubmission(Submission(packet, file: file, offset: offset), written)
    written &+= 1
  }

  /// The file that a frame lies in, and where.
  private func place(of packet: borrowing Packet) -> (file: UInt16, offset: UInt64)? {
    let start = unsafe packet.bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    for index in regions.indices where start >= regions[index].start {
      let offset = start - regions[index].start
      if offset <= UInt(regions[index].length), packet.bytes.byteCount <= regions[index].length - Int(offset) {
        return (UInt16(index), UInt64(offset))
      }
    }
    return nil
  }

  /// Tells the inspector of what is in the ring, and wakes it when it sleeps: once for all of it.
  private func submit() {
    guard submitted != written else { return }
    submitted = written
    kept?.submitted = submitted
    area.store(written, .submitted)
    report.batches &+= 1
    area.fence()
    if area.load(.inspectorSleeps) != 0, area.exchange(0, .inspectorSleeps) != 0 { wakeInspector() }
  }

  private func wakeInspector() {
    report.inspectorWakeUps &+= 1
    inspectorWake.send()
  }

  /// The verdict that is next has been dealt with. For those with answers the inspector may be waiting.
  private func take(wakesInspector: Bool) {
    taken &+= 1
    kept?.taken = taken
    area.store(taken, .taken)
    guard wakesInspector else { return }
    area.fence()
    if area.load(.inspectorSleeps) != 0, area.exchange(0, .inspectorSleeps) != 0 { wakeInspector() }
  }

  /// Waits for the next verdict.
  ///
  /// - Returns: false when none will come.
  private func awaitVerdict() -> Bool {
    if done != taken { return true }
    if Spinning.until({ area.load(.done) != taken }) { return look(at: area.load(.done)) }
    let deadline = MonotonicTime.now &+ timeout
    area.store(taken &+ 1, .wanted)
    area.store(1, .interceptorSleeps)
    defer { area.store(0, .interceptorSleeps) }
    while true {
      area.fence()
      let count = area.load(.done)
      if count != taken { return look(at: count) }
      let now = MonotonicTime.now
      guard now < deadline else {
        give(up: .stuck)
        return false
      }
      var entries = [
        pollfd(fd: interceptorWake.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: socket?.number ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      guard unsafe ally_wait(&entries, entries.count, deadline - now) > 0 else { continue }
      if entries[0].revents != 0 {
        report.interceptorWakeUps &+= 1
        interceptorWake.clear()
      }
      // What it had said before its end still counts.
      if area.load(.done) == taken, entries[1].revents != 0, hearOfEnd() { return false }
    }
  }

  /// - Returns: whether as many verdicts are possible.
  private func look(at count: UInt32) -> Bool {
    guard count &- taken <= submitted &- taken else {
      give(up: .misbehaved)
      return false
    }
    done = count
    return true
  }

  /// Takes the verdicts of frames that were announced and are not asked about.
  private func withdraw() {
    guard written != taken else { return }
    submit()
    while written != taken, awaitVerdict() {
      report.withdrawn &+= 1
      take(wakesInspector: area.verdict(taken) & 0x100 != 0)
    }
  }
}
