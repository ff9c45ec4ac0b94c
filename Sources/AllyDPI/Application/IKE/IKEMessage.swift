internal import AllyPacket

/// A message of IKE, version 1 (RFC 2408, RFC 2409) or 2 (RFC 7296), as far as it is not encrypted.
struct IKEMessage {
  static var headerLength: Int { 28 }

  /// A suite of algorithms that one side proposes: types and values of its attributes, in their order.
  typealias Transform = [(type: UInt16, value: UInt32)]

  var initiator: UInt64
  var responder: UInt64
  var majorVersion: UInt8
  var minorVersion: UInt8
  var exchange: UInt8
  var flags: UInt8
  var messageID: UInt32
  /// Types of the payloads, in their order.
  private(set) var payloads: [UInt8] = []
  private(set) var isEncrypted = false
  /// Domain of interpretation; of version 1.
  private(set) var domain: UInt32?
  private(set) var transforms: [Transform] = []
  private(set) var keyExchange: [UInt8] = []
  private(set) var nonce: [UInt8] = []
  private(set) var vendors: [[UInt8]] = []
  private(set) var notifications: [UInt16] = []
  private(set) var isMalformed = false

  private static var mostPayloads: Int { 64 }
  private static var mostTransforms: Int { 64 }

  /// - Returns: nil when it is none.
  init?(_ data: ArraySlice<UInt8>) {
    var reader = ByteReader(data)
    guard let initiator = reader.u64(), let responder = reader.u64(), let first = reader.u8(),
      let version = reader.u8(),
      let exchange = reader.u8(), let flags = reader.u8(), let messageID = reader.u32(), let length = reader.u32(),
      version >> 4 == 1 || version >> 4 == 2, length >= UInt32(IKEMessage.headerLength)
    else { return nil }
    self.initiator = initiator
    self.responder = responder
    majorVersion = version >> 4
    minorVersion = version & 15
    self.exchange = exchange
    self.flags = flags
    self.messageID = messageID
    isMalformed = Int(length) > data.count
    readPayloads(first, &reader)
  }

  /// The responder answers: a flag of version 2.
  var isResponse: Bool { flags & 0x20 != 0 }

  private mutating func readPayloads(_ first: UInt8, _ reader: inout ByteReader) {
    var type = first
    // In version 1 all that follows the header is encrypted, in version 2 what is in one payload.
    isEncrypted = majorVersion == 1 && flags & 1 != 0
    if isEncrypted {
      if type != 0 { payloads.append(type) }
      return
    }
    while type != 0, payloads.count < IKEMessage.mostPayloads {
      guard let next = reader.u8(), reader.skip(1), let length = reader.u16(), length >= 4,
        let body = reader.take(Int(length) - 4)
      else {
        isMalformed = true
        return
      }
      payloads.append(type)
      if majorVersion == 1 { readPayload1(type, body) } else { readPayload2(type, body) }
      if majorVersion == 2 && type == 46 {
        isEncrypted = true
        return
      }
      type = next
    }
  }

  // MARK: version 1

  private mutating func readPayload1(_ type: UInt8, _ body: ArraySlice<UInt8>) {
    switch type {
    case 1:
      var reader = ByteReader(body)
      domain = reader.u32()
      // The situation is of four bytes in the one domain that there is (RFC 2407 §4.2).
      guard domain != nil, reader.skip(4) else { return isMalformed = true }
      // What it holds counts as payloads, too.
      payloads += [2, 3]
      readProposals1(reader.rest)
    case 4: keyExchange = Array(body)
    case 10: nonce = Array(body)
    case 13: if vendors.count < IKEMessage.mostPayloads { vendors.append(Array(body)) }
    default: break
    }
  }

  private mutating func readProposals1(_ bytes: ArraySlice<UInt8>) {
    var reader = ByteReader(bytes)
    while !reader.isEmpty {
      guard let body = IKEMessage.structure(&reader) else { return isMalformed = true }
      var proposal = ByteReader(body)
      guard proposal.skip(2), let spiLength = proposal.u8(), proposal.skip(1), proposal.skip(Int(spiLength)) else {
        return isMalformed = true
      }
      while !proposal.isEmpty, transforms.count < IKEMessage.mostTransforms {
        guard let body = IKEMessage.structure(&proposal) else { return isMalformed = true }
        transforms.append(IKEMessage.attributes(body.dropFirst(4)))
      }
    }
  }

  // MARK: version 2

  private mutating func readPayload2(_ type: UInt8, _ body: ArraySlice<UInt8>) {
    switch type {
    case 33: readProposals2(body)
    case 34: keyExchange = Array(body.dropFirst(4))
    case 40: nonce = Array(body)
    case 41:
      var reader = ByteReader(body)
      if reader.skip(2), let number = reader.u16(), notifications.count < IKEMessage.mostPayloads {
        notifications.append(number)
      }
    case 43: if vendors.count < IKEMessage.mostPayloads { vendors.append(Array(body)) }
    default: break
    }
  }

  /// A proposal's algorithms, with their kinds as types.
  private mutating func readProposals2(_ bytes: ArraySlice<UInt8>) {
    var reader = ByteReader(bytes)
    while !reader.isEmpty, transforms.count < IKEMessage.mostTransforms {
      guard let body = IKEMessage.structure(&reader) else { return isMalformed = true }
      var proposal = ByteReader(body)
      guard proposal.skip(2), let spiLength = proposal.u8(), proposal.skip(1), proposal.skip(Int(spiLength)) else {
        return isMalformed = true
      }
      var transform: Transform = []
      while !proposal.isEmpty, transform.count < IKEMessage.mostTransforms {
        guard let body = IKEMessage.structure(&proposal) else { return isMalformed = true }
        var fields = ByteReader(body)
        guard let kind = fields.u8(), fields.skip(1), let number = fields.u16() else { return isMalformed = true }
        transform.append((UInt16(kind), UInt32(number)))
      }
      transforms.append(transform)
    }
  }

  // MARK: what both share

  /// A proposal or transform behind its header: what follows, a reserved byte, the length.
  private static func structure(_ reader: inout ByteReader) -> ArraySlice<UInt8>? {
    guard reader.skip(2), let length = reader.u16(), length >= 4 else { return nil }
    return reader.take(Int(length) - 4)
  }

  /// Attributes (RFC 2408 §3.3): of two bytes, or of as many as they say.
  private static func attributes(_ bytes: ArraySlice<UInt8>) -> Transform {
    var reader = ByteReader(bytes)
    var list: Transform = []
    while list.count < 32, let type = reader.u16(), let field = reader.u16() {
      if type & 0x8000 != 0 {
        list.append((type & 0x7FFF, UInt32(field)))
      } else {
        guard let value = reader.take(Int(field)) else { break }
        list.append((type, value.count <= 4 ? value.reduce(0) { $0 << 8 | UInt32($1) } : 0))
      }
    }
    return list
  }
}
