extension HTTPTransaction {
  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("tx_id")
    json.number(number)
    json.key("http")
    json.beginObject()
    writeBasicFields(to: &json)
    if options.http.extended { writeExtendedFields(to: &json) }
    let dump = options.http.headers
    writeHeaders("request_headers", request.fields, isWhole: dump == .both || dump == .request, options.http, to: &json)
    writeHeaders(
      "response_headers", response.fields, isWhole: dump == .both || dump == .response, options.http, to: &json)
    json.endObject()
  }

  /// The header fields of one side: all (`dump-all-headers`), or those that the operator names (`custom`).
  private func writeHeaders(
    _ key: StaticString, _ fields: HTTPHeaderFields, isWhole: Bool, _ options: RecordOptions.HTTP,
    to json: inout JSONWriter
  ) {
    if !isWhole && options.custom.isEmpty { return }
    var isBegun = false
    for index in 0..<fields.count {
      let name = fields.name(index)
      guard isWhole || HTTPTransaction.isWanted(name, options) else { continue }
      if !isBegun {
        json.key(key)
        json.beginArray()
        isBegun = true
      }
      json.beginObject()
      json.terminatedText("name", name.prefix(HTTPTransaction.longestHeaderName))
      json.terminatedText("value", fields.value(index).prefix(HTTPTransaction.longestHeaderValue))
      json.endObject()
    }
    if isBegun { json.endArray() }
  }

  /// Bytes of a header field's name and value in a record.
  private static var longestHeaderName: Int { 255 }
  private static var longestHeaderValue: Int { 2047 }

  /// Letters count in whichever case, and settings may have `_` for `-`.
  private static func isWanted(_ name: ArraySlice<UInt8>, _ options: RecordOptions.HTTP) -> Bool {
    // The extended fields have it already.
    if options.extended && name.isCaselessEqual(to: "referer") { return false }
    return options.custom.contains { setting in
      name.count == setting.utf8.count
        && zip(name, setting.utf8).allSatisfy {
          LiteralSearch.lowercase($0) == LiteralSearch.lowercase($1 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $1)
        }
    }
  }

  /// `"http":{…}`, with Suricata's `extended` fields.
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("http")
    json.beginObject()
    writeBasicFields(to: &json)
    writeExtendedFields(to: &json)
    json.endObject()
  }

  func writeAlertFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("http")
    json.beginObject()
    writeBasicFields(to: &json)
    writeExtendedFields(to: &json)
    if options.alert.httpBodyPrintable {
      printable("http_request_body_printable", request.body.bytes, to: &json)
      printable("http_response_body_printable", response.body.bytes, to: &json)
    }
    if options.alert.httpBody {
      base64("http_request_body", request.body.bytes, to: &json)
      base64("http_response_body", response.body.bytes, to: &json)
    }
    json.endObject()
  }

  private func printable(_ name: StaticString, _ bytes: [UInt8], to json: inout JSONWriter) {
    if bytes.isEmpty { return }
    json.key(name)
    json.printable(bytes.rawBytes)
  }

  private func base64(_ name: StaticString, _ bytes: [UInt8], to json: inout JSONWriter) {
    if bytes.isEmpty { return }
    json.key(name)
    json.base64(bytes.rawBytes)
  }

  private func writeBasicFields(to json: inout JSONWriter) {
    if let host = hostName, !host.isEmpty {
      json.key("hostname")
      json.text(host.map(LiteralSearch.lowercase)[...])
    }
    if let port = hostPort {
      json.key("http_port")
      json.number(port)
    }
    text("url", request.target[...], to: &json)
    text("http_user_agent", request.fields.value(of: "user-agent"), to: &json)
    text("xff", request.fields.value(of: "x-forwarded-for"), to: &json)
    if let type = response.fields.value(of: "content-type") {
      let type = type.prefix { $0 != UInt8(ascii: ";") }
      // Suricata spells a NUL out here, and here alone.
      let spelled = type.flatMap { $0 == 0 ? Array("\\0".utf8) : [$0] }
      if !type.isEmpty { json.terminatedText("http_content_type", spelled[...]) }
    }
    writeContentRange(to: &json)
  }

  private func writeExtendedFields(to json: inout JSONWriter) {
    text("http_refer", request.fields.value(of: "referer"), to: &json)
    text("http_method", request.method[...], to: &json)
    text("protocol", request.version[...], to: &json)
    if !response.status.isEmpty {
      if let status = HTTPStatusLine.leadingNumber(response.status[...]) {
        json.key("status")
        json.number(status)
      } else {
        text("status_string", response.status[...], to: &json)
      }
      text("redirect", response.fields.value(of: "location"), to: &json)
    }
    json.key("length")
    json.number(response.body.wireLength)
  }

  private func text(_ name: StaticString, _ value: ArraySlice<UInt8>?, to json: inout JSONWriter) {
    guard let value, !value.isEmpty else { return }
    json.key(name)
    json.text(value)
  }

  /// `Content-Range: bytes 0-99/1000` (RFC 9110 §14.4).
  private func writeContentRange(to json: inout JSONWriter) {
    guard let value = response.fields.value(of: "content-range") else { return }
    json.key("content_range")
    json.beginObject()
    json.key("raw")
    json.text(value)
    if let range = HTTPContentRange(value) {
      if let bounds = range.bounds {
        json.key("start")
        json.number(bounds.lowerBound)
        json.key("end")
        json.number(bounds.upperBound)
      }
      if let size = range.size {
        json.key("size")
        json.number(size)
      }
    }
    json.endObject()
  }
}

/// What a `Content-Range` says.
struct HTTPContentRange {
  var bounds: ClosedRange<UInt64>?
  var size: UInt64?

  /// - Returns: nil when it is none.
  init?(_ value: ArraySlice<UInt8>) {
    guard value.prefix(6).isCaselessEqual(to: "bytes ") else { return nil }
    let parts = value.dropFirst(6).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    size = HTTPContentRange.number(parts[1].trimmed)
    if parts[0].trimmed.elementsEqual([UInt8(ascii: "*")]) { return }
    let ends = parts[0].split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard ends.count == 2, let first = HTTPContentRange.number(ends[0].trimmed),
      let last = HTTPContentRange.number(ends[1].trimmed), first <= last
    else { return nil }
    bounds = first...last
  }

  private static func number(_ text: ArraySlice<UInt8>) -> UInt64? {
    guard !text.isEmpty, text.count < 19, text.allSatisfy(\.isDecimalDigit) else { return nil }
    return text.reduce(0) { $0 * 10 + UInt64($1 &- 0x30) }
  }
}
