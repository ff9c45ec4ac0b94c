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
    case .toClient: return recognizeResponse(start)
    }
  }

  /// `HTTP/0.9`, `HTTP/1.0` or `HTTP/1.1`, in any case.
  private static func recognizeResponse(_ start: RawSpan) -> Recognition {
    var needsMore = false
    for version in ["http/1.1" as StaticString, "http/1.0", "http/0.9"] {
      let length = min(start.byteCount, version.utf8CodeUnitCount)
      let isPrefix = version.withUTF8Buffer { text in
        for index in 0..<length where unsafe text[index] != LiteralSearch.lowercase(start.byte(at: index)) {
          return false
        }
        return true
      }
      if isPrefix && length == version.utf8CodeUnitCount { return .yes }
      needsMore = needsMore || isPrefix
    }
    return needsMore ? .needsMore : .no
  }
}
