internal import AllyDPI
internal import AllyTools
internal import Glibc

/// Files that traffic carried and rules or settings keep: `file-store` version 2. Each lies in a folder named by the first two
/// digits of its SHA-256, under all of its digits.
///
/// What comes is written to `tmp` at once, so that memory stays small, and moved or removed when the file ends.
final class FileFolder: FileStore {
  private let folder: String
  private var nextFile: UInt32 = 1
  /// Files that are being written, by their number.
  private var open: [UInt32: Int32] = [:]
  /// Files that could not be written.
  private(set) var failures = 0

  /// Open files at most: one more is not kept.
  private static let limit = 512

  init(folder: String) throws(CommandFailure) {
    self.folder = folder
    try FileSystem.makeFolder(folder)
    try FileSystem.makeFolder(folder + "/tmp")
  }

  func nextNumber() -> UInt32 {
    defer { nextFile &+= 1 }
    return nextFile
  }

  func open(_ number: UInt32) {
    guard open.count < Self.limit else {
      failures += 1
      return
    }
    let file = unsafe Glibc.open(temporary(number), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
    if file < 0 { failures += 1 } else { open[number] = file }
  }

  func append(_ data: RawSpan, to number: UInt32) {
    guard let file = open[number] else { return }
    var offset = 0
    while offset < data.byteCount {
      // The span outlives the call, which reads its bytes only.
      let count = unsafe data.extracting(offset...).withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        failures += 1
        discard(number)
        return
      }
      offset += count
    }
  }

  func close(_ number: UInt32, digest: [UInt8]?) -> Bool {
    guard let file = open.removeValue(forKey: number) else { return false }
    Glibc.close(file)
    guard let digest, digest.count > 0 else {
      _ = unsafe unlink(temporary(number))
      return false
    }
    let name = digest.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }
    let parent = folder + "/" + name[0]
    _ = unsafe mkdir(parent, 0o750)
    guard unsafe rename(temporary(number), parent + "/" + name.joined()) == 0 else {
      failures += 1
      _ = unsafe unlink(temporary(number))
      return false
    }
    return true
  }

  private func discard(_ number: UInt32) {
    guard let file = open.removeValue(forKey: number) else { return }
    Glibc.close(file)
    _ = unsafe unlink(temporary(number))
  }

  private func temporary(_ number: UInt32) -> String { "\(folder)/tmp/file.\(number)" }
}
