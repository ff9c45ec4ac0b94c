internal import CAllyLinux
internal import Glibc

/// Serves NICs to guests: waits for messages, frames and timers, and lets everything work in turn, on one thread.
public final class GuestServer {
  /// One NIC and its socket.
  private final class Place {
    let path: String
    let listener: OwnedDescriptor
    let guest: any ServedGuest
    /// Whether there was more to do than was done.
    var isBusy = false
    var told = 0

    init(path: String, listener: consuming OwnedDescriptor, guest: any ServedGuest) {
      self.path = path
      self.listener = listener
      self.guest = guest
    }

    var isConnected: Bool { guest.descriptor != nil }
    /// Whether clients are served: the NIC works.
    var isOpen: Bool { guest.failure == nil }
  }

  /// What an operator would like to hear of: a client came or went, a request was refused.
  public enum Event: Sendable {
    case connected(path: String)
    case disconnected(path: String, reason: String)
    case refused(path: String, reason: String)
  }

  private var places: [Place] = []
  private let tell: (Event) -> Void
  /// Of a worker: the way to its keeper, and what it shares with it.
  private var channel: KeeperChannel?
  private var page: KeeperPage?
  /// What is waited for; kept for its memory.
  private var entries: [pollfd] = []
  /// The most messages of one client before everything else has its turn.
  private static let messagesAtOnce = 256
  /// How often a core that does not sleep looks for messages between two looks at everything. A guest's processor stands still until its
  /// message is answered; nobody waits for the rest like that, and to ask the kernel about all of it takes longer.
  private static let looksForMessages = 16
  /// Nanoseconds between two looks at what nobody tells of: carriers, files to be written.
  public static let period: UInt64 = 250_000_000

  /// - Parameter tell: is told what happens.
  public init(tell: @escaping (Event) -> Void) { self.tell = tell }

  deinit { for place in places { unsafe unlink(place.path) } }

  /// Serves a NIC at a socket over vfio-user; clients can connect from now on.
  public func serve(_ device: any GuestDevice, at path: String) throws(HostError) {
    try serve(GuestSession(VFIOUserDevice(device)), at: path)
  }

  /// Serves the rings of a virtio network device at a socket over vhost-user; front ends can connect from now on.
  ///
  /// - Parameters:
  ///   - device: the guest's NIC.
  ///   - path: of the socket.
  ///   - starter: of a keeper's workers, which find the socket open.
  public func serveRings(
    of device: any VirtioGuestDevice, at path: String, in starter: WorkerStarter? = nil
  ) throws(HostError) {
    try serve(GuestSession(try VhostUserDevice(device)), at: path, in: starter)
  }

  /// Serves a NIC at a socket over vfio-user, in workers of a keeper: clients can connect from now on, and are served when
  /// ``begin(_:page:)`` was called.
  ///
  /// - Precondition: the NIC was made with ``KeptMemory``, and is a ``KeptNIC``.
  public func keep(_ device: any GuestDevice, at path: String, in starter: WorkerStarter) throws(HostError) {
    guard let device = device as? any KeptGuestDevice else { preconditionFailure("a NIC that cannot be kept") }
    let session = KeptSession(device, number: places.count)
    try device.leave(
      as: "guest \(places.count)", layout: KeptLayout.text(device.kind, device.recordLength, session.recordLength),
      in: starter)
    try serve(session, at: path, in: starter)
  }

  /// Serves as a worker from now on: the first, or in the place of one that died.
  public func begin(_ channel: KeeperChannel, page: KeeperPage) throws(HostError) {
    self.channel = channel
    self.page = page
    try MappedMemory.beginGuarding()
    for place in places { try (place.guest as? KeptSession)?.begin(channel) }
  }

  private func serve(
    _ guest: any ServedGuest, at path: String, in starter: WorkerStarter? = nil
  ) throws(HostError) {
    let name = "guest \(places.count)'s socket \(path)"
    let number = try starter?.inheritance.takeOfGuest(name)
    let listener = if let number { OwnedDescriptor(number) } else { try listen(at: path) }
    if number == nil { starter?.inheritance.note(listener.number, as: name) }
    _ = fcntl(listener.number, F_SETFL, O_NONBLOCK)
    places.append(Place(path: path, listener: listener, guest: guest))
  }

  public var reports: [(path: String, report: GuestReport)] { places.map { ($0.path, $0.guest.report) } }

  /// Works until a descriptor is readable.
  ///
  /// - Parameters:
  ///   - stop: what ends it.
  ///   - waiting: what it does when there is nothing to do.
  ///   - often: called every ``period`` and at the end; ends the work when it returns false.
  public func run(
    until stop: Int32, waiting: CoreWaiting = .adaptive, often: () -> Bool
  ) throws(HostError) {
    try MappedMemory.beginGuarding()
    Self.blockPipeSignal()
    var next: UInt64 = 0
    var lastWork: UInt64 = 0
    let patience = waiting.patience
    var looks = 0
    defer { page?.rest() }
    while true {
      page?.beat()
      let now = Self.now
      if now >= next {
        next = now + Self.period
        for place in places { place.guest.followCarrier() }
        // As long as one works the others' guests are not harmed.
        if let failure = places.first?.guest.failure, !places.contains(where: \.isOpen) { throw failure }
        guard often() else { return }
      }
      let isEager = now &- lastWork < patience
      if isEager && looks < Self.looksForMessages {
        looks += 1
        for place in places where place.isConnected {
          if turn(place, onlyWhenAsked: true) { lastWork = now }
        }
        continue
      }
      looks = 0
      // Whoever is waited for may have been put on this processor: it is to run first.
      if isEager { sched_yield() }
      let reason = try wait(for: stop, until: next, sleeps: !isEager)
      if reason == .stop {
        _ = often()
        // The guests are the next one's, whose the sockets are, too: nothing is taken down.
        if channel?.isToRetire() == true {
          page?.rest()
          _exit(KeeperNote.retired)
        }
        return
      }
      if reason == .nothing { continue }
      if reason == .work { lastWork = Self.now }
      for place in places { turn(place) }
    }
  }

  private static var now: UInt64 { MonotonicTime.now }

  /// What a client lends as an eventfd may be a pipe that nobody reads: writing there is to fail, not to end the process.
  private static func blockPipeSignal() {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  /// Why a core does not wait any more.
  private enum Waking {
    /// Somebody wants something, or there was more to do than was done.
    case work
    /// Something is due.
    case time
    case stop
    /// It was only to look.
    case nothing
  }

  /// Waits for anything to do.
  ///
  /// - Parameters:
  ///   - limit: when to come back at the latest.
  ///   - sleeps: whether it waits at all, or only looks.
  private func wait(for stop: Int32, until limit: UInt64, sleeps: Bool) throws(HostError) -> Waking {
    entries.removeAll(keepingCapacity: true)
    entries.append(pollfd(fd: stop, events: Int16(POLLIN), revents: 0))
    // A worker does not outlive its keeper. A negative number is passed over.
    entries.append(pollfd(fd: channel?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
    var deadline = limit
    var isBusy = false
    for place in places {
      // A second client waits until the first has gone.
      guard let client = place.guest.descriptor else {
        if place.isOpen { entries.append(pollfd(fd: place.listener.number, events: Int16(POLLIN), revents: 0)) }
        continue
      }
      let events = place.guest.hasOutput ? POLLOUT : POLLIN
      entries.append(pollfd(fd: client, events: Int16(events), revents: 0))
      for kick in place.guest.kicks { entries.append(pollfd(fd: kick, events: Int16(POLLIN), revents: 0)) }
      if let uplink = place.guest.uplinkDescriptor {
        entries.append(pollfd(fd: uplink, events: Int16(POLLIN), revents: 0))
      }
      if let timer = place.guest.nextTimer { deadline = min(deadline, timer) }
      isBusy = isBusy || place.isBusy
    }
    let now = Self.now
    let left = sleeps && !isBusy && deadline > now ? deadline - now : 0
    let count = unsafe ally_wait(&entries, entries.count, left)
    if count < 0, errno != EINTR { throw HostError("cannot wait for guests", code: errno) }
    if count > 0, entries[0].revents != 0 || entries[1].revents != 0 { return .stop }
    if count > 0 || isBusy { return .work }
    return sleeps || deadline <= now ? .time : .nothing
  }

  /// Does what a guest asks, and lets its NIC work.
  ///
  /// - Parameter onlyWhenAsked: without a message, and when nothing was left to do, the NIC does not work.
  /// - Returns: whether the NIC worked.
  @discardableResult
  private func turn(_ place: Place, onlyWhenAsked: Bool = false) -> Bool {
    accept(place)
    guard place.isConnected else { return false }
    do throws(ConnectionEnd) {
      let served = try place.guest.serveMessages(Self.messagesAtOnce, at: Self.now)
      if onlyWhenAsked && served == 0 && !place.isBusy { return false }
      let isMore = place.guest.work(at: Self.now)
      place.isBusy = served == Self.messagesAtOnce || isMore
      if let failure = place.guest.failure { throw .damaged(failure.message) }
      if place.guest.hasLostMemory { throw .damaged("the client has cut the guest's memory short") }
    } catch {
      place.guest.disconnect()
      place.isBusy = false
      switch error {
      case .closed: tell(.disconnected(path: place.path, reason: "the client has gone"))
      case .damaged(let reason): tell(.disconnected(path: place.path, reason: reason))
      }
      return true
    }
    while place.told < place.guest.complaints.count {
      tell(.refused(path: place.path, reason: place.guest.complaints[place.told]))
      place.told += 1
    }
    return true
  }

  /// Takes a client when there is none; another waits.
  private func accept(_ place: Place) {
    let number = !place.isConnected && place.isOpen ? ally_accept(place.listener.number) : -1
    guard number >= 0 else { return }
    place.guest.connect(OwnedDescriptor(number))
    tell(.connected(path: place.path))
  }
}
