internal import AllyPacket

/// The header fields of a mail or a part (RFC 5322 §2.2), unfolded.
struct MIMEHeader {
  enum Outcome { case field, longName, longValue, malformed }

  private(set) var fields: [(name: [UInt8], value: [UInt8])] = []
  private var isOpen = false
  /// Bytes of a value that are kept.
  let longestValue: Int

  private static var mostFields: Int { 256 }

  init(longestValue: Int = ApplicationOptions.SMTP().headerValue) { self.longestValue = longestValue }

  /// Takes a line that is not empty.
  mutating func take(_ line: RawSpan) -> Outcome {
    if line.byte(at: 0).isLinearSpace {
      guard isOpen, let last = fields.indices.last else { return .malformed }
      let room = longestValue - fields[last].value.count
      if room > 0 { fields[last].value.append(line.extracting(0..<min(line.byteCount, room))) }
      return room < line.byteCount ? .longValue : .field
    }
    isOpen = false
    guard let colon = line.firstIndex(of: UInt8(ascii: ":"), from: 0), colon > 0 else { return .malformed }
    guard fields.count < MIMEHeader.mostFields else { return .field }
    var name = line.extracting(0..<min(colon, MIMELimits.headerName)).array
    for index in name.indices { name[index] = LiteralSearch.lowercase(name[index]) }
    while let last = name.last, last.isLinearSpace { name.removeLast() }
    var start = colon + 1
    while start < line.byteCount, line.byte(at: start).isLinearSpace { start += 1 }
    let end = min(line.byteCount, start + longestValue)
    fields.append((name, line.extracting(start..<end).array))
    isOpen = true
    if colon > MIMELimits.headerName { return .longName }
    return end < line.byteCount ? .longValue : .field
  }

  /// The header is whole.
  mutating func finish() {
    isOpen = false
    for index in fields.indices {
      while let last = fields[index].value.last, last.isWhiteSpace { fields[index].value.removeLast() }
    }
  }

  /// The value of the first field of this name; nil without one.
  func value(of name: StaticString) -> ArraySlice<UInt8>? {
    fields.first { $0.name.isCaselessEqual(to: name) }?.value[...]
  }

  /// The value of a parameter (RFC 2045 §5.1), without quotes; nil without one.
  ///
  /// - Parameter name: in lower case, with the equals sign.
  static func parameter(_ name: StaticString, of value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    let length = name.utf8CodeUnitCount
    var start = value.startIndex
    while start + length <= value.endIndex {
      // It begins behind white space or a semicolon, so that `name=` is not found in `filename=`.
      let isStart = start == value.startIndex || value[start - 1] == UInt8(ascii: ";") || value[start - 1].isWhiteSpace
      if isStart, value[start..<(start + length)].isCaselessEqual(to: name) {
        let rest = value[(start + length)...]
        if rest.first == UInt8(ascii: "\"") {
          return rest.dropFirst().prefix { $0 != UInt8(ascii: "\"") }
        }
        return rest.prefix { $0 != UInt8(ascii: ";") && !$0.isWhiteSpace }
      }
      start += 1
    }
    return nil
  }

  /// The addresses in a list, at the commas that are not within quotes.
  static func addresses(_ value: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
    var parts: [ArraySlice<UInt8>] = []
    var isQuoted = false
    var start = value.startIndex
    for index in value.indices {
      if value[index] == UInt8(ascii: "\"") { isQuoted.toggle() }
      if value[index] == UInt8(ascii: ","), !isQuoted {
        parts.append(value[start..<index])
        start = index + 1
      }
    }
    parts.append(value[start...])
    return parts.map(\.trimmed).filter { !$0.isEmpty }
  }
}
