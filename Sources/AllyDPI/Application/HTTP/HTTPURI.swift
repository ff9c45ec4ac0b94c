/// The target of a request, taken apart and normalised as lenient servers read it.
struct HTTPURI {
  /// How the path is read. The defaults are those of Suricata's `personality: IDS`.
  struct Rules: Sendable {
    var convertsBackslashes = true
    var compressesSeparators = true
    var decodesSeparators = true
    var decodesUTF16 = true
    /// One byte for each character of UTF-8, the one that is nearest in shape.
    var convertsUTF8 = true
    /// Decode the path, the query, a second time (`double-decode-path`, `double-decode-query`).
    var decodesPathTwice = false
    var decodesQueryTwice = false

    init(_ options: ApplicationOptions = ApplicationOptions()) {
      decodesPathTwice = options.decodesPathTwice
      decodesQueryTwice = options.decodesQueryTwice
    }
  }

  private(set) var scheme: Range<Int>? = nil
  private(set) var host: Range<Int>? = nil
  private(set) var port: Range<Int>? = nil
  private(set) var path: Range<Int>? = nil
  private(set) var query: Range<Int>? = nil
  private(set) var fragment: Range<Int>? = nil
  /// Path, query and fragment after normalisation.
  private(set) var normalized: [UInt8] = []
  /// How much of it is the path.
  private(set) var normalizedPathLength = 0
  /// What was decoded a second time was encoded still.
  private(set) var isDoubleEncoded = false

  mutating func removeAll() {
    scheme = nil
    host = nil
    port = nil
    path = nil
    query = nil
    fragment = nil
    normalized.removeAll(keepingCapacity: true)
    normalizedPathLength = 0
    isDoubleEncoded = false
  }

  var normalizedPath: ArraySlice<UInt8> { normalized[..<normalizedPathLength] }

  // MARK: parts

  /// Takes `target` apart (RFC 3986 §3), accepting whatever does not fit as a path, and normalises it.
  mutating func parse(_ target: [UInt8], rules: Rules) {
    removeAll()
    var rest = 0
    if let first = target.first, first != UInt8(ascii: "/"),
      let colon = target.firstIndex(of: UInt8(ascii: ":")), colon > 0
    {
      scheme = 0..<colon
      rest = colon + 1
      if rest + 1 < target.count, target[rest] == UInt8(ascii: "/"), target[rest + 1] == UInt8(ascii: "/") {
        rest += 2
        let end = target[rest...].firstIndex { isOne(of: "/?#", $0) } ?? target.count
        parseAuthority(target, rest..<end)
        rest = end
      }
    }
    let pathEnd = target[rest...].firstIndex { isOne(of: "?#", $0) } ?? target.count
    if pathEnd > rest { path = rest..<pathEnd }
    rest = pathEnd
    if rest < target.count, target[rest] == UInt8(ascii: "?") {
      let end = target[rest...].firstIndex(of: UInt8(ascii: "#")) ?? target.count
      query = (rest + 1)..<end
      rest = end
    }
    if rest < target.count { fragment = (rest + 1)..<target.count }
    normalize(target, rules)
  }

  /// `CONNECT` names an authority alone (RFC 9110 §9.3.6).
  mutating func parseAuthority(of target: [UInt8]) {
    removeAll()
    parseAuthority(target, 0..<target.count)
    normalized.append(contentsOf: target)
    normalizedPathLength = normalized.count
  }

  private mutating func parseAuthority(_ target: [UInt8], _ range: Range<Int>) {
    var start = range.lowerBound
    if let at = target[range].lastIndex(of: UInt8(ascii: "@")) { start = at + 1 }
    var end = range.upperBound
    if start < end, target[start] == UInt8(ascii: "["),
      let close = target[start..<end].firstIndex(of: UInt8(ascii: "]"))
    {
      if close + 1 < end, target[close + 1] == UInt8(ascii: ":") { port = (close + 2)..<end }
      end = close + 1
    } else if let colon = target[start..<end].firstIndex(of: UInt8(ascii: ":")) {
      port = (colon + 1)..<end
      end = colon
    }
    host = start..<end
  }

  private func isOne(of characters: StaticString, _ byte: UInt8) -> Bool {
    characters.withUTF8Buffer { unsafe $0.contains(byte) }
  }

  // MARK: normalisation

  private mutating func normalize(_ target: [UInt8], _ rules: Rules) {
    if let path {
      decodePath(target[path], rules)
      if rules.decodesPathTwice {
        let once = normalized
        normalized.removeAll(keepingCapacity: true)
        decodePath(once[...], rules)
        isDoubleEncoded = normalized.count < once.count
      }
      if rules.convertsUTF8 { HTTPBestFit.convertUTF8(&normalized) }
      removeDotSegments()
    }
    normalizedPathLength = normalized.count
    if let query {
      normalized.append(UInt8(ascii: "?"))
      let start = normalized.count
      decode(target[query])
      if rules.decodesQueryTwice {
        let once = Array(normalized[start...])
        normalized.removeSubrange(start...)
        decode(once[...])
        if normalized.count - start < once.count { isDoubleEncoded = true }
      }
    }
    if let fragment {
      normalized.append(UInt8(ascii: "#"))
      decode(target[fragment])
    }
  }

  private mutating func decodePath(_ text: ArraySlice<UInt8>, _ rules: Rules) {
    var index = text.startIndex
    var followsSeparator = false
    while index < text.endIndex {
      var byte = text[index]
      var length = 1
      if byte == UInt8(ascii: "%") {
        if rules.decodesUTF16, let (decoded, count) = utf16(text, at: index) {
          byte = decoded
          length = count
        } else if let decoded = percent(text, at: index) {
          let isSeparator =
            decoded == UInt8(ascii: "/") || decoded == UInt8(ascii: "\\") && rules.convertsBackslashes
          if !isSeparator || rules.decodesSeparators {
            byte = decoded
            length = 3
          }
        }
      }
      index += length
      if byte == UInt8(ascii: "\\") && rules.convertsBackslashes { byte = UInt8(ascii: "/") }
      if byte == UInt8(ascii: "/") && rules.compressesSeparators {
        if followsSeparator { continue }
        followsSeparator = true
      } else {
        followsSeparator = false
      }
      normalized.append(byte)
    }
  }

  /// Of a query and of a fragment: `%41` becomes `A`, and nothing else is changed.
  private mutating func decode(_ text: ArraySlice<UInt8>) {
    var index = text.startIndex
    while index < text.endIndex {
      if text[index] == UInt8(ascii: "%"), let decoded = percent(text, at: index) {
        normalized.append(decoded)
        index += 3
      } else {
        normalized.append(text[index])
        index += 1
      }
    }
  }

  /// `%2F`.
  private func percent(_ text: ArraySlice<UInt8>, at index: Int) -> UInt8? {
    guard index + 2 < text.endIndex, text[index] == UInt8(ascii: "%"),
      let high = text[index + 1].hexadecimalValue, let low = text[index + 2].hexadecimalValue
    else { return nil }
    return high << 4 | low
  }

  /// `%u002F`, as one server once took it.
  private func utf16(_ text: ArraySlice<UInt8>, at index: Int) -> (byte: UInt8, length: Int)? {
    guard index + 5 < text.endIndex, text[index + 1] | 0x20 == UInt8(ascii: "u") else { return nil }
    var value: UInt32 = 0
    for place in (index + 2)...(index + 5) {
      guard let digit = text[place].hexadecimalValue else { return nil }
      value = value << 4 | UInt32(digit)
    }
    return (HTTPBestFit.character(nearest: value), 6)
  }

  /// RFC 3986 §5.2.4, in place; but of a path that ends in a dot segment, with or without a slash behind it, no slash stays.
  private mutating func removeDotSegments() {
    guard normalized.contains(UInt8(ascii: ".")) else { return }
    let slash = UInt8(ascii: "/")
    let dot = UInt8(ascii: ".")
    let end = normalized.count
    var read = 0
    var write = 0
    while read < end {
      let isSegmentStart = read == 0 || normalized[read] == slash
      guard isSegmentStart else {
        normalized[write] = normalized[read]
        write += 1
        read += 1
        continue
      }
      let start = normalized[read] == slash ? read + 1 : read
      var next = start
      while next < end, normalized[next] != slash { next += 1 }
      let isDot = next - start == 1 && normalized[start] == dot
      let isDoubleDot = next - start == 2 && normalized[start] == dot && normalized[start + 1] == dot
      if isDot || isDoubleDot {
        if isDoubleDot {
          while write > 0 {
            write -= 1
            if normalized[write] == slash { break }
          }
        }
        if next + 1 >= end { break }
        read = start > read ? next : next + 1
        continue
      }
      while read < next {
        normalized[write] = normalized[read]
        write += 1
        read += 1
      }
    }
    normalized.removeSubrange(write...)
  }
}
