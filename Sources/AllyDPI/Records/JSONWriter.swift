internal import AllyPacket

/// Writes one JSON value after the other into a buffer that it keeps, so that a steady state allocates nothing.
///
/// It knows where commas belong and how text is escaped; that objects and arrays are closed in order is the caller's.
struct JSONWriter {
  private(set) var bytes: [UInt8] = []
  /// Whether the next value or key stands behind another one.
  private var follows = false

  init(capacity: Int = 16 << 10) { bytes.reserveCapacity(capacity) }

  /// Forgets what was written and keeps the memory.
  mutating func reset() {
    bytes.removeAll(keepingCapacity: true)
    follows = false
  }

  mutating func beginObject() {
    separate()
    bytes.append(UInt8(ascii: "{"))
    follows = false
  }

  mutating func endObject() {
    bytes.append(UInt8(ascii: "}"))
    follows = true
  }

  mutating func beginArray() {
    separate()
    bytes.append(UInt8(ascii: "["))
    follows = false
  }

  mutating func endArray() {
    bytes.append(UInt8(ascii: "]"))
    follows = true
  }

  /// Writes a key that needs no escape.
  mutating func key(_ name: StaticString) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    bytes.appendText(name)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
    follows = false
  }

  /// Writes a key of any text.
  mutating func key(_ name: String) {
    string(name)
    bytes.append(UInt8(ascii: ":"))
    follows = false
  }

  mutating func bool(_ value: Bool) {
    separate()
    bytes.append(contentsOf: value ? [0x74, 0x72, 0x75, 0x65] : [0x66, 0x61, 0x6C, 0x73, 0x65])
    follows = true
  }

  mutating func number(_ value: some UnsignedInteger & FixedWidthInteger) {
    separate()
    decimal(UInt64(value), width: 1)
    follows = true
  }

  /// Writes a number with a fraction; what is no number, as 0, since JSON has no word for it.
  mutating func number(real value: Double) {
    separate()
    bytes.append(contentsOf: "\(value.isFinite ? value : 0)".utf8)
    follows = true
  }

  /// Writes a literal that needs no escape.
  mutating func string(_ text: StaticString) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    bytes.appendText(text)
    bytes.append(UInt8(ascii: "\""))
    follows = true
  }

  mutating func string(_ text: String) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 { escaped(byte) }
    bytes.append(UInt8(ascii: "\""))
    follows = true
  }

  /// Writes a field of text that came over a network; see ``text(_:)``.
  mutating func text(_ name: StaticString, _ value: [UInt8]) {
    key(name)
    text(value[...])
  }

  /// Writes what Suricata takes for a C string: text up to a NUL, and not even its name when that is no UTF-8.
  mutating func terminatedText(_ name: StaticString, _ value: ArraySlice<UInt8>) {
    let value = value.prefix { $0 != 0 }
    guard UTF8Check.isValid(value) else { return }
    key(name)
    text(value)
  }

  /// Writes text that came over a network: as it is when it is UTF-8, else with `\\xNN` for each byte that is not
  /// ASCII.
  mutating func text(_ value: ArraySlice<UInt8>) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    let isText = value.allSatisfy { $0 < 0x80 } || UTF8Check.isValid(value)
    for byte in value {
      if !isText && byte >= 0x80 {
        bytes.appendText("\\\\x")
        hexadecimal(byte)
      } else {
        escaped(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
    follows = true
  }

  /// Writes a string whose characters `body` appends; they must need no escape.
  mutating func string(_ body: (inout [UInt8]) -> Void) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    body(&bytes)
    bytes.append(UInt8(ascii: "\""))
    follows = true
  }

  /// Writes bytes as text: printable ASCII, line feeds and carriage returns as they are, a dot for each other byte.
  mutating func printable(_ data: RawSpan) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    for offset in 0..<data.byteCount {
      let byte = data.byte(at: offset)
      switch byte {
      case 0x20..<0x7F, 0x0A, 0x0D: escaped(byte)
      default: bytes.append(UInt8(ascii: "."))
      }
    }
    bytes.append(UInt8(ascii: "\""))
    follows = true
  }

  /// Writes bytes in base 64 (RFC 4648 §4).
  mutating func base64(_ data: RawSpan) { base64(RawSpan(), then: data) }

  /// Writes the bytes of two spans, one after the other, as one string in base 64.
  mutating func base64(_ head: RawSpan, then tail: RawSpan) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    let count = head.byteCount + tail.byteCount
    func byte(_ offset: Int) -> UInt8 {
      offset < head.byteCount ? head.byte(at: offset) : tail.byte(at: offset - head.byteCount)
    }
    var offset = 0
    while count - offset >= 3 {
      group(byte(offset), byte(offset + 1), byte(offset + 2), digits: 4)
      offset += 3
    }
    switch count - offset {
    case 1: group(byte(offset), 0, 0, digits: 2)
    case 2: group(byte(offset), byte(offset + 1), 0, digits: 3)
    default: break
    }
    bytes.append(UInt8(ascii: "\""))
    follows = true
  }

  private mutating func group(_ first: UInt8, _ second: UInt8, _ third: UInt8, digits: Int) {
    let bits = UInt32(first) << 16 | UInt32(second) << 8 | UInt32(third)
    for digit in 0..<4 {
      bytes.append(digit < digits ? base64Digit(UInt8(bits >> (18 - 6 * digit) & 63)) : UInt8(ascii: "="))
    }
  }

  private func base64Digit(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }

  private mutating func separate() {
    if follows { bytes.append(UInt8(ascii: ",")) }
  }

  /// RFC 8259 §7: quotes, backslashes and control characters are escaped.
  private mutating func escaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      bytes.append(UInt8(ascii: "\\"))
      bytes.append(byte)
    case 0x0A: escape(UInt8(ascii: "n"))
    case 0x0D: escape(UInt8(ascii: "r"))
    case 0x09: escape(UInt8(ascii: "t"))
    case 0x08: escape(UInt8(ascii: "b"))
    case 0x0C: escape(UInt8(ascii: "f"))
    case 0..<0x20, 0x7F:
      escape(UInt8(ascii: "u"))
      bytes.append(UInt8(ascii: "0"))
      bytes.append(UInt8(ascii: "0"))
      hexadecimal(byte)
    default: bytes.append(byte)
    }
  }

  private mutating func escape(_ letter: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    bytes.append(letter)
  }

  private mutating func decimal(_ value: UInt64, width: Int) { bytes.appendDecimal(value, width: width) }
  private mutating func hexadecimal(_ value: UInt8) {
    bytes.append(hexadecimalDigit(value >> 4))
    bytes.append(hexadecimalDigit(value & 15))
  }
}

/// Whether bytes are UTF-8 (RFC 3629).
enum UTF8Check {
  static func isValid(_ bytes: ArraySlice<UInt8>) -> Bool { String(validating: bytes, as: UTF8.self) != nil }
}

/// The lower-case hexadecimal digit of 0 to 15.
func hexadecimalDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}

extension [UInt8] {
  /// Appends a decimal number, with leading zeros up to `width` digits.
  mutating func appendDecimal(_ value: UInt64, width: Int = 1) {
    var digits = 1
    var largest = value
    while largest >= 10 || digits < width {
      largest /= 10
      digits += 1
    }
    let start = count
    var rest = value
    append(contentsOf: repeatElement(UInt8(ascii: "0"), count: digits))
    for place in stride(from: start + digits - 1, through: start, by: -1) {
      self[place] += UInt8(rest % 10)
      rest /= 10
    }
  }

  /// Appends two digits in lower case for each byte.
  mutating func appendHexadecimal(_ bytes: ArraySlice<UInt8>) {
    for byte in bytes {
      append(hexadecimalDigit(byte >> 4))
      append(hexadecimalDigit(byte & 15))
    }
  }

  /// Appends text that needs no escape.
  mutating func appendText(_ text: StaticString) {
    // The buffer is the literal's own storage, which lives as long as the program.
    text.withUTF8Buffer { unsafe append(contentsOf: $0) }
  }
}
