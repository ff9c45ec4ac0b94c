internal import Glibc

/// Bytes that the matcher looks at: a `RawSpan` that can be handed to C and kept in the evaluator's frame.
///
/// It lives only while the span that it was made from does, that is within one inspection; only
/// ``PayloadEvaluator`` and the scanners hold one, never across calls. Accesses are checked.
@safe
struct ByteView: BitwiseCopyable {
  /// Not dereferenced by anyone but the matchers, within `count`.
  @unsafe let base: UnsafePointer<UInt8>
  let count: Int

  /// `base` must point to `count` bytes that stay until the view is given up.
  @unsafe init(base: UnsafePointer<UInt8>, count: Int) {
    unsafe self.base = base
    self.count = count
  }

  @inline(__always)
  subscript(offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < count)
    return unsafe base[offset]
  }

  /// Four bytes, the first in the lowest bits.
  @inline(__always)
  func word(at offset: Int) -> UInt32 {
    precondition(offset >= 0 && offset <= count &- 4)
    return UInt32(littleEndian: unsafe UnsafeRawPointer(base + offset).loadUnaligned(as: UInt32.self))
  }
}

extension RawSpan {
  /// Calls `body` with a view of the bytes, which must not outlive the call.
  @inline(__always)
  func withByteView<Result>(_ body: (ByteView) -> Result) -> Result {
    // An empty span may have no address; no byte of such a view is ever read.
    unsafe withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return body(.empty) }
      return unsafe body(ByteView(base: start.assumingMemoryBound(to: UInt8.self), count: bytes.count))
    }
  }
}

extension ByteView {
  /// A view of nothing: the address is aligned and never read.
  static var empty: ByteView { unsafe ByteView(base: UnsafePointer(bitPattern: 16).unsafelyUnwrapped, count: 0) }

  /// The bytes in `range`, which must lie within the view.
  @inline(__always)
  func slice(_ range: Range<Int>) -> ByteView {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return unsafe ByteView(base: base + range.lowerBound, count: range.count)
  }
}

extension ByteView {
  /// Whether both hold the same bytes.
  func isEqual(to other: ByteView) -> Bool {
    // Both views cover `count` bytes.
    unsafe count == other.count && (base == other.base || memcmp(base, other.base, count) == 0)
  }

  /// The place of the first such byte at or behind `start`; nil when there is none.
  func firstIndex(of byte: UInt8, from start: Int) -> Int? {
    precondition(start >= 0)
    // The search stays within the view.
    guard start < count, let hit = unsafe memchr(base + start, Int32(byte), count - start) else { return nil }
    return unsafe UnsafeRawPointer(hit) - UnsafeRawPointer(base)
  }
}
