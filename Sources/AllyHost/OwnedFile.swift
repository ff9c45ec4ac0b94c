internal import CAllyLinux
internal import Glibc

/// A descriptor that several can refer to; closed when nobody does any more, or before.
final class OwnedFile {
  private(set) var number: Int32

  init(_ number: Int32) { self.number = number }

  deinit { close() }

  func close() {
    if number >= 0 { Glibc.close(number) }
    number = -1
  }
}

extension OwnedFile {
  /// A file without a name, in memory, that has no bytes yet.
  static func inMemory(_ name: String) throws(HostError) -> OwnedFile {
    let number = unsafe ally_memory_file(name)
    guard number >= 0 else { throw HostError("cannot make a file in memory", code: errno) }
    return OwnedFile(number)
  }

  /// A file without a name, of zeros in memory. Nobody who has it can cut it short.
  static func inMemory(_ name: String, length: Int) throws(HostError) -> OwnedFile {
    let file = try inMemory(name)
    guard ftruncate(file.number, length) == 0, ally_seal(file.number, 0) == 0 else {
      throw HostError("cannot get \(length) bytes of memory to share", code: errno)
    }
    return file
  }
}
