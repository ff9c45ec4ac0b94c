internal import Glibc

/// The few questions that the tools ask the file system.
public enum FileSystem {
  struct Status {
    var isFolder: Bool
    var isRegular: Bool
    var bytes: UInt64
  }

  /// - Returns: nil when the path cannot be looked at; `errno` tells why.
  static func status(of path: String) -> Status? {
    var information = stat()
    guard unsafe stat(path, &information) == 0 else { return nil }
    let kind = information.st_mode & S_IFMT
    return Status(
      isFolder: kind == S_IFDIR, isRegular: kind == S_IFREG, bytes: UInt64(clamping: information.st_size))
  }

  /// Whether there is a file or folder of this name.
  public static func exists(_ path: String) -> Bool { status(of: path) != nil }

  /// - Returns: the names in a folder but `.` and `..`, in no order; nil when it cannot be read (`errno`).
  static func names(inFolder path: String) -> [String]? {
    guard let folder = unsafe opendir(path) else { return nil }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// Reads a whole file into memory.
  ///
  /// - Parameter most: bytes of the largest file that is one of its kind; a device may have no end.
  /// - Throws: ``ExitStatus/missingInput`` with one line that names the file.
  public static func contents(of path: String, atMost most: Int = 256 << 20) throws(CommandFailure) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw CommandFailure(.missingInput, "cannot read \(path): \(systemMessage(errno))")
    }
    defer { close(descriptor) }
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe read(descriptor, &chunk, chunk.count)
      if count == 0 { return result }
      if count < 0 {
        if errno == EINTR { continue }
        throw CommandFailure(.missingInput, "cannot read \(path): \(systemMessage(errno))")
      }
      result.append(contentsOf: chunk[..<count])
      guard result.count <= most else {
        throw CommandFailure(.missingInput, "cannot read \(path): expected a file of at most \(most >> 20) MiB")
      }
    }
  }

  /// Makes a folder and those above it, unless it is there.
  ///
  /// - Throws: ``ExitStatus/cannotCreate`` with one line that names the folder.
  public static func makeFolder(_ path: String) throws(CommandFailure) {
    if let status = status(of: path) {
      if status.isFolder { return }
      throw CommandFailure(.cannotCreate, "cannot create the folder \(path): a file of this name is in the way")
    }
    let parent = folder(of: path)
    if parent != path && parent != "." { try makeFolder(parent) }
    guard unsafe mkdir(path, 0o777) == 0 || errno == EEXIST else {
      throw CommandFailure(.cannotCreate, "cannot create the folder \(path): \(systemMessage(errno))")
    }
  }

  /// The folder that a path lies in: `a/b` for `a/b/c`, `.` for `c`, `/` for `/c`.
  public static func folder(of path: String) -> String {
    let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    guard let slash = trimmed.lastIndex(of: "/") else { return "." }
    return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
  }

  /// `name` as seen from `folder`: unchanged when it begins with `/`.
  public static func resolve(_ name: String, in folder: String) -> String {
    if name.hasPrefix("/") || folder == "." || folder.isEmpty { return name }
    return folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }
}
