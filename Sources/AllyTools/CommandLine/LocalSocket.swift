internal import Glibc

/// One end of a connection over a unix stream socket, on which lines are exchanged.
public struct LocalSocket: ~Copyable {
  /// Bytes of a line that is read at most.
  private static var longestLine: Int { 1 << 20 }

  private let descriptor: Int32
  /// What was read behind the last line.
  private var rest: [UInt8] = []

  fileprivate init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Connects to a socket that somebody listens at.
  public init(connectingTo path: String) throws(CommandFailure) {
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw CommandFailure(.systemFault, "cannot make a socket: \(systemMessage(errno))") }
    var isConnected = false
    do {
      isConnected = unsafe try LocalAddress.with(path) { address, length in unsafe connect(number, address, length) == 0
      }
    } catch {
      close(number)
      throw error
    }
    guard isConnected else {
      let code = errno
      close(number)
      throw CommandFailure(.missingInput, "cannot connect to \(path): \(systemMessage(code))")
    }
    descriptor = number
  }

  /// Reads what comes up to the next line feed, or up to the end of a JSON object that has none behind it.
  ///
  /// - Parameter milliseconds: how long to wait for more.
  /// - Returns: nil when the other side has nothing more to say, says too much, or takes too long.
  public mutating func readLine(milliseconds: Int32) -> String? {
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        defer { rest.removeFirst(end + 1) }
        return String(decoding: rest[..<end], as: UTF8.self)
      }
      if rest.first == UInt8(ascii: "{"), isWholeObject {
        defer { rest.removeAll() }
        return String(decoding: rest, as: UTF8.self)
      }
      guard rest.count < Self.longestLine, wait(milliseconds: milliseconds) else { return nil }
      let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return nil }
      rest += chunk[..<count]
    }
  }

  /// Writes a line.
  ///
  /// - Returns: whether the other side still takes it.
  public func writeLine(_ line: String) -> Bool {
    let bytes = Array((line + "\n").utf8)
    var written = 0
    while written < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { bytes in
        // `written` is less than the count.
        unsafe send(
          descriptor, bytes.baseAddress.unsafelyUnwrapped + written, bytes.count - written, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      written += count
    }
    return true
  }

  private func wait(milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, milliseconds) > 0
  }

  /// Whether as many braces are closed as opened, those in texts left out.
  private var isWholeObject: Bool {
    var depth = 0
    var isText = false
    var isEscaped = false
    for byte in rest {
      if isEscaped {
        isEscaped = false
      } else if isText {
        if byte == UInt8(ascii: "\\") { isEscaped = true }
        if byte == UInt8(ascii: "\"") { isText = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isText = true
        case UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: "}"): depth -= 1
        default: break
        }
      }
    }
    return depth == 0
  }
}

/// A unix stream socket that listens, with the rights of this user alone.
public struct LocalListener: ~Copyable {
  private let path: String
  private let descriptor: Int32

  /// Makes the socket. What is no socket is left where it is; a socket that nobody listens at is one that an earlier run left
  /// behind.
  ///
  /// - Throws: ``ExitStatus/cannotCreate``.
  public init(at path: String) throws(CommandFailure) {
    var information = stat()
    if unsafe lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFSOCK {
      if Self.isInUse(path) { throw CommandFailure(.cannotCreate, "\(path) is in use") }
      unsafe unlink(path)
    }
    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { throw CommandFailure(.systemFault, "cannot make a socket: \(systemMessage(errno))") }
    // The name's rights are those of the socket. The mask for new files is not touched: it is every thread's.
    fchmod(number, S_IRUSR | S_IWUSR)
    var isBound = false
    do {
      isBound = unsafe try LocalAddress.with(path) { address, length in unsafe bind(number, address, length) == 0 }
    } catch {
      close(number)
      throw error
    }
    var code = errno
    if isBound, listen(number, 4) != 0 {
      code = errno
      unsafe unlink(path)
      isBound = false
    }
    // What has the name now is somebody else's, and stays.
    guard isBound else {
      close(number)
      throw CommandFailure(.cannotCreate, "cannot make the socket \(path): \(systemMessage(code))")
    }
    self.path = path
    descriptor = number
  }

  /// A socket that listens already.
  init(at path: String, inheriting number: Int32) {
    self.path = path
    descriptor = number
  }

  private static func isInUse(_ path: String) -> Bool {
    do {
      _ = try LocalSocket(connectingTo: path)
      return true
    } catch {
      return false
    }
  }

  deinit {
    close(descriptor)
    unsafe unlink(path)
  }

  /// Readable when somebody wants to connect.
  public var number: Int32 { descriptor }

  /// The next connection; nil when it is gone already.
  public func accept() -> LocalSocket? {
    let number = Glibc.accept(descriptor, nil, nil)
    guard number >= 0 else { return nil }
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    return LocalSocket(descriptor: number)
  }
}

/// The address of a unix socket as the system takes it.
private enum LocalAddress {
  static func with(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Bool
  ) throws(CommandFailure) -> Bool {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard !bytes.isEmpty, bytes.count < room else {
      throw CommandFailure(.usage, "the socket '\(path)': expected a path of 1 to \(room - 1) bytes")
    }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
