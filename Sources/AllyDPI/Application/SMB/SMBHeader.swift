internal import AllyPacket

/// What the headers of both versions say (MS-CIFS 2.2.3.1, MS-SMB2 2.2.1).
struct SMBHeader {
  /// 1 or 2.
  var version: UInt8
  var command: UInt16
  var status: UInt32
  var isResponse: Bool
  /// Names are UTF-16; always with version 2.
  var isUnicode: Bool
  /// The status is an error class and code of DOS, not one of NT.
  var isDOSStatus = false
  /// What request and response have in common.
  var messageID: UInt64
  var treeID: UInt32
  var sessionID: UInt64
  /// Version 2: where the next message begins; 0 for the last.
  var next: Int

  /// Trees belong to sessions.
  var treeKey: UInt64 { sessionID &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(treeID) }
  var isNegotiation: Bool { version == 1 ? command == SMB1Command.negotiate : command == SMB2Command.negotiate }

  /// `\xFFSMB`, `\xFESMB` or `\xFDSMB`.
  static func isMagic(_ data: RawSpan) -> Bool {
    data.byteCount >= 4 && data.byte(at: 0) >= 0xFD && data.byte(at: 1) == UInt8(ascii: "S")
      && data.byte(at: 2) == UInt8(ascii: "M") && data.byte(at: 3) == UInt8(ascii: "B")
  }

  static var length1: Int { 32 }
  static var length2: Int { 64 }

  /// - Returns: nil when it is none, or an encrypted one.
  init?(_ data: RawSpan) {
    guard SMBHeader.isMagic(data) else { return nil }
    var reader = FieldReader(data, at: 4)
    switch data.byte(at: 0) {
    case 0xFF:
      version = 1
      command = UInt16(reader.u8())
      status = reader.u32()
      let flags = reader.u8()
      let flags2 = reader.u16()
      isResponse = flags & 0x80 != 0
      isUnicode = flags2 & 0x8000 != 0
      isDOSStatus = flags2 & 0x4000 == 0
      reader.skip(12)
      treeID = UInt32(reader.u16())
      let process = reader.u16()
      sessionID = UInt64(reader.u16())
      messageID = UInt64(process) << 16 | UInt64(reader.u16())
      next = 0
    case 0xFE:
      version = 2
      reader.skip(4)
      status = reader.u32()
      command = reader.u16()
      reader.skip(2)
      let flags = reader.u32()
      next = Int(reader.u32())
      messageID = reader.u64()
      isResponse = flags & 1 != 0
      isUnicode = true
      if flags & 2 != 0 {
        // An asynchronous message has a number where the tree would be.
        reader.skip(8)
        treeID = 0
      } else {
        reader.skip(4)
        treeID = reader.u32()
      }
      sessionID = reader.u64()
      reader.skip(16)
    default: return nil
    }
    if reader.isShort { return nil }
  }
}

/// What is odd about an SMB conversation.
enum SMBEvent: UInt8, CaseIterable, Sendable {
  case malformedData, malformedNTLMSSP, recordOverflow, fileOverlap, tooManyTransactions, unusualNTLMSSPOrder
  case negotiateMalformedDialects, responseToServer, requestToClient, readRequestTooLarge, readResponseTooLarge
  case writeRequestTooLarge, negotiateMaxReadSizeTooLarge, negotiateMaxWriteSizeTooLarge, readQueueSizeExceeded
  case readQueueCountExceeded, writeQueueSizeExceeded, writeQueueCountExceeded, internalError

  var name: StaticString {
    switch self {
    case .malformedData: "malformed_data"
    case .malformedNTLMSSP: "malformed_ntlmssp_request"
    case .recordOverflow: "record_overflow"
    case .fileOverlap: "file_overlap"
    case .tooManyTransactions: "too_many_transactions"
    case .unusualNTLMSSPOrder: "unusual_ntlmssp_order"
    case .negotiateMalformedDialects: "negotiate_malformed_dialects"
    case .responseToServer: "response_to_server"
    case .requestToClient: "request_to_client"
    case .readRequestTooLarge: "read_request_too_large"
    case .readResponseTooLarge: "read_response_too_large"
    case .writeRequestTooLarge: "write_request_too_large"
    case .negotiateMaxReadSizeTooLarge: "negotiate_max_read_size_too_large"
    case .negotiateMaxWriteSizeTooLarge: "negotiate_max_write_size_too_large"
    case .readQueueSizeExceeded: "read_queue_size_exceeded"
    case .readQueueCountExceeded: "read_queue_cnt_exceeded"
    case .writeQueueSizeExceeded: "write_queue_size_exceeded"
    case .writeQueueCountExceeded: "write_queue_cnt_exceeded"
    // Suricata's own faults; there is nothing that would be one here.
    case .internalError: "internal_error"
    }
  }
}
