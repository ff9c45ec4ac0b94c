internal import AllyPacket

/// The header that every unit of connection-oriented DCE/RPC begins with (C706 §12.6.3.1).
struct DCERPCHeader {
  static var length: Int { 16 }

  var minorVersion: UInt8
  var type: DCERPCType
  var flags: UInt8
  var isLittleEndian: Bool
  /// Bytes of the whole unit.
  var fragmentLength: Int
  var callID: UInt32

  var isFirst: Bool { flags & 1 != 0 }
  var isLast: Bool { flags & 2 != 0 }

  /// - Returns: nil when it is none.
  init?(_ data: RawSpan) {
    guard data.byteCount >= DCERPCHeader.length, data.byte(at: 0) == 5, data.byte(at: 1) <= 1,
      let type = DCERPCType(rawValue: data.byte(at: 2))
    else { return nil }
    minorVersion = data.byte(at: 1)
    self.type = type
    flags = data.byte(at: 3)
    isLittleEndian = data.byte(at: 4) & 0x10 != 0
    var reader = FieldReader(data, at: 8, isLittleEndian: isLittleEndian)
    fragmentLength = Int(reader.u16())
    reader.skip(2)
    callID = reader.u32()
    guard fragmentLength >= DCERPCHeader.length else { return nil }
  }
}

/// What a unit is (C706 §12.1).
enum DCERPCType: UInt8 {
  case request, ping, response, fault, working, nocall, reject, ack, clCancel, fack, cancelAck
  case bind, bindAck, bindNak, alterContext, alterContextResponse, auth3, shutdown, coCancel, orphaned, rts

  var isFromClient: Bool {
    switch self {
    case .request, .bind, .alterContext, .auth3, .coCancel, .orphaned, .ping, .clCancel: true
    default: false
    }
  }

  /// As records name it.
  var name: StaticString {
    switch self {
    case .request: "REQUEST"
    case .ping: "PING"
    case .response: "RESPONSE"
    case .fault: "FAULT"
    case .working: "WORKING"
    case .nocall: "NOCALL"
    case .reject: "REJECT"
    case .ack: "ACK"
    case .clCancel: "CL_CANCEL"
    case .fack: "FACK"
    case .cancelAck: "CANCEL_ACK"
    case .bind: "BIND"
    case .bindAck: "BINDACK"
    case .bindNak: "BINDNAK"
    case .alterContext: "ALTER_CONTEXT"
    case .alterContextResponse: "ALTER_CONTEXT_RESP"
    case .auth3: "AUTH3"
    case .shutdown: "SHUTDOWN"
    case .coCancel: "CO_CANCEL"
    case .orphaned: "ORPHANED"
    case .rts: "RTS"
    }
  }
}

/// An interface that a client binds to, and the server's answer.
struct DCERPCContext {
  var number: UInt16
  /// In the order in which it is written.
  var uuid: [UInt8]
  var version: UInt16
  var minorVersion: UInt16
  /// nil until the server has answered.
  var result: UInt16? = nil
  var reason: UInt16 = 0

  var isAccepted: Bool { result == 0 }

  /// Interfaces of one conversation that are kept.
  private static var most: Int { 64 }

  /// The interfaces in a bind (C706 §12.6.4.3).
  ///
  /// - Parameter body: what follows the header.
  static func list(inBind body: RawSpan, isLittleEndian: Bool) -> [DCERPCContext] {
    var reader = FieldReader(body, isLittleEndian: isLittleEndian)
    reader.skip(8)
    let count = Int(reader.u8())
    reader.skip(3)
    var contexts: [DCERPCContext] = []
    for _ in 0..<min(count, most) {
      let number = reader.u16()
      let syntaxes = Int(reader.u8())
      reader.skip(1)
      let uuid = UUIDText.written(reader.bytes(16), isLittleEndian: isLittleEndian)
      let version = reader.u16()
      let minor = reader.u16()
      reader.skip(20 * syntaxes)
      if reader.isShort { break }
      contexts.append(DCERPCContext(number: number, uuid: uuid, version: version, minorVersion: minor))
    }
    return contexts
  }

  /// Enters the answers of a bind's acknowledgement (§12.6.4.4), in the order of the bind.
  static func acknowledge(_ contexts: inout [DCERPCContext], _ body: RawSpan, isLittleEndian: Bool) {
    var reader = FieldReader(body, isLittleEndian: isLittleEndian)
    reader.skip(8)
    let addressLength = Int(reader.u16())
    reader.skip(addressLength)
    // Aligned within the unit, whose header is a multiple of four, too.
    reader.skip((4 - reader.offset % 4) % 4)
    let count = Int(reader.u8())
    reader.skip(3)
    for index in 0..<min(count, contexts.count) {
      let result = reader.u16()
      let reason = reader.u16()
      reader.skip(20)
      if reader.isShort { break }
      contexts[index].result = result
      contexts[index].reason = reason
    }
  }
}

/// UUIDs as text.
enum UUIDText {
  /// The bytes in the order in which they are written: the first three fields are numbers.
  static func written(_ bytes: RawSpan, isLittleEndian: Bool) -> [UInt8] {
    let uuid = bytes.array
    guard uuid.count == 16, isLittleEndian else { return uuid }
    return [uuid[3], uuid[2], uuid[1], uuid[0], uuid[5], uuid[4], uuid[7], uuid[6]] + uuid[8...]
  }

  static func append(_ uuid: [UInt8], to text: inout [UInt8]) {
    for (index, byte) in uuid.enumerated() {
      if index == 4 || index == 6 || index == 8 || index == 10 { text.append(UInt8(ascii: "-")) }
      text.append(hexadecimalDigit(byte >> 4))
      text.append(hexadecimalDigit(byte & 15))
    }
  }
}
