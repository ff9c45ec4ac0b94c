internal import Glibc

/// Standard output and standard error, without buffers of their own and with errors that do not get lost.
public enum Console {
  /// Writes lines to standard output.
  public static func print(_ text: String) throws(CommandFailure) {
    guard let code = write(text + "\n", to: STDOUT_FILENO) else { return }
    // `ids … | head` is no failure: the reader has what it wanted.
    if code == EPIPE { return }
    throw CommandFailure(.cannotWrite, "cannot write to standard output: \(systemMessage(code))")
  }

  /// Writes one line to standard error; characters that would break the line or steer a terminal become `?`.
  public static func complain(_ line: String) {
    let clean = String(line.map { $0.isControl ? "?" : $0 })
    // When standard error is gone there is nobody left to tell.
    _ = write(clean + "\n", to: STDERR_FILENO)
  }

  /// Whether standard error is a terminal, where a progress bar helps.
  public static var showsProgress: Bool { isatty(STDERR_FILENO) == 1 }

  /// - Returns: nil, or the error number.
  static func write(_ text: String, to descriptor: Int32) -> Int32? {
    var text = text
    return text.withUTF8 { bytes in
      var written = 0
      while written < bytes.count {
        let count = unsafe Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        written += count
      }
      return nil
    }
  }
}

extension Character {
  fileprivate var isControl: Bool {
    unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
  }
}

/// What the system calls an error, in lower case as it stands in the middle of a line.
public func systemMessage(_ code: Int32) -> String {
  let text = unsafe String(cString: strerror(code))
  return text.prefix(1).lowercased() + text.dropFirst()
}
