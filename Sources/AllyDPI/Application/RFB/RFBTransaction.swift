/// A whole conversation: RFB has one transaction for each flow, complete when the screen is known.
final class RFBTransaction: ApplicationTransaction {
  let number: UInt64 = 0
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  private var serverVersion: [[UInt8]] = []
  private var clientVersion: [[UInt8]] = []
  var securityType: UInt32? = nil
  var challenge: [UInt8] = []
  var response: [UInt8] = []
  var result: UInt32? = nil
  var failureReason: [UInt8] = []
  var isShared: Bool? = nil
  /// Width, height and the format of a pixel (RFC 6143 §7.3.2).
  private var screen: [UInt8] = []
  private var name: [UInt8] = []
  private var isClosedToServer = false
  private var isClosedToClient = false

  func note(_ event: RFBEvent) { events.insert(event.rawValue) }

  /// `RFB 003.008` and a line feed.
  ///
  /// - Returns: whether it is one.
  func readVersion(_ line: [UInt8], isServer: Bool) -> Bool {
    guard line.count == 12, line.starts(with: [UInt8]("RFB ".utf8)), line[7] == UInt8(ascii: "."),
      line[11] == .lineFeed
    else { return false }
    let version = [Array(line[4..<7]), Array(line[8..<11])]
    if isServer { serverVersion = version } else { clientVersion = version }
    return true
  }

  private var minor: Int { clientVersion.count < 2 ? 8 : clientVersion[1].reduce(0) { $0 * 10 + Int($1 & 15) } }

  /// Before version 3.7 the server decides.
  var usesOldSecurity: Bool { minor < 7 }
  /// From version 3.8 on there is a result even without authentication.
  var tellsResultAlways: Bool { minor >= 8 }

  func readScreen(_ bytes: ArraySlice<UInt8>, name: [UInt8]) {
    screen = Array(bytes)
    self.name = name
  }

  /// The server has said what the screen is: the handshake is over.
  var hasScreen: Bool { !screen.isEmpty }

  func close(_ side: FlowSide) {
    if side == .toServer { isClosedToServer = true } else { isClosedToClient = true }
  }

  func stage(of side: FlowSide) -> UInt8 {
    (side == .toServer ? isClosedToServer : isClosedToClient) || !screen.isEmpty && side == .toClient
      ? TransactionStage.complete : 1
  }

  var isRecordable: Bool { !screen.isEmpty || isClosedToServer && isClosedToClient }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    buffer == .rfbName && side == .toClient && index == 0 && !screen.isEmpty ? name[...] : nil
  }

  func value(of number: ApplicationNumber) -> UInt32? {
    switch number {
    case .rfbSecurityType: securityType
    case .rfbSecurityResult: result
    default: nil
    }
  }

  // MARK: records

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("rfb")
    json.beginObject()
    for (name, version) in [
      ("server_protocol_version" as StaticString, serverVersion), ("client_protocol_version", clientVersion),
    ] where version.count == 2 {
      json.key(name)
      json.beginObject()
      json.key("major")
      json.text(version[0][...])
      json.key("minor")
      json.text(version[1][...])
      json.endObject()
    }
    if let securityType { writeAuthentication(securityType, to: &json) }
    if let isShared {
      json.key("screen_shared")
      json.bool(isShared)
    }
    if screen.count == 20 { writeScreen(to: &json) }
    json.endObject()
  }

  private func writeAuthentication(_ type: UInt32, to json: inout JSONWriter) {
    json.key("authentication")
    json.beginObject()
    json.key("security_type")
    json.number(type)
    if !challenge.isEmpty {
      json.key("vnc")
      json.beginObject()
      for (name, bytes) in [("challenge" as StaticString, challenge), ("response", response)] {
        json.key(name)
        json.string { text in
          for byte in bytes { text += [hexadecimalDigit(byte >> 4), hexadecimalDigit(byte & 15)] }
        }
      }
      json.endObject()
    }
    if let result {
      json.key("security_result")
      json.string(result == 0 ? "OK" : result == 1 ? "FAIL" : result == 2 ? "TOOMANY" : "UNKNOWN (\(result))")
    }
    if !failureReason.isEmpty {
      json.key("failure_reason")
      json.text(failureReason[...])
    }
    json.endObject()
  }

  private func writeScreen(to json: inout JSONWriter) {
    var reader = ByteReader(screen)
    json.key("framebuffer")
    json.beginObject()
    number("width", reader.u16(), to: &json)
    number("height", reader.u16(), to: &json)
    json.key("name")
    json.text(name[...])
    json.key("pixel_format")
    json.beginObject()
    number("bits_per_pixel", reader.u8().map(UInt16.init), to: &json)
    number("depth", reader.u8().map(UInt16.init), to: &json)
    for flag in ["big_endian" as StaticString, "true_color"] {
      json.key(flag)
      json.bool(reader.u8() ?? 0 != 0)
    }
    for name in ["red_max" as StaticString, "green_max", "blue_max"] { number(name, reader.u16(), to: &json) }
    for name in ["red_shift" as StaticString, "green_shift", "blue_shift"] {
      number(name, reader.u8().map(UInt16.init), to: &json)
    }
    json.endObject()
    json.endObject()
  }

  private func number(_ name: StaticString, _ value: UInt16?, to json: inout JSONWriter) {
    json.key(name)
    json.number(value ?? 0)
  }
}
