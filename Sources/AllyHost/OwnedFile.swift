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
