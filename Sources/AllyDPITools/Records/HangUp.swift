internal import Glibc
internal import Synchronization

/// SIGHUP: whoever moved the files of records away asks for new ones.
enum HangUp {
  private static let received = Atomic<UInt64>(0)

  /// How often it came since ``listen()``.
  static var count: UInt64 { received.load(ordering: .relaxed) }

  /// From now on the signal is counted, and ends nothing.
  static func listen() {
    // Touched here, so that nothing has to be made in the handler, where only an addition is safe.
    received.store(0, ordering: .relaxed)
    signal(SIGHUP) { _ in HangUp.received.add(1, ordering: .relaxed) }
  }
}
