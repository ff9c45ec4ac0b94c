internal import AllyPacket

/// The links in a mail's text, as records list them: in lower case, without `http://`.
struct MIMELinks {
  struct Link {
    var text: [UInt8]
    /// How deep its part lies.
    var part: Int
  }

  private(set) var links: [Link] = []
  /// Kinds of links in the message's own text.
  private(set) var hasExecutable = false
  private(set) var hasIPv4 = false
  private(set) var hasIPv6 = false
  /// The message's own text has links.
  private(set) var isInMessage = false

  private static var mostLinks: Int { 256 }

  /// Looks for links in decoded text.
  mutating func search(_ data: RawSpan, depth: Int, part: MIMEPart) {
    if part.isOther && part.isChild { return }
    var index = 0
    while index + 7 < data.byteCount {
      guard LiteralSearch.lowercase(data.byte(at: index)) == UInt8(ascii: "h"),
        data.extracting(index...).hasCaselessPrefix("http://")
      else {
        index += 1
        continue
      }
      index += 7
      var text: [UInt8] = []
      while index < data.byteCount, !MIMELinks.ends(data.byte(at: index)), text.count < 2048 {
        text.append(LiteralSearch.lowercase(data.byte(at: index)))
        index += 1
      }
      add(text, depth)
    }
  }

  private static func ends(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x20, 0x09, 0x0A, 0x0D, UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "<"), UInt8(ascii: ">"),
      UInt8(ascii: "]"):
      true
    default: false
    }
  }

  private mutating func add(_ text: [UInt8], _ depth: Int) {
    guard !text.isEmpty, links.count < MIMELinks.mostLinks,
      !links.contains(where: { $0.part == depth && $0.text == text })
    else { return }
    // The newest of a part comes first, and the outer parts before the inner ones.
    let place = links.firstIndex { $0.part >= depth } ?? links.count
    links.insert(Link(text: text, part: depth), at: place)
    guard depth == 1 else { return }
    isInMessage = true
    let host = text.prefix { $0 != UInt8(ascii: "/") }
    if text.suffix(4).elementsEqual(".exe".utf8) { hasExecutable = true }
    if host.first == UInt8(ascii: "[") { hasIPv6 = true }
    if !host.isEmpty, host.allSatisfy({ $0.isDecimalDigit || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }) {
      hasIPv4 = true
    }
  }
}
