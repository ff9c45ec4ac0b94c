internal import CAllyLinux
internal import Glibc

/// A process that keeps others alive: it holds what a guest's NIC consists of besides memory (sockets, event descriptors,
/// guests' memory), and starts a worker that serves it; when the worker dies it starts another at once, which goes on.
///
/// Workers are forks of the keeper, made when all is set up: rules are read, uplinks are open. The keeper reads no byte of a
/// guest and none of a wire: notes of 16 bytes from its worker, and signals, are all.
public enum Keeper {
  /// What an operator would like to hear of.
  public enum Event: Sendable {
    /// A worker died of a signal, and another takes over.
    case replaced(signal: Int32, isStalled: Bool)
    /// Workers die as soon as they begin: there is no point in another.
    case gaveUp(signal: Int32)
  }

  /// A worker that did not come round for so many seconds stands still. Far below the time after which QEMU gives a NIC up
  /// that does not answer (`x-msg-timeout`, 5 s if nobody says otherwise).
  private static let patience = 3.0
  /// So many workers in a row that die of a fault within a second of their beginning, and before they came round so often, are the
  /// last.
  private static let mostShortLives = 8
  private static let turnsOfShortLife: UInt64 = 16

  /// Becomes a keeper, for good: what returns is a worker.
  ///
  /// The calling process has one thread, and what is open and set up now every worker has. Signals that ask for something
  /// (SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2) are passed on to the worker; when a worker ends by itself, the keeper ends
  /// with the same exit status.
  ///
  /// - Parameters:
  ///   - page: shared with the workers.
  ///   - failure: the keeper's exit status when it gives up.
  ///   - tell: is told what happens.
  public static func begin(
    _ page: KeeperPage, failure: Int32, tell: (Event) -> Void
  ) throws(HostError) -> KeeperChannel {
    ally_allow_descriptors()
    var before = ally_signals()
    let signals = unsafe ally_signals_take(&before)
    guard signals >= 0 else { throw HostError("cannot wait for signals", code: errno) }
    var kept = KeptDescriptors()
    var predecessors = 0
    var shortLives = 0
    while true {
      var ends: [Int32] = [-1, -1]
      guard unsafe ally_packet_pair(&ends) == 0 else { throw HostError("cannot make a pair of sockets", code: errno) }
      let began = MonotonicTime.now
      let beats = page.beats
      let child = ally_fork(0)
      guard child >= 0 else { throw HostError("cannot start a worker", code: errno) }
      if child == 0 {
        unsafe ally_signals_return(&before)
        close(signals)
        close(ends[0])
        return KeeperChannel(OwnedDescriptor(ends[1]), inherited: kept.numbers, predecessors: predecessors)
      }
      close(ends[1])
      let end = watch(child, ends[0], signals, page, &kept)
      close(ends[0])
      guard let signal = end.signal else { exit(end.status) }
      if end.isUnwanted { exit(128 + signal) }
      // Who is killed from outside need not have a fault.
      let isFault = signal != SIGKILL || end.isStalled
      let isShort = MonotonicTime.now &- began < 1_000_000_000 && page.beats &- beats < turnsOfShortLife
      shortLives = isFault && isShort ? shortLives + 1 : 0
      if shortLives == mostShortLives {
        tell(.gaveUp(signal: signal))
        exit(failure)
      }
      predecessors += 1
      page.deaths += 1
      if end.isStalled { page.stalls += 1 }
      tell(.replaced(signal: signal, isStalled: end.isStalled))
    }
  }

  private struct End {
    var status: Int32 = 0
    /// What it died of.
    var signal: Int32?
    var isStalled = false
    /// Somebody had wanted it to end, or sent what it died of.
    var isUnwanted = false
  }

  /// Waits for a worker's end, takes its notes, and passes signals on.
  private static func watch(
    _ child: pid_t, _ notes: Int32, _ signals: Int32, _ page: KeeperPage, _ kept: inout KeptDescriptors
  ) -> End {
    var end = End()
    var beats = page.beats
    var lastBeat = MonotonicTime.now
    var hasNotes = true
    var passed: Set<Int32> = []
    while true {
      var entries = [
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
        // A negative number is passed over.
        pollfd(fd: hasNotes ? notes : -1, events: Int16(POLLIN), revents: 0),
      ]
      // A worker whose end of the notes is gone is about to be.
      _ = unsafe poll(&entries, 2, hasNotes ? 250 : 1)
      while case let signal = ally_signals_next(signals), signal != 0 {
        passed.insert(signal)
        kill(child, signal)
      }
      if hasNotes { hasNotes = kept.receive(from: notes) }
      var status: Int32 = 0
      switch unsafe ally_death(child, &status) {
      case 0: break
      case 2:
        // What it said last.
        _ = kept.receive(from: notes)
        end.signal = status - 128
        end.isUnwanted = !passed.isDisjoint(with: [SIGINT, SIGTERM, status - 128])
        return end
      default:
        end.status = status
        return end
      }
      let now = MonotonicTime.now
      if page.beats != beats || page.beats == .max {
        beats = page.beats
        lastBeat = now
      } else if Double(now &- lastBeat) > patience * 1e9, !end.isStalled {
        end.isStalled = true
        kill(child, SIGKILL)
      }
    }
  }
}
