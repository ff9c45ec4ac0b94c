/// A message in `"modbus":{…}`.
enum ModbusRecord {
  static func write(_ message: ModbusMessage, to json: inout JSONWriter) {
    number("transaction_id", message.transaction, to: &json)
    number("protocol_id", message.protocolID, to: &json)
    number("unit_id", UInt16(message.unit), to: &json)
    number("function_raw", UInt16(message.function), to: &json)
    json.key("function_code")
    json.string(functions[message.function & 0x7F] ?? "Unknown")
    json.key("access_type")
    json.string(access(message))
    json.key("category")
    json.string(category(message.category))
    json.key("error_flags")
    json.string(errors(message))
    write(message.content, to: &json)
  }

  private static func write(_ content: ModbusMessage.Content, to json: inout JSONWriter) {
    switch content {
    case .none: break
    case .exception(let code): coded("exception", UInt16(code), exceptions[code] ?? "Unknown", nil, to: &json)
    case .diagnostic(let code, let data): coded("diagnostic", code, diagnostics[code] ?? "Reserved", data, to: &json)
    case .encapsulated(let kind, let data):
      coded(
        "mei", UInt16(kind), kind == 13 ? "CANOpenGenRefReqResp" : kind == 14 ? "RdDevId" : "Unknown", data, to: &json)
    case .readRequest(let address, let quantity):
      object("read", to: &json) {
        number("address", address, to: &$0)
        number("quantity", quantity, to: &$0)
      }
    case .readResponse(let data): object("read", to: &json) { bytes("data", data, to: &$0) }
    case .writeSingle(let address, let data):
      object("write", to: &json) {
        number("address", address, to: &$0)
        number("data", data, to: &$0)
      }
    case .writeMultiple(let address, let quantity, let data):
      object("write", to: &json) {
        number("address", address, to: &$0)
        number("quantity", quantity, to: &$0)
        bytes("data", data, to: &$0)
      }
    case .writeResponse(let address, let quantity):
      object("write", to: &json) {
        number("address", address, to: &$0)
        number("quantity", quantity, to: &$0)
      }
    case .mask(let address, let and, let or):
      object("write", to: &json) {
        number("address", address, to: &$0)
        number("and_mask", and, to: &$0)
        number("or_mask", or, to: &$0)
      }
    case .readWrite(let address, let quantity, let writeAddress, let writeQuantity, let data):
      object("read", to: &json) {
        number("address", address, to: &$0)
        number("quantity", quantity, to: &$0)
      }
      object("write", to: &json) {
        number("address", writeAddress, to: &$0)
        number("quantity", writeQuantity, to: &$0)
        bytes("data", data, to: &$0)
      }
    case .other(let data): bytes("data", data, to: &json)
    }
  }

  private static func coded(
    _ name: StaticString, _ raw: UInt16, _ code: StaticString, _ data: ArraySlice<UInt8>?, to json: inout JSONWriter
  ) {
    object(name, to: &json) {
      number("raw", raw, to: &$0)
      $0.key("code")
      $0.string(code)
      if let data { bytes("data", data, to: &$0) }
    }
  }

  private static func object(_ name: StaticString, to json: inout JSONWriter, _ body: (inout JSONWriter) -> Void) {
    json.key(name)
    json.beginObject()
    body(&json)
    json.endObject()
  }

  private static func number(_ name: StaticString, _ value: UInt16, to json: inout JSONWriter) {
    json.key(name)
    json.number(value)
  }

  private static func bytes(_ name: StaticString, _ value: ArraySlice<UInt8>, to json: inout JSONWriter) {
    json.key(name)
    json.text(value)
  }

  private static func access(_ message: ModbusMessage) -> String {
    guard let access = message.access else { return "NONE" }
    if message.function == 23 { return "READ | WRITE | HOLDING | MULTIPLE | WRITE_MULTIPLE" }
    var parts = [access.isWrite ? "WRITE" : "READ"]
    if let table = access.table { parts.append(table.rawValue.uppercased()) }
    if access.isWrite {
      parts += access.isMultiple ? ["MULTIPLE", "WRITE_MULTIPLE"] : ["SINGLE", "WRITE_SINGLE"]
    }
    return parts.joined(separator: " | ")
  }

  private static func category(_ bits: UInt8) -> StaticString {
    switch bits {
    case 1: "PUBLIC_ASSIGNED"
    case 2: "PUBLIC_UNASSIGNED"
    case 4: "USER_DEFINED"
    case 8: "RESERVED"
    default: "NONE"
    }
  }

  private static func errors(_ message: ModbusMessage) -> StaticString {
    if message.isTooShort { return "DATA_LENGTH" }
    return message.hasBadValue ? "DATA_VALUE" : "NONE"
  }

  private static let functions: [UInt8: StaticString] = [
    1: "RdCoils", 2: "RdDiscreteInputs", 3: "RdHoldRegs", 4: "RdInputRegs", 5: "WrSingleCoil", 6: "WrSingleReg",
    7: "RdExcStatus", 8: "Diagnostic", 11: "GetCommEventCtr", 12: "GetCommEventLog", 15: "WrMultCoils",
    16: "WrMultRegs", 17: "ReportServerID", 20: "RdFileRec", 21: "WrFileRec", 22: "MaskWrReg", 23: "RdWrMultRegs",
    24: "RdFIFOQueue", 43: "MEI",
  ]
  private static let exceptions: [UInt8: StaticString] = [
    1: "IllegalFunction", 2: "IllegalDataAddr", 3: "IllegalDataValue", 4: "ServerDeviceFail", 5: "Ack",
    6: "ServerDeviceBusy", 7: "NegAck", 8: "MemParityErr", 10: "GatewayPathUnavailable", 11: "GatewayTargetFailToResp",
  ]
  private static let diagnostics: [UInt16: StaticString] = [
    0: "RetQueryData", 1: "RestartCommOpt", 2: "RetDiagReg", 3: "ChangeInputDelimiter", 4: "ForceListenOnlyMode",
    10: "ClearCtrDiagReg", 11: "RetBusMsgCount", 12: "RetBusCommErrCount", 13: "RetBusExcErrCount",
    14: "RetServerMsgCount", 15: "RetServerNoRespCount", 16: "RetServerNAKCount", 17: "RetServerBusyCount",
    18: "RetBusCharOverrunCount", 20: "ClearOverrunCounterFlag",
  ]
}
