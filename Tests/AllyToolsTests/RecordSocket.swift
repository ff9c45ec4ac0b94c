import Foundation
import Glibc

/// The reading end of a unix socket, as a collector of records has it.
final class RecordSocket {
  private let listener: Int32
  private let isStream: Bool
  private var reader: Int32 = -1

  init(_ path: String, _ kind: __socket_type) throws {
    isStream = kind == SOCK_STREAM
    listener = socket(AF_UNIX, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
    unsafe unlink(path)
    let result = unsafe withUnsafePointer(to: &address) { address in
      unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, !isStream || listen(listener, 1) == 0 else { throw Failure(code: errno) }
  }

  deinit {
    hangUp()
    close(listener)
  }

  struct Failure: Error { var code: Int32 }

  /// The reader goes; the socket's name stays, and its queue is emptied.
  func hangUp() {
    if reader >= 0 { close(reader) }
    reader = -1
  }

  /// What has come, as far as it has; waits for the first bytes.
  func read(_ most: Int = 1 << 16) -> [UInt8] {
    if isStream, reader < 0 { reader = accept(listener, nil, nil) }
    var bytes = [UInt8](repeating: 0, count: most)
    let count = unsafe recv(isStream ? reader : listener, &bytes, most, 0)
    return Array(bytes.prefix(max(count, 0)))
  }

  /// Everything up to the end of the stream.
  func readAll() -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let some = read()
      if some.isEmpty { return all }
      all += some
    }
  }
}

/// Reads everything that comes to a socket until the end, on a thread of its own: it waits, and the threads that run tests are
/// few.
final class RecordReader: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  /// The thread's until ``done``.
  private var received: [UInt8] = []

  init(_ socket: RecordSocket) {
    // Only that thread uses it.
    nonisolated(unsafe) let socket = socket
    Thread.detachNewThread {
      self.received = unsafe socket.readAll()
      self.done.signal()
    }
  }

  /// Waits for the end.
  func bytes() -> [UInt8] {
    done.wait()
    return received
  }
}
