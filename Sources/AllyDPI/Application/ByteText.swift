internal import AllyPacket

/// What parsers of text protocols do with bytes.
extension [UInt8] {
  /// Appends bytes of a span.
  mutating func append(_ data: RawSpan) {
    // The span is only read, within its bounds.
    unsafe data.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }

  /// Appends ASCII that needs no terminator.
  mutating func append(text: StaticString) { text.withUTF8Buffer { unsafe append(contentsOf: $0) } }
}

extension ArraySlice<UInt8> {
  /// The bytes, as parsers and matchers take them.
  var rawBytes: RawSpan {
    // Any byte may be read as raw memory.
    @_lifetime(borrow self) get { unsafe span.bytes }
  }
}

extension [UInt8] {
  /// The bytes, as parsers and matchers take them.
  var rawBytes: RawSpan {
    // Any byte may be read as raw memory.
    @_lifetime(borrow self) get { unsafe span.bytes }
  }
}

extension RawSpan {
  /// The place of the first such byte at or behind `start`; nil when there is none.
  func firstIndex(of byte: UInt8, from start: Int) -> Int? {
    withByteView { $0.firstIndex(of: byte, from: start) }
  }
}

extension UInt8 {
  static var lineFeed: UInt8 { 0x0A }
  static var carriageReturn: UInt8 { 0x0D }

  /// Space or tab: linear white space within a line (RFC 9110 §5.6.3).
  var isLinearSpace: Bool { self == 0x20 || self == 0x09 }
  /// What C's `isspace` accepts.
  var isWhiteSpace: Bool { self == 0x20 || self &- 9 < 5 }
  var isDecimalDigit: Bool { self &- 0x30 < 10 }
  /// May stand in a token (RFC 9110 §5.6.2).
  var isTokenByte: Bool {
    switch self {
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7A, 0x7C, 0x7E: true
    default: false
    }
  }
  /// 0 to 15; nil for what is no digit.
  var hexadecimalValue: UInt8? {
    switch self {
    case 0x30...0x39: self &- 0x30
    case 0x41...0x46: self &- 0x41 &+ 10
    case 0x61...0x66: self &- 0x61 &+ 10
    default: nil
    }
  }
}

extension Collection<UInt8> {
  /// Whether the bytes are `text`.
  func isEqual(to text: StaticString) -> Bool {
    text.withUTF8Buffer { unsafe elementsEqual($0) }
  }

  /// Whether the bytes are `text`, letters in whichever case.
  ///
  /// - Parameter ignoringNUL: NUL bytes do not count, as for clients that drop them.
  func isCaselessEqual(to text: StaticString, ignoringNUL: Bool = false) -> Bool {
    let length = text.utf8CodeUnitCount
    guard count == length || ignoringNUL && count > length else { return false }
    return text.withUTF8Buffer { other in
      var index = 0
      for byte in self {
        if ignoringNUL && byte == 0 { continue }
        guard index < length, unsafe LiteralSearch.lowercase(byte) == LiteralSearch.lowercase(other[index]) else {
          return false
        }
        index &+= 1
      }
      return index == length
    }
  }
}

extension ArraySlice<UInt8> {
  /// Without white space at both ends.
  var trimmed: ArraySlice<UInt8> {
    var slice = drop(while: \.isLinearSpace)
    while let last = slice.last, last.isLinearSpace { slice = slice.dropLast() }
    return slice
  }

  /// Without NUL bytes, which some clients drop.
  var withoutNUL: ArraySlice<UInt8> { contains(0) ? filter { $0 != 0 }[...] : self }

  /// Whether `text`, in lower case, occurs, letters in whichever case.
  func containsCaseless(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    guard length > 0, count >= length else { return false }
    for start in startIndex...(endIndex - length) where self[start..<(start + length)].isCaselessEqual(to: text) {
      return true
    }
    return false
  }
}
