internal import CAllyLinux
internal import Glibc

/// The connection to a QEMU that runs no processor but carries out what it is told: the qtest protocol, a line of text each
/// way for each access.
struct QTestConnection: ~Copyable {
  private let socket: OwnedDescriptor
  private var buffer: [UInt8] = []
  private var start = 0
  private var chunk = [UInt8](repeating: 0, count: 4096)
  /// Levels of the intercepted pins, a bit each.
  private(set) var pins: UInt64 = 0
  /// Rises of intercepted pins, all together.
  private(set) var rises: UInt64 = 0
  /// Why it no longer works.
  private(set) var failure: HostError?

  /// Seconds for an answer of a QEMU that starts, and of one that runs.
  private static var patience: (atStart: UInt32, later: UInt32) { (60, 10) }
  /// The most lines that QEMU says before an answer, and without being asked; and the most bytes of one.
  private static var mostNews: Int { 4096 }
  private static var longestLine: Int { 4096 }

  init(_ socket: consuming OwnedDescriptor) {
    self.socket = socket
    ally_receive_patience(self.socket.number, Self.patience.atStart)
  }

  /// QEMU has started: from here on an answer comes soon, or never.
  func noteStarted() { ally_receive_patience(socket.number, Self.patience.later) }

  /// Carries a command out.
  ///
  /// - Returns: what it reads, or 0; nil when QEMU is gone or refuses.
  @discardableResult
  mutating func command(_ text: String) -> UInt64? {
    guard failure == nil else { return nil }
    var line = Array(text.utf8)
    line.append(UInt8(ascii: "\n"))
    var sent = 0
    while sent < line.count {
      let count = unsafe line[sent...].withUnsafeBytes { bytes in
        unsafe send(socket.number, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return fail("QEMU does not listen any more") }
      sent += count
    }
    for _ in 0..<Self.mostNews {
      switch nextLine(waiting: true) {
      case .done(let value): return value ?? 0
      case .pin(let pin, let isHigh): note(pin, isHigh)
      case .failed(let words): return fail("QEMU answered `\(words)` to `\(text)`")
      case nil: return nil
      }
    }
    return fail("QEMU talks and does not answer")
  }

  /// Takes what QEMU has said without being asked.
  mutating func takeNews() {
    for _ in 0..<Self.mostNews {
      guard let line = nextLine(waiting: false) else { return }
      if case .pin(let pin, let isHigh) = line { note(pin, isHigh) }
    }
  }

  /// The machine was reset: no pin is high.
  mutating func forgetPins() { pins = 0 }

  private mutating func note(_ pin: Int, _ isHigh: Bool) {
    guard (0..<64).contains(pin) else { return }
    if isHigh {
      rises &+= 1
      pins |= 1 << UInt64(pin)
    } else {
      pins &= ~(1 << UInt64(pin))
    }
  }

  @discardableResult
  mutating func fail(_ message: String) -> UInt64? {
    failure = HostError(message)
    return nil
  }

  private mutating func nextLine(waiting: Bool) -> QTestLine? {
    while true {
      if let end = buffer[start...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = end + 1 }
        return QTestLine(buffer[start..<end])
      }
      buffer.removeFirst(start)
      start = 0
      guard buffer.count <= Self.longestLine else {
        fail("QEMU does not end its line")
        return nil
      }
      let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe recv(socket.number, $0.baseAddress, $0.count, flags)
      }
      let code = errno
      if count > 0 { buffer += chunk[..<count] }
      if count > 0 || (count < 0 && code == EINTR) { continue }
      if count < 0, code == EAGAIN, !waiting { return nil }
      fail(count < 0 && code == EAGAIN ? "QEMU does not answer" : "QEMU has ended")
      return nil
    }
  }
}
