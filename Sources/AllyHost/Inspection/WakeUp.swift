internal import CAllyLinux
internal import Glibc

/// An eventfd by which one process wakes another.
struct WakeUp: ~Copyable {
  private let file: OwnedDescriptor

  init() throws(HostError) {
    let number = ally_event()
    guard number >= 0 else { throw HostError("cannot make an eventfd", code: errno) }
    file = OwnedDescriptor(number)
  }

  /// One that another object has made.
  init(_ descriptor: Int32) { file = OwnedDescriptor(descriptor) }

  var descriptor: Int32 { file.number }

  func send() {
    var one: UInt64 = 1
    // Full only when nobody has looked 2^64 times, which wakes as well.
    _ = unsafe write(file.number, &one, 8)
  }

  /// Forgets what was sent.
  func clear() {
    var count: UInt64 = 0
    _ = unsafe read(file.number, &count, 8)
  }
}

/// How long a process looks before it sleeps.
enum Spinning {
  /// Nanoseconds: some times what it takes to be put to sleep and woken. With one processor the other side could not go on
  /// meanwhile.
  static let patience: UInt64 = sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 ? 50_000 : 0

  /// Looks until there is something, or ``patience`` is over.
  ///
  /// - Returns: whether there is.
  @inline(__always)
  static func until(_ condition: () -> Bool) -> Bool {
    if condition() { return true }
    guard patience > 0 else { return false }
    let deadline = MonotonicTime.now + patience
    repeat {
      for _ in 0..<64 where condition() { return true }
    } while MonotonicTime.now < deadline
    return false
  }
}
