/// One rule with its continuation lines joined, and where each of its bytes stands in the file.
struct RuleText {
  let file: String
  let bytes: [UInt8]
  /// The physical lines: where each begins in `bytes`, its number, and where it begins in the file.
  private let lines: [(start: Int, number: Int)]

  fileprivate init(file: String, bytes: [UInt8], lines: [(start: Int, number: Int)]) {
    self.file = file
    self.bytes = bytes
    self.lines = lines
  }

  /// A text that stands in no file: a variable's value.
  init(file: String, value: String) {
    self.init(file: file, bytes: Array(value.utf8), lines: [(start: 0, number: 1)])
  }

  var all: RuleSlice { RuleSlice(text: self, range: 0..<bytes.count) }

  /// Line and column of the byte at `offset`, or of the rule's end.
  func location(at offset: Int) -> RuleLocation {
    let line = lines.last { $0.start <= offset } ?? (start: 0, number: 1)
    return RuleLocation(
      file: file, line: line.number, column: 1 + characters(in: bytes[line.start..<min(offset, bytes.count)]))
  }

  /// Characters of UTF-8; a byte that belongs to none counts as one.
  private func characters(in bytes: ArraySlice<UInt8>) -> Int {
    var count = 0
    // Continuation bytes that the character in hand still asks for.
    var expected = 0
    for byte in bytes {
      if byte & 0xC0 == 0x80 && expected > 0 {
        expected -= 1
        continue
      }
      count += 1
      expected = byte >= 0xF0 && byte < 0xF8 ? 3 : byte >= 0xE0 && byte < 0xF0 ? 2 : byte >= 0xC0 && byte < 0xE0 ? 1 : 0
    }
    return count
  }
}

/// The rules of a file one after the other: without comments and blank lines, continuation lines joined.
struct RuleTexts: Swift.Sequence, IteratorProtocol {
  private let file: String
  private let bytes: [UInt8]
  private var position = 0
  private var lineNumber = 0

  init(_ bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  mutating func next() -> RuleText? {
    while let line = nextLine() {
      guard let first = line.first(where: { !$0.isSpace }), first != UInt8(ascii: "#") else { continue }
      var joined: [UInt8] = []
      var lines = [(start: 0, number: lineNumber)]
      var piece = line
      while let end = continuation(of: piece) {
        joined += piece[..<end]
        guard let following = nextLine() else {
          piece = []
          break
        }
        lines.append((start: joined.count, number: lineNumber))
        piece = following
      }
      joined += piece
      return RuleText(file: file, bytes: joined, lines: lines)
    }
    return nil
  }

  /// The next physical line without its end.
  private mutating func nextLine() -> ArraySlice<UInt8>? {
    guard position < bytes.count else { return nil }
    lineNumber += 1
    let start = position
    var end = start
    while end < bytes.count && bytes[end] != UInt8(ascii: "\n") { end += 1 }
    position = end + 1
    if end > start && bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
    return bytes[start..<end]
  }

  /// Where the `\` stands that ends a line to be continued.
  private func continuation(of line: ArraySlice<UInt8>) -> Int? {
    guard let last = line.lastIndex(where: { !$0.isSpace }), line[last] == UInt8(ascii: "\\") else { return nil }
    return last
  }
}

extension UInt8 {
  /// Blank, tab, and the other white space of ASCII.
  var isSpace: Bool { self == 0x20 || (self >= 0x09 && self <= 0x0D) }
  var isDigit: Bool { self >= 0x30 && self <= 0x39 }
  var hexDigit: UInt8? {
    switch self {
    case 0x30...0x39: self - 0x30
    case 0x41...0x46: self - 0x41 + 10
    case 0x61...0x66: self - 0x61 + 10
    default: nil
    }
  }
}
