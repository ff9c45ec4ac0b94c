internal import CAllyLinux
internal import Glibc

/// The process that starts inspectors, one after the other: the interceptor itself can start nothing once it has given its rights
/// up. It reads orders of the interceptor, and tells it when an inspector has ended.
///
/// It was forked before anything was read or opened, and so is each inspector, from it: what an inspector has in memory is its own.
enum InspectorStarter {
  enum Order {
    /// Start the inspector with this number.
    case start(UInt32)
    /// End the inspector, whatever it does.
    case kill

    var bytes: [UInt8] {
      switch self {
      case .start(let number): [1] + littleEndian(number)
      case .kill: [2, 0, 0, 0, 0]
      }
    }

    init?(_ bytes: [UInt8]) {
      switch bytes[0] {
      case 1: self = .start(InspectorStarter.number(bytes[1...]))
      case 2: self = .kill
      default: return nil
      }
    }
  }

  /// Bytes of an order, and of a report, which is the exit status.
  static var orderLength: Int { 5 }
  static var reportLength: Int { 4 }
  /// Milliseconds that an inspector has to end by itself when the interceptor is gone.
  private static var patience: Int32 { 10_000 }

  static func littleEndian(_ number: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
  }

  static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } }

  /// Serves the interceptor. Returns in each inspector's process, with its number; never in the starter's.
  ///
  /// - Parameter socket: where orders come from, in whole messages.
  static func run(_ socket: Int32) -> UInt32 {
    // Who ends the command from a terminal means the interceptor.
    for number in [SIGINT, SIGTERM, SIGHUP, SIGUSR2] { signal(number, SIG_IGN) }
    var child: pid_t = -1
    // Both ends of a pipe that only the inspector keeps open.
    var life: Int32 = -1
    while true {
      var entries = [
        pollfd(fd: socket, events: Int16(POLLIN), revents: 0), pollfd(fd: life, events: Int16(POLLIN), revents: 0),
      ]
      if unsafe poll(&entries, 2, -1) < 0 { continue }
      if child > 0, entries[1].revents != 0 { report(&child, &life, to: socket) }
      guard entries[0].revents != 0 else { continue }
      var bytes = [UInt8](repeating: 0, count: orderLength)
      guard unsafe read(socket, &bytes, bytes.count) == bytes.count, let order = Order(bytes) else {
        end(&child, &life)
        _exit(0)
      }
      switch order {
      case .kill: if child > 0 { kill(child, SIGKILL) }
      case .start(let number):
        guard child < 0 else { continue }
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { _exit(1) }
        child = ally_fork(1)
        if child == 0 {
          close(ends[0])
          close(socket)
          return number
        }
        close(ends[1])
        life = ends[0]
        if child < 0 { report(&child, &life, to: socket) }
      }
    }
  }

  /// The inspector has ended.
  private static func report(_ child: inout pid_t, _ life: inout Int32, to socket: Int32) {
    // It has closed its end of the pipe, which it does when it ends; were it to do so before, it is not what it was.
    if child > 0 { kill(child, SIGKILL) }
    let status = child > 0 ? ally_await_child(child) : 1
    close(life)
    child = -1
    life = -1
    let bytes = littleEndian(UInt32(bitPattern: status))
    _ = unsafe write(socket, bytes, bytes.count)
  }

  /// The interceptor is gone.
  private static func end(_ child: inout pid_t, _ life: inout Int32) {
    guard child > 0 else { return }
    if !awaitInput(life, milliseconds: patience) { kill(child, SIGKILL) }
    _ = ally_await_child(child)
  }
}
