internal import AllyPacket

extension HTTPParser {
  /// A request begins with a method and a space, a response with `HTTP/`.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    switch side {
    case .toServer:
      var first = 0
      while first < start.byteCount, first < 16,
        start.byte(at: first) == .carriageReturn || start.byte(at: first) == .lineFeed
      {
        first += 1
      }
      switch HTTPMethod.word(in: start, from: first) {
      case .method: return .yes
      case .cut: return .needsMore
      case .other: return .no
      }
    case .toClient:
      let pattern: StaticString = "HTTP/"
      let length = min(start.byteCount, pattern.utf8CodeUnitCount)
      let isPrefix = pattern.withUTF8Buffer { text in
        for index in 0..<length where unsafe text[index] != start.byte(at: index) { return false }
        return true
      }
      return !isPrefix ? .no : length < pattern.utf8CodeUnitCount ? .needsMore : .yes
    }
  }
}
