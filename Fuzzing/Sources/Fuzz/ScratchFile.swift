internal import Glibc

/// A file in a folder of its own, for readers that want a path. Gone with the process, unless that crashes.
@safe
final class ScratchFile {
  let folder: String
  let path: String
  private let descriptor: CInt

  struct Failure: Error { var what: String }

  init(name: String) throws {
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/ally-fuzz-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw Failure(what: "no folder in \(parent)") }
    folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    path = folder + "/" + name
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(what: "no file in \(folder)") }
  }

  deinit {
    close(descriptor)
    unsafe unlink(path)
    unsafe rmdir(folder)
  }

  /// Replaces what the file holds.
  func hold(_ bytes: [UInt8]) {
    let written = unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    require(written == bytes.count && ftruncate(descriptor, bytes.count) == 0, "\(path) cannot be written")
  }
}
