/// A request or a response (Modbus Application Protocol 1.1b3 §6).
struct ModbusMessage {
  /// What a message does to a table.
  struct Access {
    var isWrite: Bool
    var table: ModbusMatch.Access.Table?
    var isMultiple = false
  }

  enum Content {
    case none
    case exception(UInt8)
    case diagnostic(UInt16, ArraySlice<UInt8>)
    case encapsulated(UInt8, ArraySlice<UInt8>)
    case readRequest(address: UInt16, quantity: UInt16)
    case readResponse(ArraySlice<UInt8>)
    case writeSingle(address: UInt16, data: UInt16)
    case writeMultiple(address: UInt16, quantity: UInt16, data: ArraySlice<UInt8>)
    case writeResponse(address: UInt16, quantity: UInt16)
    case mask(address: UInt16, and: UInt16, or: UInt16)
    case readWrite(
      address: UInt16, quantity: UInt16, writeAddress: UInt16, writeQuantity: UInt16, data: ArraySlice<UInt8>)
    case other(ArraySlice<UInt8>)
  }

  var transaction: UInt16
  var protocolID: UInt16
  var unit: UInt8
  var function: UInt8
  var content = Content.none
  /// A number is not what the function allows.
  var hasBadValue = false
  var isTooShort = false
  let isRequest: Bool

  /// - Returns: nil without a header and a function.
  init?(_ bytes: [UInt8], isRequest: Bool) {
    var reader = ByteReader(bytes)
    guard let transaction = reader.u16(), let protocolID = reader.u16(), reader.skip(2), let unit = reader.u8(),
      let function = reader.u8()
    else { return nil }
    self.transaction = transaction
    self.protocolID = protocolID
    self.unit = unit
    self.function = function
    self.isRequest = isRequest
    guard let content = readContent(&reader) else {
      isTooShort = true
      return
    }
    self.content = content
  }

  private mutating func readContent(_ reader: inout ByteReader) -> Content? {
    if function & 0x80 != 0, !isRequest { return reader.u8().map { .exception($0) } }
    switch function {
    case 1...4: return readRead(&reader)
    case 5, 6:
      guard let address = reader.u16(), let data = reader.u16() else { return nil }
      hasBadValue = function == 5 && data != 0 && data != 0xFF00
      return .writeSingle(address: address, data: data)
    case 8:
      guard let code = reader.u16() else { return nil }
      return .diagnostic(code, reader.rest)
    case 15, 16:
      guard let address = reader.u16(), let quantity = reader.u16() else { return nil }
      if !isRequest { return .writeResponse(address: address, quantity: quantity) }
      guard let data = reader.vector8() else { return nil }
      let wanted = function == 15 ? (Int(quantity) + 7) / 8 : Int(quantity) * 2
      hasBadValue = quantity == 0 || quantity > (function == 15 ? 1968 : 123) || data.count != wanted
      return .writeMultiple(address: address, quantity: quantity, data: data)
    case 22:
      guard let address = reader.u16(), let and = reader.u16(), let or = reader.u16() else { return nil }
      return .mask(address: address, and: and, or: or)
    case 23:
      if !isRequest { return reader.vector8().map { .readResponse($0) } }
      guard let address = reader.u16(), let quantity = reader.u16(), let writeAddress = reader.u16(),
        let writeQuantity = reader.u16(), let data = reader.vector8()
      else { return nil }
      return .readWrite(
        address: address, quantity: quantity, writeAddress: writeAddress, writeQuantity: writeQuantity, data: data)
    case 43: return reader.u8().map { .encapsulated($0, reader.rest) }
    default: return .other(reader.rest)
    }
  }

  private mutating func readRead(_ reader: inout ByteReader) -> Content? {
    if isRequest {
      guard let address = reader.u16(), let quantity = reader.u16() else { return nil }
      hasBadValue = quantity == 0 || quantity > (function <= 2 ? 2000 : 125)
      return .readRequest(address: address, quantity: quantity)
    }
    return reader.vector8().map { .readResponse($0) }
  }

  /// nil for functions that touch no table.
  var access: Access? {
    switch function {
    case 1: Access(isWrite: false, table: .coils)
    case 2: Access(isWrite: false, table: .discretes)
    case 3: Access(isWrite: false, table: .holding)
    case 4: Access(isWrite: false, table: .input)
    case 5: Access(isWrite: true, table: .coils)
    case 6: Access(isWrite: true, table: .holding)
    case 15: Access(isWrite: true, table: .coils, isMultiple: true)
    case 16: Access(isWrite: true, table: .holding, isMultiple: true)
    case 22: Access(isWrite: true, table: .holding, isMultiple: false)
    case 23: Access(isWrite: true, table: .holding, isMultiple: true)
    default: nil
    }
  }

  /// Assigned public 0x01, unassigned public 0x02, user 0x04, reserved 0x08 (§5); 0 for an exception.
  var category: UInt8 {
    switch function {
    case 0: 0
    case 8:
      if case .diagnostic(let code, _) = content, code == 0 || code > 4 && code < 10 || code > 18 && code != 20 {
        code == 0 ? 1 : 8
      } else {
        1
      }
    case 43:
      if case .encapsulated(let kind, _) = content, kind != 13 && kind != 14 { 8 } else { 1 }
    case 1...7, 11, 12, 15...17, 20...24: 1
    case 9, 10, 13, 14, 41, 42, 90, 91, 125...127: 8
    case 65...72, 100...110: 4
    case 128...: 0
    default: 2
    }
  }
}
