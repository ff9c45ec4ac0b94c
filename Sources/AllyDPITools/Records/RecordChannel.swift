internal import AllyDPI
internal import AllyTools
internal import Glibc

/// A socket or a pipe that takes records, whose reader may be slow, or go and come again.
///
/// Each record is sent when it comes, unless that would mean to wait; then it is queued. With ``RecordPatience/drops`` what
/// finds the queue full is dropped and counted, and a listener that has gone is looked for once a second. With
/// ``RecordPatience/waits`` the caller waits, and a reader that has gone is a failure.
final class RecordChannel: RecordOutput {
  enum Place {
    case stream(String)
    case datagram(String)
    case pipe(String)

    var path: String {
      switch self {
      case .stream(let path), .datagram(let path), .pipe(let path): path
      }
    }
  }

  private let place: Place
  private let patience: RecordPatience
  private var descriptor: Int32 = -1
  private var queue: RecordQueue
  /// When to look for the listener again, in seconds of a clock that does not run backwards.
  private var nextAttempt = 0
  private(set) var records: UInt64 = 0
  private(set) var droppedRecords: UInt64 = 0
  private(set) var failure: CommandFailure?

  /// What waits at the most: some ten thousand records.
  private static let capacity = 16 << 20

  /// Connects.
  ///
  /// - Throws: ``ExitStatus/cannotCreate`` when that is impossible, and there is no later.
  init(
    to place: Place, _ patience: RecordPatience, capacity: Int = RecordChannel.capacity
  ) throws(CommandFailure) {
    self.place = place
    self.patience = patience
    queue = RecordQueue(capacity: capacity)
    let code = connect()
    if code == 0 { return }
    let reason = "cannot connect to \(place.path): \(systemMessage(code))"
    guard patience == .drops, code != ENAMETOOLONG else { throw CommandFailure(.cannotCreate, reason) }
    Console.complain("\(reason); tried again each second, records wait meanwhile")
  }

  deinit { disconnect() }

  /// Whether records wait for the reader.
  var isWaiting: Bool { !queue.isEmpty }

  /// Lets the reader see the end.
  func disconnect() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  func write(record: RawSpan) {
    guard failure == nil else { return }
    if !queue.hasRoom(for: record.byteCount) {
      send()
      if patience == .waits { wait(untilRoomFor: record.byteCount) }
    }
    guard failure == nil, queue.hasRoom(for: record.byteCount) else {
      droppedRecords += 1
      return
    }
    queue.append(record)
    records += 1
    send()
  }

  func flush() { send() }

  func close() throws(CommandFailure) {
    send()
    // Nothing is held up any more; a reader that is there has a second.
    let attempts = patience == .waits ? Int.max : 20
    wait(untilRoomFor: nil, attempts: attempts)
    if failure == nil, !queue.isEmpty {
      failure = CommandFailure(.cannotWrite, "\(place.path): the last \(queue.count) bytes found no reader")
    }
    if let failure { throw failure }
  }

  /// Waits until the queue has room, or is empty.
  ///
  /// - Parameter attempts: how often to try, a twentieth of a second apart.
  private func wait(untilRoomFor length: Int?, attempts: Int = .max) {
    var left = attempts
    // A record that is longer than the queue finds no room even when that is empty.
    while left > 0, failure == nil, descriptor >= 0, !queue.isEmpty, length.map({ !queue.hasRoom(for: $0) }) ?? true {
      var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      _ = unsafe poll(&entry, 1, 50)
      send()
      left -= 1
    }
  }

  // MARK: - Sending

  /// Sends what the reader takes now.
  private func send() {
    guard failure == nil, !queue.isEmpty, isConnected else { return }
    while !queue.isEmpty {
      let code = sendSome()
      switch code {
      case 0: continue
      case EAGAIN, ENOBUFS: return
      case EINTR: continue
      case EMSGSIZE:
        queue.removeFirst(queue.firstLine.count)
        records -= 1
        droppedRecords += 1
      default: return lose(code)
      }
    }
  }

  /// - Returns: 0, or why nothing was sent.
  private func sendSome() -> Int32 {
    let bytes = if case .datagram = place { queue.firstLine } else { queue.waiting }
    let sent = unsafe bytes.withUnsafeBytes { bytes in
      // The bytes are the queue's, as many as the buffer says.
      if case .pipe = place { return unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
      return unsafe Glibc.send(
        descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }
    if sent < 0 { return errno }
    queue.removeFirst(sent)
    return 0
  }

  /// The reader has gone.
  private func lose(_ code: Int32) {
    disconnect()
    // Nobody opens standard output again.
    if patience == .waits || place.path == "/dev/stdout" {
      failure = CommandFailure(.cannotWrite, "cannot write to \(place.path): \(systemMessage(code))")
    }
    if queue.isTorn {
      // Its beginning is lost, and no reader can do anything with the rest.
      queue.removeFirst(queue.firstLine.count)
      records -= 1
      droppedRecords += 1
    }
  }

  // MARK: - The connection

  private var isConnected: Bool {
    if descriptor >= 0 { return true }
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    guard now.tv_sec >= nextAttempt else { return false }
    nextAttempt = now.tv_sec + 1
    return connect() == 0
  }

  /// - Returns: 0, or why not.
  private func connect() -> Int32 {
    switch place {
    case .stream(let path): return connect(path, SOCK_STREAM)
    case .datagram(let path): return connect(path, SOCK_DGRAM)
    case .pipe(let path):
      // A named pipe without a reader: those who have time wait for one here, the others are refused.
      descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC | (patience == .drops ? O_NONBLOCK : 0))
      guard descriptor >= 0 else { return errno }
      // The flag is of this opening alone, not of whoever else has standard output.
      return fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno
    }
  }

  private func connect(_ path: String, _ kind: __socket_type) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = Array(path.utf8)
    guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { return ENAMETOOLONG }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
    let number = socket(AF_UNIX, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { return errno }
    let result = unsafe withUnsafePointer(to: &address) { address in
      // A sockaddr_un is a sockaddr with more behind it, of the length that is given.
      unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else {
      let code = errno
      Glibc.close(number)
      return code
    }
    descriptor = number
    return 0
  }
}
