import CAllyLinux
import Glibc
import Testing

/// What the filter of system calls lets pass, each tried in a process of its own.
@Suite struct PrivilegeTests {
  @Test(
    arguments: [(0, "getpid"), (3, "a local socket"), (5, "memory"), (9, "a thread"), (14, "the end of a child")]
      as [(Int32, String)])
  func `What is needed is allowed`(call: Int32, name: String) {
    #expect(ally_sandbox_probe(call) == 0, "\(name)")
  }

  @Test(
    arguments: [
      (1, "a program"), (2, "a network socket"), (6, "tracing"), (7, "typing into a terminal"), (8, "another user"),
      (10, "another process"), (11, "what a debugger may see"), (12, "a signal to anybody"),
      (13, "a handle to anybody"),
    ] as [(Int32, String)])
  func `Anything else ends the process`(call: Int32, name: String) {
    #expect(ally_sandbox_probe(call) == 128 + SIGSYS, "\(name)")
  }

  @Test func `Memory to be executed is refused`() {
    #expect(ally_sandbox_probe(4) == 0)
  }
}
