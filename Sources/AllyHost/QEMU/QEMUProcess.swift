internal import CAllyLinux
internal import Glibc

/// A QEMU that runs as a child of this process, without rights, and ends with it.
struct QEMUProcess: ~Copyable {
  private let handle: OwnedDescriptor
  /// What it says, as far as the socket holds it: a QEMU whose guest has it say too much goes on unheard.
  private let words: OwnedDescriptor

  /// - Parameters:
  ///   - program: QEMU itself or a script that becomes it, as a shell would find it.
  ///   - user: whom it runs as; nil for the user of this process.
  ///   - descriptors: what it gets of this process, under the same numbers.
  init(_ program: String, _ arguments: [String], user: String?, keeping descriptors: [Int32]) throws(HostError) {
    let ends = try connectedSockets(SOCK_STREAM)
    let words = OwnedDescriptor(ends.0)
    let log = OwnedDescriptor(ends.1)
    for end in [words.number, log.number] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    var texts: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map { unsafe strdup($0) }
    unsafe texts.append(nil)
    defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
    let number = unsafe ally_spawn(&texts, user, descriptors, descriptors.count, log.number)
    guard number >= 0 else { throw HostError("cannot start \(program)", code: errno) }
    handle = OwnedDescriptor(number)
    self.words = words
  }

  deinit { ally_end_spawned(handle.number) }

  /// The first line of what it said and nobody has asked for.
  func firstWords() -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe read(words.number, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return bytes[..<count].split(separator: UInt8(ascii: "\n")).first.map { String(decoding: $0, as: UTF8.self) }
  }
}
