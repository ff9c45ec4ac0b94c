import CAllyLinux
import Glibc
import Testing

/// What the filter of system calls lets pass, each tried in a process of its own.
@Suite struct PrivilegeTests {
  @Test(
    arguments: [(0, "getpid"), (3, "a local socket"), (5, "memory"), (9, "a thread"), (14, "the end of a child")]
      as [(Int32, String)])
  func `What is needed is allowed`(call: Int32, name: String) {
    #expect(ally_sandbox_probe(call, 0) == 0, "\(name)")
  }

  @Test(
    arguments: [
      (1, "a program"), (2, "a network socket"), (6, "tracing"), (7, "typing into a terminal"), (8, "another user"),
      (10, "another process"), (11, "what a debugger may see"), (12, "a signal to anybody"),
      (13, "a handle to anybody"),
    ] as [(Int32, String)])
  func `Anything else ends the process`(call: Int32, name: String) {
    #expect(ally_sandbox_probe(call, 0) == 128 + SIGSYS, "\(name)")
  }

  @Test func `Memory to be executed is refused`() {
    #expect(ally_sandbox_probe(4, 0) == 0)
  }

  /// Swift's runtime explains a crash by starting a program.
  @Test(arguments: [0, 1] as [Int32])
  func `A crash is the signal that it is, whatever would have explained it`(keeps: Int32) {
    #expect(ally_sandbox_probe(15, keeps) == 128 + SIGSEGV)
  }

  @Test(arguments: [(0, "getpid"), (5, "memory")] as [(Int32, String)])
  func `A keeper may do what it needs`(call: Int32, name: String) {
    #expect(ally_sandbox_probe(call, 1) == 0, "\(name)")
  }

  @Test(
    arguments: [
      (1, "a program"), (2, "a network socket"), (3, "a local socket"), (6, "tracing"), (8, "another user"),
      (10, "another process"), (16, "a file"),
    ] as [(Int32, String)])
  func `Anything else ends a keeper`(call: Int32, name: String) {
    #expect(ally_sandbox_probe(call, 1) == 128 + SIGSYS, "\(name)")
  }
}
