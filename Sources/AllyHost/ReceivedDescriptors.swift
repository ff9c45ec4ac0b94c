internal import Glibc

/// File descriptors that came with a message: closed when nobody refers to this object any more, unless they were taken.
final class ReceivedDescriptors {
  private var numbers: [Int32] = []
  /// What a keeper knows the first one by, the others following; 0 of those that are not kept.
  var key: UInt64 = 0

  deinit { for number in numbers { close(number) } }

  func append(_ more: ArraySlice<Int32>) { numbers += more }

  var count: Int { numbers.count }

  /// The first, which stays here.
  var first: Int32? { numbers.first }

  /// All, which stay here.
  var all: [Int32] { numbers }

  /// The first, which is the caller's now.
  func takeFirst() -> Int32? { numbers.isEmpty ? nil : numbers.removeFirst() }

  /// All, which are the caller's now.
  func takeAll() -> [Int32] {
    defer { numbers = [] }
    return numbers
  }
}
