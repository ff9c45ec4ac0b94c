internal import CAllyLinux
internal import Glibc

/// The connection to a QEMU that runs no processor but carries out what it is told: the qtest protocol, a line of text each
/// way for each access.
struct QTestConnection: ~Copyable {
  private let socket: OwnedDescriptor
  private var buffer: [UInt8] = []
  private var start = 0
  /// Levels of the intercepted pins, a bit each.
  private(set) var pins: UInt64 = 0
  /// Rises of intercepted pins, all together.
  private(set) var rises: UInt64 = 0
  /// Why it no longer works.
  private(set) var failure: HostError?

  init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

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
    while let answer = nextLine(waiting: true) {
      switch answer {
      case .done(let value): return value ?? 0
      case .pin(let pin, let isHigh): note(pin, isHigh)
      case .failed(let words): return fail("QEMU answered `\(words)` to `\(text)`")
      }
    }
    return nil
  }

  /// Takes what QEMU has said without being asked.
  mutating func takeNews() {
    while let line = nextLine(waiting: false) {
      if case .pin(let pin, let isHigh) = line { note(pin, isHigh) }
    }
  }

  private mutating func note(_ pin: Int, _ isHigh: Bool) {
    guard (0..<64).contains(pin) else { return }
    if isHigh {
      rises &+= 1
      pins |= 1 << UInt64(pin)
    } else {
      pins &= ~(1 << UInt64(pin))
    }
  }

  private mutating func fail(_ message: String) -> UInt64? {
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
      let place = buffer.count
      buffer.append(contentsOf: repeatElement(0, count: 4096))
      let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
      let count = unsafe buffer.withUnsafeMutableBytes {
        unsafe recv(socket.number, $0.baseAddress! + place, 4096, flags)
      }
      let code = errno
      buffer.removeLast(4096 - max(0, count))
      if count > 0 || (count < 0 && code == EINTR) { continue }
      if count < 0, code == EAGAIN { return nil }
      _ = fail("QEMU has ended")
      return nil
    }
  }
}
