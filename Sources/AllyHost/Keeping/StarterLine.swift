internal import CAllyLinux
internal import Glibc

/// What a keeper asks of the process that starts its workers.
enum StarterOrder: Equatable {
  /// Start a worker; with it comes the worker's end of its notes.
  case start
  /// Send the worker a signal.
  case signal(Int32)
  /// Start another executable, with these arguments, the first of which is its path. With it come its line to the keeper, and
  /// what it has for standard error at first.
  case succeed([String])
  /// End that executable.
  case abandon
  /// It is on its own from now on.
  case release

  var bytes: [UInt8] {
    switch self {
    case .start: [1]
    case .signal(let number): [2, UInt8(truncatingIfNeeded: number)]
    case .succeed(let arguments): [3] + Array(arguments.joined(separator: "\0").utf8)
    case .abandon: [4]
    case .release: [5]
    }
  }

  init?(_ bytes: ArraySlice<UInt8>) {
    switch (bytes.first, bytes.count) {
    case (1, 1): self = .start
    case (2, 2): self = .signal(Int32(bytes[bytes.startIndex + 1]))
    case (3, _):
      let words = bytes.dropFirst().split(separator: 0, omittingEmptySubsequences: false)
      self = .succeed(words.map { String(decoding: $0, as: UTF8.self) })
    case (4, 1): self = .abandon
    case (5, 1): self = .release
    default: return nil
    }
  }
}

/// What that process tells its keeper.
enum StarterReport: Equatable {
  /// All is set up, and it waits for orders.
  case ready
  case workerEnded(ProcessEnd)
  case successorEnded(ProcessEnd)

  var bytes: [UInt8] {
    switch self {
    case .ready: [1]
    case .workerEnded(let end): [2] + end.bytes
    case .successorEnded(let end): [3] + end.bytes
    }
  }

  init?(_ bytes: ArraySlice<UInt8>) {
    switch (bytes.first, ProcessEnd(bytes.dropFirst())) {
    case (1, nil) where bytes.count == 1: self = .ready
    case (2, let end?): self = .workerEnded(end)
    case (3, let end?): self = .successorEnded(end)
    default: return nil
    }
  }
}

/// How a process has ended: by itself, or by a signal.
enum ProcessEnd: Equatable {
  case status(Int32)
  case signal(Int32)

  fileprivate var bytes: [UInt8] {
    switch self {
    case .status(let number): [0, UInt8(truncatingIfNeeded: number)]
    case .signal(let number): [1, UInt8(truncatingIfNeeded: number)]
    }
  }

  fileprivate init?(_ bytes: ArraySlice<UInt8>) {
    guard bytes.count == 2, let number = bytes.last.map(Int32.init) else { return nil }
    self = bytes.first == 0 ? .status(number) : .signal(number)
  }
}

/// One end of the line between a keeper and a process that starts its workers. Neither side waits for the other in a call.
final class StarterLine {
  private let socket: OwnedFile

  /// More bytes than the arguments of a program that a keeper is asked for.
  static let longest = 1 << 16

  init(_ socket: OwnedFile) { self.socket = socket }

  var descriptor: Int32 { socket.number }
  func close() { socket.close() }

  enum Message {
    case none
    case end
    case bytes(ArraySlice<UInt8>, ReceivedDescriptors)
  }

  @discardableResult
  func send(_ bytes: [UInt8], _ descriptors: [Int32] = []) -> Bool {
    while true {
      // The bytes and descriptors are as many as is said.
      let sent = unsafe ally_send(
        socket.number, bytes, bytes.count, Int32(MSG_DONTWAIT), descriptors, descriptors.count)
      if sent == bytes.count { return true }
      if sent >= 0 || errno != EINTR { return false }
    }
  }

  func receive() -> Message {
    var bytes = [UInt8](repeating: 0, count: Self.longest)
    var numbers: [Int32] = [-1, -1]
    var count = 0
    while true {
      // As many bytes and descriptors as is said; others are closed.
      let received = unsafe ally_receive(
        socket.number, &bytes, bytes.count, Int32(MSG_DONTWAIT), &numbers, numbers.count, &count)
      if received < 0, errno == EINTR { continue }
      if received < 0, errno == EAGAIN { return .none }
      guard received > 0 else { return .end }
      let descriptors = ReceivedDescriptors()
      descriptors.append(numbers[..<count])
      return .bytes(bytes[..<received], descriptors)
    }
  }
}
