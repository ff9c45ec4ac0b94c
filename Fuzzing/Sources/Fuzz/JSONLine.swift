/// Whether bytes are one JSON object (RFC 8259) on one line, in UTF-8: what a record must be, whatever the traffic holds.
struct JSONLine {
  private let bytes: [UInt8]
  private var place = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  static func isValid(_ bytes: [UInt8]) -> Bool {
    var reader = JSONLine(bytes)
    guard bytes.first == UInt8(ascii: "{"), String(validating: bytes, as: UTF8.self) != nil else { return false }
    return reader.value(depth: 0) && reader.place == bytes.count
  }

  private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

  private mutating func skip(_ character: Character) -> Bool {
    guard next == character.asciiValue else { return false }
    place += 1
    return true
  }

  private mutating func value(depth: Int) -> Bool {
    guard depth < 64, let next else { return false }
    switch next {
    case UInt8(ascii: "{"): return list("{", "}", depth) { $0.string() && $0.skip(":") && $0.value(depth: depth + 1) }
    case UInt8(ascii: "["): return list("[", "]", depth) { $0.value(depth: depth + 1) }
    case UInt8(ascii: "\""): return string()
    case UInt8(ascii: "t"): return word("true")
    case UInt8(ascii: "f"): return word("false")
    case UInt8(ascii: "n"): return word("null")
    default: return number()
    }
  }

  private mutating func list(
    _ first: Character, _ last: Character, _ depth: Int, item: (inout JSONLine) -> Bool
  ) -> Bool {
    guard skip(first) else { return false }
    if skip(last) { return true }
    repeat { guard item(&self) else { return false } } while skip(",")
    return skip(last)
  }

  private mutating func word(_ text: String) -> Bool { text.allSatisfy { skip($0) } }

  private mutating func string() -> Bool {
    guard skip("\"") else { return false }
    while let byte = next {
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return true
      case 0..<0x20: return false
      case UInt8(ascii: "\\"):
        guard let escape = next else { return false }
        place += 1
        if escape == UInt8(ascii: "u") {
          for _ in 0..<4 {
            guard let digit = next, Character(UnicodeScalar(digit)).isHexDigit else { return false }
            place += 1
          }
        } else if !"\"\\/bfnrt".utf8.contains(escape) {
          return false
        }
      default: break
      }
    }
    return false
  }

  private mutating func digits() -> Bool {
    let start = place
    while let next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) { place += 1 }
    return place > start
  }

  private mutating func number() -> Bool {
    _ = skip("-")
    let leadsWithZero = next == UInt8(ascii: "0")
    let start = place
    guard digits(), !leadsWithZero || place == start + 1 else { return false }
    if skip("."), !digits() { return false }
    if skip("e") || skip("E") {
      if !skip("+") { _ = skip("-") }
      return digits()
    }
    return true
  }
}
