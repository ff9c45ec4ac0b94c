import AllyHost
import Foundation

/// What the tests on foreign NICs need.
enum GuestTools {
  /// QEMU: ALLY_QEMU, which `make test-guests` sets.
  static let qemu = ProcessInfo.processInfo.environment["ALLY_QEMU"].flatMap { $0.isEmpty ? nil : $0 }
}

/// A folder that goes away with its owner. Its path is short, because sockets lie in it.
final class ScratchFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/ally-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw HostError("cannot make a folder in /tmp") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
