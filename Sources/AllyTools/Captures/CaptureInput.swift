internal import Glibc

/// The files that a path given for reading stands for.
struct CaptureInput {
  let files: [String]
  let isFolder: Bool
  /// Bytes in all; nil when that cannot be known, as of a pipe.
  let totalBytes: UInt64?

  init(path: String) throws(CaptureError) {
    if path == "-" {
      files = [path]
      isFolder = false
      totalBytes = nil
      return
    }
    guard let status = FileSystem.status(of: path) else {
      throw .cannotOpen(file: path, reason: systemMessage(errno))
    }
    guard status.isFolder else {
      files = [path]
      isFolder = false
      totalBytes = status.isRegular ? status.bytes : nil
      return
    }
    guard let names = FileSystem.names(inFolder: path) else {
      throw .cannotOpen(file: path, reason: systemMessage(errno))
    }
    let base = path.hasSuffix("/") ? path : path + "/"
    var files: [String] = []
    var total: UInt64 = 0
    for name in names.sorted() where Self.isCaptureName(name) {
      guard let entry = FileSystem.status(of: base + name), !entry.isFolder else { continue }
      files.append(base + name)
      total += entry.bytes
    }
    if files.isEmpty { throw .emptyFolder(path) }
    self.files = files
    isFolder = true
    totalBytes = total
  }

  private static func isCaptureName(_ name: String) -> Bool {
    let lower = name.lowercased()
    return [".pcap", ".pcapng", ".cap"].contains { lower.hasSuffix($0) }
  }
}
