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
    var places = Places(
      first, orElse: first &- 0x61 < 26 ? first & 0xDF : nil, in: bytes, from: lower, through: upper - needle.count)
    while let start = places.next() {
      // start + needle.count <= upper <= bytes.count, and index < needle.count.
      var index = 1
      while index < needle.count, unsafe lowercase(bytes.base[start &+ index]) == needle.base[index] { index &+= 1 }
      if index == needle.count { return start }
    }
    return -1
  }

  /// The places of one byte or another, in their order.
  struct Places {
    private let bytes: ByteView
    private let last: Int
    private let first: UInt8
    private let second: UInt8
    /// The next place of each; `Int.max` when there is none.
    private var nextFirst: Int
    private var nextSecond: Int

    /// - Parameters:
    ///   - first: a byte.
    ///   - second: another one; nil for none.
    ///   - bytes: what is searched.
    ///   - start: not negative.
    ///   - last: less than the count of the bytes.
    init(_ first: UInt8, orElse second: UInt8?, in bytes: ByteView, from start: Int, through last: Int) {
      precondition(start >= 0 && last < bytes.count)
      self.bytes = bytes
      self.last = last
      self.first = first
      self.second = second ?? first
      nextFirst = Places.place(of: first, in: bytes, from: start, through: last)
      nextSecond = second.map { Places.place(of: $0, in: bytes, from: start, through: last) } ?? .max
    }

    /// - Returns: nil when there is none left.
    mutating func next() -> Int? {
      let place = min(nextFirst, nextSecond)
      guard place != .max else { return nil }
      if place == nextFirst {
        nextFirst = Places.place(of: first, in: bytes, from: place &+ 1, through: last)
      } else {
        nextSecond = Places.place(of: second, in: bytes, from: place &+ 1, through: last)
      }
      return place
    }

    private static func place(of byte: UInt8, in bytes: ByteView, from start: Int, through last: Int) -> Int {
      guard start <= last else { return .max }
      // From `start` through `last`, which lie within the bytes.
      guard let hit = unsafe memchr(bytes.base + start, Int32(byte), last &- start &+ 1) else { return .max }
      return unsafe UnsafeRawPointer(hit) - UnsafeRawPointer(bytes.base)
    }
  }

  /// ASCII letters only: rules speak of bytes, not of a language's letters.
  @inline(__always)
  static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
