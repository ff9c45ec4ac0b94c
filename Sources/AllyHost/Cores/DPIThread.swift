internal import CAllyLinux
internal import Glibc

/// How a DPI core waits when there is nothing to do.
public enum CoreWaiting: String, Sendable, CaseIterable {
  /// It sleeps until the kernel wakes it: no processor time, some microseconds of delay.
  case interrupt
  /// It never sleeps: the least delay, and all of a processor.
  case poll
  /// It looks for another millisecond after it was last busy, then sleeps. With one processor it does not look: whoever is waited for
  /// needs that.
  case adaptive

  /// Nanoseconds after the last work during which it does not sleep. To wake a processor that has halted takes long, most of all on a
  /// virtual machine, where that is the host's work; and the next frame of a connection is soon there.
  var patience: UInt64 {
    switch self {
    case .interrupt: 0
    case .poll: .max
    case .adaptive: sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 ? 1_000_000 : 0
    }
  }
}

/// Where and how a DPI core runs: the thread that serves guests, apart from the one that waits for the operator.
public struct CoreSettings: Sendable {
  /// The processor that it has to itself as far as this process is concerned; nil for any. Memory that it takes comes from
  /// that processor's NUMA node, where there are nodes and as long as the node has any.
  public var processor: Int?
  public var waiting = CoreWaiting.adaptive
  /// Real-time priority, 1 to 99 (`SCHED_FIFO`); nil for the usual scheduling. It needs `CAP_SYS_NICE`.
  public var priority: Int?
  /// Whether pages that were touched stay in memory. It needs `CAP_IPC_LOCK`, or a limit that is high enough.
  public var locksMemory = false

  public init() {}

  /// Lets processes take this place that this one forks when it has no rights any more. They have its priority, which it takes.
  public func permit() throws(HostError) {
    if locksMemory { ally_allow_locked_memory() }
    if let priority, ally_realtime(Int32(clamping: priority)) != 0 {
      throw HostError("cannot get the real-time priority \(priority)", code: errno)
    }
  }

  /// Gives the calling thread this place.
  func apply() throws(HostError) {
    if let processor {
      guard ally_pin(Int32(clamping: processor)) == 0 else {
        if errno == EINVAL {
          throw HostError("cannot run on processor \(processor): expected one that this process may use")
        }
        throw HostError("cannot run on processor \(processor)", code: errno)
      }
      let node = ally_node(Int32(clamping: processor))
      // A kernel without NUMA has no such call, and a machine with one node no choice.
      if node >= 0, ally_prefer_node(node) != 0, errno != ENOSYS, errno != EPERM {
        throw HostError("cannot take memory from node \(node)", code: errno)
      }
    }
    if locksMemory, ally_lock_memory() != 0 { throw HostError("cannot lock memory", code: errno) }
    if let priority, ally_realtime(Int32(clamping: priority)) != 0 {
      throw HostError("cannot get the real-time priority \(priority)", code: errno)
    }
    // Interrupts that a NIC puts off are due after some ten microseconds.
    ally_wake_in_time(1)
  }
}

/// A thread for a DPI core.
public enum DPIThread {
  /// Runs `body` on a thread of its own, and waits for it.
  ///
  /// The order is that of the rights: place and priority are taken, `giveUp` gives rights up, the thread begins with what is
  /// left, the calling thread goes back to where it was, `beside` begins what runs there, and only then `body` runs.
  ///
  /// - Parameters:
  ///   - settings: where it runs.
  ///   - giveUp: called on the calling thread, with the place and the priority of the new one.
  ///   - beside: called on the calling thread, with its own place and priority.
  ///   - body: the work.
  public static func run(
    _ settings: CoreSettings, giveUp: () throws(HostError) -> Void, beside: () -> Void = {},
    _ body: () throws(HostError) -> Void
  ) throws(HostError) {
    let place = unsafe ally_place_note()
    var failure: HostError?
    do throws(HostError) {
      try settings.apply()
      try giveUp()
    } catch {
      unsafe ally_place_return(place)
      throw error
    }
    let gate = Gate()
    withoutActuallyEscaping(body) { body in
      let work = Work {
        gate.wait()
        do throws(HostError) { try body() } catch { failure = error }
      }
      // `work` and `thread` outlive the thread: both are here until it has ended.
      let thread = UnsafeMutablePointer<ally_thread>.allocate(capacity: 1)
      defer { unsafe thread.deallocate() }
      unsafe thread.initialize(
        to: ally_thread(
          body: { context in
            guard let context = unsafe context else { return }
            unsafe Unmanaged<Work>.fromOpaque(context).takeUnretainedValue().body()
          }, context: Unmanaged.passUnretained(work).toOpaque(), number: 0))
      let code = unsafe ally_thread_start(thread)
      unsafe ally_place_return(place)
      guard code == 0 else {
        failure = HostError("cannot start a thread", code: code)
        return
      }
      beside()
      gate.open()
      unsafe ally_thread_await(thread)
      withExtendedLifetime(work) {}
    }
    if let failure { throw failure }
  }

  private final class Work {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Closed until it is opened, once.
  private final class Gate {
    private var ends: [Int32] = [-1, -1]

    init() { _ = unsafe pipe(&ends) }

    deinit { for end in ends { close(end) } }

    func open() { _ = unsafe Glibc.write(ends[1], [UInt8(1)], 1) }

    func wait() {
      var byte: UInt8 = 0
      while unsafe read(ends[0], &byte, 1) < 0, errno == EINTR {}
    }
  }
}
