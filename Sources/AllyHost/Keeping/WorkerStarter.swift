internal import CAllyLinux
internal import Glibc

/// The process that starts a keeper's workers: it has read the rules and made the NICs, and each worker is a fork of it, made
/// when all is set up. It serves nobody and reads nothing but its keeper's orders.
///
/// An upgrade is another of these, which the one before starts from an executable, and which goes on with what that has opened.
public final class WorkerStarter {
  private let line: StarterLine
  /// What keeper and workers share.
  public let page: KeeperPage
  var inheritance: Inheritance
  /// Standard error as the command has it, while this process has another.
  private var standardError: Int32?

  private var worker: Child?
  private var successor: Child?
  /// Whether the successor ends with this process.
  private var isReleased = false

  private struct Child {
    var process: pid_t
    /// Readable when it has ended.
    var end: OwnedFile

    init?(_ process: pid_t) {
      self.process = process
      end = OwnedFile(ally_child_descriptor(process))
      if end.number < 0 { return nil }
    }
  }

  static let lineName = "line to the keeper"
  static let errorName = "standard error"
  static let pageName = "keeper's page"

  /// - Parameter inheritance: of which the page is noted here.
  init(_ line: StarterLine, _ page: KeeperPage, _ inheritance: consuming Inheritance) throws(HostError) {
    self.line = line
    self.page = page
    var inheritance = inheritance
    standardError = inheritance.takeOwn(Self.errorName)
    try inheritance.note(page.memory, as: Self.pageName, layout: KeeperPage.layout)
    self.inheritance = inheritance
  }

  /// Whether this is not the command's first executable: rights are given up already.
  public var isSuccessor: Bool { inheritance.isSuccessor }

  /// A descriptor that the executable before has left, and that is now the caller's; nil without one.
  public func leftDescriptor(_ name: String) -> Int32? { inheritance.take(name) }

  /// Leaves a descriptor, which stays open, to the executable that comes after this one.
  public func leave(_ descriptor: Int32, as name: String) { inheritance.note(descriptor, as: name) }

  // MARK: - Orders

  /// All is set up. Returns in each worker, and never in this process, which has one thread.
  public func begin() throws(HostError) -> KeeperChannel {
    try inheritance.requireAllOfGuests()
    ally_allow_descriptors()
    var before = ally_signals()
    // What asks for something is the keeper's to pass on.
    let signals = unsafe ally_signals_take(&before)
    guard signals >= 0 else { throw HostError("cannot hold signals back", code: errno) }
    close(signals)
    line.send(StarterReport.ready.bytes)
    while true {
      var entries = [line.descriptor, worker?.end.number ?? -1, successor?.end.number ?? -1].map {
        pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
      }
      if unsafe poll(&entries, nfds_t(entries.count), -1) < 0 { continue }
      if entries[1].revents != 0, let end = Self.reap(&worker) { line.send(StarterReport.workerEnded(end).bytes) }
      if entries[2].revents != 0, let end = Self.reap(&successor), !isReleased {
        line.send(StarterReport.successorEnded(end).bytes)
      }
      guard entries[0].revents != 0 else { continue }
      switch line.receive() {
      case .none: continue
      case .end: end()
      case .bytes(let bytes, let descriptors):
        guard let order = StarterOrder(bytes) else { continue }
        if let channel = try carryOut(order, descriptors, &before) { return channel }
      }
    }
  }

  private func carryOut(
    _ order: StarterOrder, _ descriptors: ReceivedDescriptors, _ before: inout ally_signals
  ) throws(HostError) -> KeeperChannel? {
    switch order {
    case .start:
      guard worker == nil, let notes = descriptors.takeFirst() else { return nil }
      let socket = OwnedDescriptor(notes)
      try settle()
      let child = ally_fork(1)
      guard child != 0 else {
        unsafe ally_signals_return(&before)
        line.close()
        successor = nil
        return try KeeperChannel.receive(at: socket)
      }
      worker = child < 0 ? nil : Child(child)
      if worker == nil {
        if child > 0 { kill(child, SIGKILL) }
        line.send(StarterReport.workerEnded(.status(1)).bytes)
      }
    case .signal(let number): if let worker { kill(worker.process, number) }
    case .succeed(let arguments): start(arguments, descriptors.takeAll(), &before)
    case .abandon: if let successor { kill(successor.process, SIGKILL) }
    case .release: isReleased = true
    }
    return nil
  }

  /// What was tried out becomes what is kept, and standard error what it was before.
  func settle() throws(HostError) {
    try inheritance.settle()
    if let number = standardError {
      dup2(number, STDERR_FILENO)
      close(number)
      standardError = nil
    }
  }

  private func start(_ arguments: [String], _ received: [Int32], _ before: inout ally_signals) {
    defer { for number in received { close(number) } }
    guard successor == nil, received.count == 2, let path = arguments.first else { return }
    isReleased = false
    let child = ally_fork(0)
    if child == 0 {
      let standardError = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
      dup2(received[1], STDERR_FILENO)
      unsafe ally_signals_return(&before)
      let (list, numbers) = inheritance.bequest(with: [Self.lineName: received[0], Self.errorName: standardError])
      // Strings that live until the program is another.
      var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
      unsafe ally_exec(path, &words, strdup(Inheritance.variable + "=" + list), numbers, numbers.count)
      let reason = HostError("cannot run \(path)", code: errno).message + "\n"
      _ = unsafe write(STDERR_FILENO, reason, reason.utf8.count)
      // EX_NOINPUT.
      _exit(66)
    }
    successor = child < 0 ? nil : Child(child)
    if successor == nil { line.send(StarterReport.successorEnded(.status(1)).bytes) }
  }

  private static func reap(_ child: inout Child?) -> ProcessEnd? {
    guard let process = child?.process else { return nil }
    var status: Int32 = 0
    switch unsafe ally_death(process, &status) {
    case 0: return nil
    case 2:
      child = nil
      return .signal(status - 128)
    default:
      child = nil
      return .status(status)
    }
  }

  /// The keeper is gone, or has another starter.
  private func end() -> Never {
    if let worker { kill(worker.process, SIGKILL) }
    if let successor, !isReleased { kill(successor.process, SIGKILL) }
    if let worker { _ = ally_await_child(worker.process) }
    _exit(0)
  }
}
