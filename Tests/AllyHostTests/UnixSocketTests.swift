import Dispatch
import Foundation
import Glibc
import Testing

@testable import AllyHost

/// Sockets that listen at a path.
@Suite struct UnixSocketTests {
  private static func mode(_ path: String) -> mode_t {
    var information = stat()
    return unsafe lstat(path, &information) == 0 ? information.st_mode & 0o777 : 0
  }

  private static func modeOfNewFile(_ path: String) -> mode_t {
    unsafe close(open(path, O_CREAT | O_WRONLY, 0o640))
    return mode(path)
  }

  @Test func `Only this user can connect, and files made meanwhile have the rights that they always have`() throws {
    let folder = FileManager.default.temporaryDirectory.path + "/ally-sockets-\(UUID().uuidString)"
    unsafe try #require(mkdir(folder, 0o700) == 0)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let usual = Self.modeOfNewFile(folder + "/before")
    #expect(usual & 0o600 == 0o600)
    DispatchQueue.concurrentPerform(iterations: 3) { thread in
      let path = "\(folder)/\(thread)"
      for _ in 0..<500 {
        if thread == 0 {
          #expect(Self.modeOfNewFile(path) == usual)
        } else {
          #expect(throws: Never.self) {
            let listener = try listen(at: path)
            #expect(Self.mode(path) == 0o600)
            _ = consume listener
          }
        }
        unsafe unlink(path)
      }
    }
  }
}
