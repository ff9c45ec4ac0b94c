internal import Glibc

/// A file being written: straight, or beside its final name until it is complete.
public struct OutputFile: ~Copyable {
  /// Why the system refused, and how much it had taken before.
  public struct Failure: Error {
    public var reason: String
    /// Bytes of the failed call that were written.
    public var written: Int = 0
  }

  private let path: String
  /// The name that the file has until it is complete; nil when it is written straight.
  private var temporaryPath: String?
  private let descriptor: Int32
  /// Bytes in the file so far.
  public private(set) var length: UInt64

  /// Opens a file for writing straight under its name.
  ///
  /// - Parameter appending: keeps what is there; otherwise the file begins empty.
  public init(writing path: String, appending: Bool) throws(Failure) {
    let mode = appending ? O_APPEND : O_TRUNC
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | mode, 0o666)
    guard descriptor >= 0 else { throw Failure(reason: systemMessage(errno)) }
    self.path = path
    length = UInt64(clamping: lseek(descriptor, 0, SEEK_END))
  }

  /// Opens a file that takes its name, and the place of what has it now, in ``commit()``.
  ///
  /// What is no regular file (a pipe, a device, `-` for standard output) is written straight.
  public init(replacing path: String) throws(Failure) {
    self.path = path
    length = 0
    if path == "-" {
      descriptor = dup(STDOUT_FILENO)
    } else if path.isEmpty || FileSystem.status(of: path)?.isRegular == false {
      // No name is no file: better found now than when all is written.
      descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
    } else {
      let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
      let name = path[..<slash] + "." + path[slash...] + "." + String(getpid()) + ".partial"
      descriptor = unsafe open(String(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if descriptor >= 0 { temporaryPath = String(name) }
    }
    guard descriptor >= 0 else { throw Failure(reason: systemMessage(errno)) }
  }

  deinit {
    close(descriptor)
    if let temporaryPath { unsafe unlink(temporaryPath) }
  }

  /// Writes all bytes.
  public mutating func write(_ bytes: ArraySlice<UInt8>) throws(Failure) {
    var written = 0
    var code: Int32 = 0
    unsafe bytes.withUnsafeBytes { bytes in
      while written < bytes.count {
        let count = unsafe Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count > 0 {
          written += count
        } else if count == 0 || errno != EINTR {
          code = count == 0 ? EIO : errno
          return
        }
      }
    }
    length += UInt64(written)
    if code != 0 { throw Failure(reason: systemMessage(code), written: written) }
  }

  /// Cuts the file back; where that is impossible, as for a device, nothing happens.
  public mutating func cut(to length: UInt64) {
    if ftruncate(descriptor, off_t(length)) == 0 { self.length = length }
  }

  /// The file's last byte; nil of an empty file and of what cannot be read.
  public func lastByte() -> UInt8? {
    guard length > 0 else { return nil }
    var byte: UInt8 = 0
    return unsafe pread(descriptor, &byte, 1, off_t(length - 1)) == 1 ? byte : nil
  }

  /// Gives the file its name.
  public consuming func commit() throws(Failure) {
    guard let temporary = temporaryPath else { return }
    // Only a file whose bytes have arrived may take the place of another.
    guard fsync(descriptor) == 0, unsafe rename(temporary, path) == 0 else {
      throw Failure(reason: systemMessage(errno))
    }
    temporaryPath = nil
  }
}
