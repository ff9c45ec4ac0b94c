internal import CAllyLinux
internal import Glibc

/// What a keeper's process does to its end.
///
/// Nothing that a worker, a starter or an operator sends makes it wait.
final class KeeperProcess {
  /// A worker that did not come round for so many seconds stands still. Far below the time after which QEMU gives a NIC up
  /// that does not answer (`x-msg-timeout`, 5 s if nobody says otherwise).
  private static let patience = 3.0
  /// So long a worker may take over its end when another takes its place.
  private static let farewell = 1.0
  /// So many workers in a row that die of a fault within a second of their beginning, and before they came round so often, are the
  /// last.
  private static let mostShortLives = 8
  private static let turnsOfShortLife: UInt64 = 16
  /// An executable's first worker that came round so often is taken for good.
  private static let turnsOfTrial: UInt64 = 4

  private struct Worker {
    /// Notes to and from it.
    let notes: OwnedFile
    /// What it has not been told yet.
    var untold: [(note: KeeperNote, descriptor: Int32?)]
    let began: UInt64
    let beatsBefore: UInt64
    var beats: UInt64
    var lastBeat: UInt64
    var hasNotes = true
    /// It was ended because it stood still.
    var isStalled = false
    /// When it was asked to make room for another executable's.
    var retiresSince: UInt64?
  }

  /// An executable that is to take the other's place.
  private struct Successor {
    let command: [String]
    let line: StarterLine
    /// What it says on standard error before it serves.
    let words: OwnedFile
    var said: [UInt8] = []
    var isReady = false
  }

  private let page: KeeperPage
  private let control: KeeperControl?
  private let failure: Int32
  private let signals: Int32
  private var kept = KeptDescriptors()

  /// What starts the workers, and its process as long as that is this one's child.
  private var starter: StarterLine
  private let firstProcess: pid_t
  private var isReady = false
  /// The path and the arguments that it was started with.
  private var command: [String]
  private var successor: Successor?
  /// What starts workers should the new executable's first not work.
  private var former: StarterLine?

  private var worker: Worker?
  private var predecessors: UInt64 = 0
  private var shortLives = 0
  private var passed: Set<Int32> = []

  init(
    page: KeeperPage, control: KeeperControl?, starter: StarterLine, process: pid_t, command: [String], failure: Int32
  ) throws(HostError) {
    ally_allow_descriptors()
    var before = ally_signals()
    signals = unsafe ally_signals_take(&before)
    guard signals >= 0, ally_adopt_orphans() == 0 else { throw HostError("cannot wait for signals", code: errno) }
    self.page = page
    self.control = control
    self.starter = starter
    firstProcess = process
    self.command = command
    self.failure = failure
  }

  func run(giveUp: () throws(HostError) -> Void, tell: (Keeper.Event) -> Void) -> Never {
    while true {
      wait()
      passSignals()
      hearStarter(giveUp, tell)
      hearSuccessor(tell)
      hearOperator(tell)
      lookAfterWorker(tell)
      // Starters of former executables, and what others have left.
      if isReady { ally_reap_children(0) }
    }
  }

  /// Waits for anything to do.
  private func wait() {
    var entries = [
      pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
      pollfd(fd: starter.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    if let control { entries.append(pollfd(fd: control.descriptor, events: Int16(POLLIN), revents: 0)) }
    if let worker, worker.hasNotes {
      let events = worker.untold.isEmpty ? POLLIN : POLLIN | POLLOUT
      entries.append(pollfd(fd: worker.notes.number, events: Int16(events), revents: 0))
    }
    if let successor {
      for number in [successor.line.descriptor, successor.words.number] where number >= 0 {
        entries.append(pollfd(fd: number, events: Int16(POLLIN), revents: 0))
      }
    }
    _ = unsafe poll(&entries, nfds_t(entries.count), 250)
  }

  private func passSignals() {
    while case let signal = ally_signals_next(signals), signal != 0 {
      passed.insert(signal)
      // Before there are workers it is the one process that does anything.
      if isReady { starter.send(StarterOrder.signal(signal).bytes) } else { kill(firstProcess, signal) }
    }
  }

  /// Ends with all that it has started.
  private func finish(_ status: Int32) -> Never {
    for line in [starter, former, successor?.line] { line?.close() }
    worker = nil
    control?.answer("the command ends")
    control?.close()
    ally_reap_children(1)
    exit(status)
  }

  // MARK: - Workers

  private func hearStarter(_ giveUp: () throws(HostError) -> Void, _ tell: (Keeper.Event) -> Void) {
    while true {
      switch starter.receive() {
      case .none: return
      case .end: return loseStarter(tell)
      case .bytes(let bytes, _):
        switch StarterReport(bytes) {
        case .ready where !isReady:
          do throws(HostError) {
            try giveUp()
          } catch {
            tell(.gaveUp(reason: error.message))
            finish(failure)
          }
          isReady = true
          startWorker(tell)
        case .workerEnded(let end): workerEnded(end, tell)
        case .successorEnded(let end): successorEnded(end, tell)
        case .ready, nil: continue
        }
      }
    }
  }

  private func loseStarter(_ tell: (Keeper.Event) -> Void) {
    // Its worker has ended with it.
    if former != nil { return workerEnded(.signal(SIGKILL), tell) }
    guard !isReady else {
      tell(.gaveUp(reason: "the process that starts workers has ended"))
      finish(failure)
    }
    // It has said why.
    finish(ally_await_child(firstProcess))
  }

  private func startWorker(_ tell: (Keeper.Event) -> Void) {
    do throws(HostError) {
      let (ours, theirs) = try Keeper.pair()
      page.begin()
      let begin = KeeperNote(kind: .begin, key: predecessors)
      worker = Worker(
        notes: ours, untold: kept.numbers.map { (KeeperNote(kind: .keep, key: $0.key), $0.value) } + [(begin, nil)],
        began: MonotonicTime.now, beatsBefore: page.beats, beats: page.beats, lastBeat: MonotonicTime.now)
      predecessors += 1
      starter.send(StarterOrder.start.bytes, [theirs.number])
      tellWorker()
      // What the one before was told as it ended.
      for signal in [SIGINT, SIGTERM] where passed.contains(signal) {
        starter.send(StarterOrder.signal(signal).bytes)
      }
    } catch {
      tell(.gaveUp(reason: error.message))
      finish(failure)
    }
  }

  /// Tells the worker as much as it takes now.
  private func tellWorker() {
    while let (note, descriptor) = worker?.untold.first, let socket = worker?.notes.number,
      note.send(to: socket, flags: Int32(MSG_DONTWAIT), descriptor)
    {
      worker?.untold.removeFirst()
    }
  }

  private func lookAfterWorker(_ tell: (Keeper.Event) -> Void) {
    guard let notes = worker?.notes.number else { return }
    tellWorker()
    if worker?.hasNotes == true { worker?.hasNotes = kept.receive(from: notes) }
    let now = MonotonicTime.now
    let beats = page.beats
    guard let worker else { return }
    if beats != worker.beats || beats == .max {
      self.worker?.beats = beats
      self.worker?.lastBeat = now
    } else if Double(now &- worker.lastBeat) > Self.patience * 1e9, !worker.isStalled {
      self.worker?.isStalled = true
      starter.send(StarterOrder.signal(SIGKILL).bytes)
    }
    if let since = worker.retiresSince, Double(now &- since) > Self.farewell * 1e9 {
      self.worker?.retiresSince = .max
      starter.send(StarterOrder.signal(SIGKILL).bytes)
    }
    if former != nil, beats &- worker.beatsBefore >= Self.turnsOfTrial, beats != .max { takeForGood(tell) }
  }

  private func workerEnded(_ end: ProcessEnd, _ tell: (Keeper.Event) -> Void) {
    guard let worker else { return }
    // What it said last.
    _ = kept.receive(from: worker.notes.number)
    self.worker = nil
    if worker.retiresSince != nil, end != .status(0) {
      return successor?.isReady == true ? handOver(tell) : startWorker(tell)
    }
    let signal: Int32? = if case .signal(let number) = end { number } else { nil }
    let isUnwanted = !passed.isDisjoint(with: [SIGINT, SIGTERM] + (signal.map { [$0] } ?? []))
    if former != nil, !isUnwanted, end != .status(0) { return goBack(end, tell) }
    switch end {
    case .status(let status): finish(status)
    case .signal(let number) where isUnwanted: finish(128 + number)
    case .signal(let number):
      // Who is killed from outside need not have a fault.
      let isFault = number != SIGKILL || worker.isStalled
      let isShort =
        MonotonicTime.now &- worker.began < 1_000_000_000
        && page.beats &- worker.beatsBefore < Self.turnsOfShortLife
      shortLives = isFault && isShort ? shortLives + 1 : 0
      if shortLives == Self.mostShortLives {
        tell(.gaveUp(reason: "workers die of signal \(number) as soon as they begin"))
        finish(failure)
      }
      page.deaths += 1
      if worker.isStalled { page.stalls += 1 }
      tell(.replaced(signal: number, isStalled: worker.isStalled))
      startWorker(tell)
    }
  }

  // MARK: - Another executable

  private func hearOperator(_ tell: (Keeper.Event) -> Void) {
    guard let control else { return }
    switch control.receive() {
    case .none: return
    case .gone:
      if successor?.isReady == false { starter.send(StarterOrder.abandon.bytes) }
    case .request(let executable, let arguments):
      guard isReady, successor == nil, worker?.retiresSince == nil else {
        return control.answer("there is an upgrade already, or no worker yet")
      }
      let command = [executable ?? command[0]] + (arguments.isEmpty ? Array(command.dropFirst()) : arguments)
      do throws(HostError) {
        let (ours, theirs) = try Keeper.pair()
        var ends: [Int32] = [-1, -1]
        guard unsafe ally_pipe(&ends) == 0 else { throw HostError("cannot make a pipe", code: errno) }
        let theirWords = OwnedDescriptor(ends[1])
        successor = Successor(command: command, line: StarterLine(ours), words: OwnedFile(ends[0]))
        guard starter.send(StarterOrder.succeed(command).bytes, [theirs.number, theirWords.number]) else {
          throw HostError("the arguments are too long")
        }
      } catch {
        refuse(error.message, tell)
      }
    }
  }

  /// What it has to say before it serves.
  private func hearSuccessor(_ tell: (Keeper.Event) -> Void) {
    hearWords()
    guard let line = successor?.line, former == nil, case .bytes(let bytes, _) = line.receive() else { return }
    guard StarterReport(bytes) == .ready, successor?.isReady == false else { return }
    successor?.isReady = true
    worker?.retiresSince = MonotonicTime.now
    worker?.untold.append((KeeperNote(kind: .retire, key: 0), nil))
    tellWorker()
  }

  /// Passes on what it says on standard error, and remembers the end of it.
  private func hearWords() {
    guard let words = successor?.words, words.number >= 0 else { return }
    var entry = pollfd(fd: words.number, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&entry, 1, 0) > 0 else { return }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe read(words.number, &bytes, bytes.count)
    guard count > 0 else { return words.close() }
    _ = unsafe write(STDERR_FILENO, bytes, count)
    successor?.said += bytes[..<count]
    if let excess = successor.map({ $0.said.count - 4096 }), excess > 0 { successor?.said.removeFirst(excess) }
  }

  /// The line that it said last.
  private var lastWords: String? {
    successor?.said.split(separator: UInt8(ascii: "\n")).last.map { String(decoding: $0, as: UTF8.self) }
  }

  private func successorEnded(_ end: ProcessEnd, _ tell: (Keeper.Event) -> Void) {
    guard successor != nil, former == nil else { return }
    while let number = successor?.words.number, number >= 0, awaitInput(number, milliseconds: 0) { hearWords() }
    refuse("the new executable \(Self.text(end))" + (lastWords.map { ": \($0)" } ?? ""), tell)
  }

  private static func text(_ end: ProcessEnd) -> String {
    switch end {
    case .status(let number): "has ended with status \(number)"
    case .signal(let number): "has died of signal \(number)"
    }
  }

  private func refuse(_ reason: String, _ tell: (Keeper.Event) -> Void) {
    successor?.line.close()
    successor = nil
    control?.answer(reason)
    tell(.refused(reason: reason))
  }

  /// The worker has made room.
  private func handOver(_ tell: (Keeper.Event) -> Void) {
    guard let successor else { return }
    starter.send(StarterOrder.release.bytes)
    former = starter
    starter = successor.line
    startWorker(tell)
  }

  private func takeForGood(_ tell: (Keeper.Event) -> Void) {
    guard let successor else { return }
    hearWords()
    // Which ends its process.
    former?.close()
    former = nil
    command = successor.command
    self.successor = nil
    page.upgrades += 1
    control?.answer(nil)
    tell(.upgraded(executable: command[0]))
  }

  /// The new executable's first worker does not serve: the one before takes up again.
  private func goBack(_ end: ProcessEnd, _ tell: (Keeper.Event) -> Void) {
    guard let former else { return }
    starter.close()
    starter = former
    self.former = nil
    refuse("the new executable's worker \(Self.text(end))", tell)
    startWorker(tell)
  }
}
