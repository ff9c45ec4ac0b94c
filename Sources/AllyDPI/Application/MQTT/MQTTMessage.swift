/// A message of MQTT 3.1, 3.1.1 or 5 (OASIS, MQTT Version 5.0 §2 and §3), read once.
struct MQTTMessage {
  /// Types by their numbers.
  enum Kind: UInt8 {
    case unassigned = 0
    case connect, connack, publish, puback, pubrec, pubrel, pubcomp, subscribe, suback, unsubscribe, unsuback, pingreq
    case pingresp, disconnect, auth

    /// As records name it.
    var name: StaticString {
      switch self {
      case .unassigned: "unassigned"
      case .connect: "connect"
      case .connack: "connack"
      case .publish: "publish"
      case .puback: "puback"
      case .pubrec: "pubrec"
      case .pubrel: "pubrel"
      case .pubcomp: "pubcomp"
      case .subscribe: "subscribe"
      case .suback: "suback"
      case .unsubscribe: "unsubscribe"
      case .unsuback: "unsuback"
      case .pingreq: "pingreq"
      case .pingresp: "pingresp"
      case .disconnect: "disconnect"
      case .auth: "auth"
      }
    }
  }

  struct Connect {
    var protocolName: [UInt8]
    var version: UInt8
    /// User name 0x80, password 0x40, will retain 0x20, will 0x04, clean session 0x02.
    var flags: UInt8
    var clientID: [UInt8] = []
    var will: (topic: [UInt8], message: [UInt8], properties: [MQTTProperty])? = nil
    var userName: [UInt8]? = nil
    var password: [UInt8]? = nil
  }

  /// The fixed header's first byte.
  var header: UInt8
  var kind: Kind
  /// nil in messages of other kinds.
  var connect: Connect? = nil
  var topic: [UInt8] = []
  var payload: [UInt8] = []
  var identifier: UInt16? = nil
  /// Of an acknowledgement, or of the end; nil where the version has none.
  var reason: UInt8? = nil
  var sessionPresent = false
  /// With the quality of service that is asked for.
  var topics: [(name: [UInt8], quality: UInt8)] = []
  /// One for each topic.
  var reasons: [UInt8] = []
  var properties: [MQTTProperty] = []
  /// Bytes that were not looked at because the message is too long.
  var skipped: Int? = nil

  var quality: UInt8 { header >> 1 & 3 }
  var isRetained: Bool { header & 1 != 0 }
  var isDuplicate: Bool { header & 8 != 0 }

  /// A message too long to be read.
  init(header: UInt8, skipped: Int) {
    self.header = header
    kind = Kind(rawValue: header >> 4) ?? .unassigned
    self.skipped = skipped
  }

  /// - Parameters:
  ///   - header: the first byte.
  ///   - body: what follows the length.
  ///   - version: 3, 4 or 5, as the connection has it.
  /// - Returns: nil when it is malformed.
  init?(header: UInt8, body: ArraySlice<UInt8>, version: UInt8) {
    self.header = header
    kind = Kind(rawValue: header >> 4) ?? .unassigned
    var reader = ByteReader(body)
    let isFive = version == 5
    switch kind {
    case .connect:
      guard readConnect(&reader) else { return nil }
    case .connack:
      guard let flags = reader.u8(), let code = reader.u8() else { return nil }
      sessionPresent = flags & 1 != 0
      reason = code
      guard !isFive || readProperties(&reader) else { return nil }
    case .publish:
      guard let name = reader.vector16() else { return nil }
      topic = Array(name)
      if quality > 0 {
        guard let number = reader.u16() else { return nil }
        identifier = number
      }
      guard !isFive || readProperties(&reader) else { return nil }
      payload = Array(reader.rest)
    case .puback, .pubrec, .pubrel, .pubcomp:
      guard let number = reader.u16() else { return nil }
      identifier = number
      guard readReason(&reader, isFive: isFive) else { return nil }
    case .subscribe, .unsubscribe:
      guard let number = reader.u16(), !isFive || readProperties(&reader) else { return nil }
      identifier = number
      while !reader.isEmpty {
        guard let name = reader.vector16() else { return nil }
        var asked: UInt8 = 0
        if kind == .subscribe {
          guard let options = reader.u8() else { return nil }
          asked = options & 3
        }
        topics.append((Array(name), asked))
      }
    case .suback, .unsuback:
      guard let number = reader.u16(), !isFive || readProperties(&reader) else { return nil }
      identifier = number
      reasons = Array(reader.rest)
    case .disconnect, .auth:
      guard readReason(&reader, isFive: isFive) else { return nil }
    case .pingreq, .pingresp, .unassigned: break
    }
  }

  /// Version 5 has a reason and properties at the end; without them the reason is 0. The end of a connection gives its
  /// reason with properties only, as Suricata reads it.
  private mutating func readReason(_ reader: inout ByteReader, isFive: Bool) -> Bool {
    if !isFive { return true }
    if kind == .disconnect && reader.count < 2 {
      reason = 0
      return true
    }
    reason = reader.u8() ?? 0
    return reader.isEmpty || readProperties(&reader)
  }

  private mutating func readProperties(_ reader: inout ByteReader) -> Bool {
    guard let list = MQTTProperty.readList(&reader) else { return false }
    properties = list
    return true
  }

  private mutating func readConnect(_ reader: inout ByteReader) -> Bool {
    guard let name = reader.vector16(), let version = reader.u8(), let flags = reader.u8(), reader.skip(2) else {
      return false
    }
    var connect = Connect(protocolName: Array(name), version: version, flags: flags)
    guard version != 5 || readProperties(&reader), let client = reader.vector16() else { return false }
    connect.clientID = Array(client)
    if flags & 0x04 != 0 {
      var willProperties: [MQTTProperty] = []
      if version == 5 {
        guard let list = MQTTProperty.readList(&reader) else { return false }
        willProperties = list
      }
      guard let topic = reader.vector16(), let message = reader.vector16() else { return false }
      connect.will = (Array(topic), Array(message), willProperties)
    }
    if flags & 0x80 != 0 {
      guard let user = reader.vector16() else { return false }
      connect.userName = Array(user)
    }
    if flags & 0x40 != 0 {
      guard let password = reader.vector16() else { return false }
      connect.password = Array(password)
    }
    self.connect = connect
    return true
  }
}

/// A property of MQTT 5 (§2.2.2.2).
struct MQTTProperty {
  enum Value {
    case number(UInt32)
    case text([UInt8])
    /// A name of the user's own, and its value.
    case pair([UInt8], [UInt8])
  }

  var name: StaticString
  var value: Value

  /// Properties of one message that are read at most.
  private static var most: Int { 256 }

  /// - Returns: nil when the list is malformed.
  static func readList(_ reader: inout ByteReader) -> [MQTTProperty]? {
    guard let length = variableNumber(&reader), let bytes = reader.take(Int(length)) else { return nil }
    var list = ByteReader(bytes)
    var properties: [MQTTProperty] = []
    while !list.isEmpty {
      guard properties.count < most, let identifier = variableNumber(&list), let known = kinds[identifier] else {
        return nil
      }
      let value: Value
      switch known.kind {
      case .byte:
        guard let number = list.u8() else { return nil }
        value = .number(UInt32(number))
      case .short:
        guard let number = list.u16() else { return nil }
        value = .number(UInt32(number))
      case .long:
        guard let number = list.u32() else { return nil }
        value = .number(number)
      case .variable:
        guard let number = variableNumber(&list) else { return nil }
        value = .number(number)
      case .text:
        guard let text = list.vector16() else { return nil }
        value = .text(Array(text))
      case .pair:
        guard let key = list.vector16(), let text = list.vector16() else { return nil }
        value = .pair(Array(key), Array(text))
      }
      properties.append(MQTTProperty(name: known.name, value: value))
    }
    return properties
  }

  /// §1.5.5: seven bits a byte, the lowest first, four bytes at most.
  static func variableNumber(_ reader: inout ByteReader) -> UInt32? {
    var number: UInt32 = 0
    for place in 0..<4 as Range<UInt32> {
      guard let byte = reader.u8() else { return nil }
      number |= UInt32(byte & 0x7F) << (7 * place)
      if byte & 0x80 == 0 { return number }
    }
    return nil
  }

  private enum Kind { case byte, short, long, variable, text, pair }

  private static let kinds: [UInt32: (name: StaticString, kind: Kind)] = [
    1: ("payload_format_indicator", .byte), 2: ("message_expiry_interval", .long), 3: ("content_type", .text),
    8: ("response_topic", .text), 9: ("correlation_data", .text), 11: ("subscription_identifier", .variable),
    17: ("session_expiry_interval", .long), 18: ("assigned_client_identifier", .text),
    19: ("server_keep_alive", .short), 21: ("authentication_method", .text), 22: ("authentication_data", .text),
    23: ("request_problem_information", .byte), 24: ("will_delay_interval", .long),
    25: ("request_response_information", .byte), 26: ("response_information", .text),
    28: ("server_reference", .text), 31: ("reason_string", .text), 33: ("receive_maximum", .short),
    34: ("topic_alias_maximum", .short), 35: ("topic_alias", .short), 36: ("maximum_qos", .byte),
    37: ("retain_available", .byte), 38: ("userprop", .pair), 39: ("maximum_packet_size", .long),
    40: ("wildcard_subscription_available", .byte), 41: ("subscription_identifiers_available", .byte),
    42: ("shared_subscription_available", .byte),
  ]
}
