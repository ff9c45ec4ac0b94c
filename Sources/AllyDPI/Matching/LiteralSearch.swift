internal import Glibc

/// Finds one literal: confirms what Hyperscan proposes, and searches for literals too short for it.
enum LiteralSearch {
  /// The first place at or after `lower` where `needle` lies wholly before `upper`.
  ///
  /// - Parameters:
  ///   - needle: not empty; already in lower case when `isCaseless`.
  ///   - isCaseless: letters of ASCII match in both cases.
  /// - Returns: the offset of the match's first byte; -1 without a match.
  static func find(_ needle: ByteView, in bytes: ByteView, from lower: Int, to upper: Int, isCaseless: Bool) -> Int {
    precondition(lower >= 0 && upper <= bytes.count)
    guard needle.count > 0, upper - lower >= needle.count else { return -1 }
    return isCaseless
      ? findCaseless(needle, in: bytes, from: lower, to: upper)
      : findExact(needle, in: bytes, from: lower, to: upper)
  }

  private static func findExact(_ needle: ByteView, in bytes: ByteView, from lower: Int, to upper: Int) -> Int {
    let last = upper - needle.count
    var start = lower
    while start <= last {
      // Within the caller's bounds, which lie within the view; a hit leaves room for the whole needle.
      guard let hit = unsafe memchr(bytes.base + start, Int32(needle[0]), last - start + 1) else { return -1 }
      let found = unsafe UnsafeRawPointer(hit) - UnsafeRawPointer(bytes.base)
      if unsafe memcmp(bytes.base + found, needle.base, needle.count) == 0 { return found }
      start = found + 1
    }
    return -1
  }

  private static func findCaseless(_ needle: ByteView, in bytes: ByteView, from lower: Int, to upper: Int) -> Int {
    let first = needle[0]
    let last = upper - needle.count
    var start = lower
    while start <= last {
      // start + needle.count <= upper <= bytes.count, and index < needle.count.
      if unsafe lowercase(bytes.base[start]) == first {
        var index = 1
        while index < needle.count, unsafe lowercase(bytes.base[start &+ index]) == needle.base[index] { index &+= 1 }
        if index == needle.count { return start }
      }
      start &+= 1
    }
    return -1
  }

  /// ASCII letters only: rules speak of bytes, not of a language's letters.
  @inline(__always)
  static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
