internal import CAllyLinux
internal import Glibc

/// The wish of an operator that this process end: SIGINT and SIGTERM, as a descriptor to wait for.
public struct StopSignal: ~Copyable {
  private let file: OwnedDescriptor

  /// For the main thread, before there are others.
  public init() throws(HostError) {
    let number = ally_stop_descriptor()
    guard number >= 0 else { throw HostError("cannot wait for signals", code: errno) }
    file = OwnedDescriptor(number)
  }

  /// Readable when the process is to end.
  public var descriptor: Int32 { file.number }
}
