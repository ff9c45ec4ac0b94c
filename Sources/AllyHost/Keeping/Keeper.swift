internal import CAllyLinux
internal import Glibc

/// A process that keeps others alive: it holds what a guest's NIC consists of besides memory (sockets, event descriptors,
/// guests' memory), and has a worker that serves it; when the worker dies it has another started at once, which goes on.
///
/// It reads no byte of a guest and none of a wire: notes of 16 bytes from its worker, reports from the process that starts
/// workers (``WorkerStarter``), what an operator asks for, and signals, are all.
public enum Keeper {
  /// What an operator would like to hear of.
  public enum Event: Sendable {
    /// A worker died of a signal, and another takes over.
    case replaced(signal: Int32, isStalled: Bool)
    /// Workers die as soon as they begin, or there is nobody to start one: there is no point in another.
    case gaveUp(reason: String)
    /// Another executable serves.
    case upgraded(executable: String)
    /// It does not, and the one before goes on.
    case refused(reason: String)
  }

  /// Whether this process is to take another executable's place.
  public static var isSuccessor: Bool { Inheritance.isThere }

  /// Makes two processes of one: this one becomes the keeper, for good, and what returns is the process that starts workers.
  /// In an executable that takes another's place there is a keeper, and this process returns.
  ///
  /// The calling process has one thread and has opened nothing yet. Signals that ask for something (SIGINT, SIGTERM, SIGHUP,
  /// SIGUSR1, SIGUSR2) are passed on to the worker; when a worker ends by itself, the keeper ends with the same exit status.
  ///
  /// - Parameters:
  ///   - path: where an operator can ask for another executable; nil for nowhere.
  ///   - failure: the keeper's exit status when it gives up.
  ///   - letGo: closes, in the keeper, what of this process is not for it.
  ///   - giveUp: gives the keeper's rights up. Called when the other process is ready, which has done so too.
  ///   - tell: is told, in the keeper, what happens.
  public static func split(
    control path: String?, failure: Int32, letGo: () -> Void = {}, giveUp: () throws(HostError) -> Void,
    tell: (Event) -> Void
  ) throws(HostError) -> WorkerStarter {
    var inheritance = Inheritance()
    let page = try KeeperPage()
    if inheritance.isSuccessor {
      guard let number = inheritance.takeOwn(WorkerStarter.lineName) else { throw HostError("there is no keeper") }
      return try WorkerStarter(StarterLine(OwnedFile(number)), page, inheritance)
    }
    let executable = try ownPath()
    let control = try path.map { path throws(HostError) in try KeeperControl(at: path) }
    let ends = try pair()
    let child = ally_fork(0)
    guard child >= 0 else { throw HostError("cannot start a process", code: errno) }
    if child == 0 {
      ends.0.close()
      return try WorkerStarter(StarterLine(ends.1), page, inheritance)
    }
    ends.1.close()
    letGo()
    do throws(HostError) {
      let process = try KeeperProcess(
        page: page, control: control, starter: StarterLine(ends.0), process: child,
        command: [executable] + CommandLine.arguments.dropFirst(), failure: failure)
      process.run(giveUp: giveUp, tell: tell)
    } catch {
      kill(child, SIGKILL)
      throw error
    }
  }

  /// Two ends of a line that keeps messages apart.
  static func pair() throws(HostError) -> (OwnedFile, OwnedFile) {
    let ends = try connectedSockets(SOCK_SEQPACKET)
    return (OwnedFile(ends.0), OwnedFile(ends.1))
  }

  /// The path of this executable, which later may be another's.
  private static func ownPath() throws(HostError) -> String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    // As many bytes as is said.
    let count = unsafe readlink("/proc/self/exe", &path, path.count)
    guard count > 0 else { throw HostError("cannot tell this program's path", code: errno) }
    return String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
