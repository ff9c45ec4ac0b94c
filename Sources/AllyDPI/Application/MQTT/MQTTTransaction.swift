/// A message and what acknowledges it. Rules look at it, once it is finished, with what its first sender says next.
final class MQTTTransaction: ApplicationTransaction {
  /// What the transaction waits for.
  enum Key: Equatable { case connect, message(UInt16) }

  let number: UInt64
  /// Of the first message.
  let side: FlowSide
  private let textLimit: Int
  private let version: UInt8
  var messages: [MQTTMessage] = []
  var key: Key? = nil
  private(set) var isFinished = false
  /// The first sender has spoken since, or will not any more.
  var isSettled = false
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  init(number: UInt64, side: FlowSide, textLimit: Int, version: UInt8) {
    self.number = number
    self.side = side
    self.textLimit = textLimit
    self.version = version
  }

  func note(_ event: MQTTEvent) { events.insert(event.rawValue) }

  /// The last message is there.
  func finish(_ event: MQTTEvent? = nil) {
    isFinished = true
    if messages.count <= 1 { isSettled = true }
    if let event { note(event) }
  }

  func stage(of flowSide: FlowSide) -> UInt8 {
    flowSide != side || isSettled ? TransactionStage.complete : 1
  }

  var isRecordable: Bool { isFinished || isSettled }
  var recordSide: FlowSide? { side }
  var inspectedSide: FlowSide? { side }

  // MARK: what rules ask

  func bytes(of buffer: InspectionBuffer, from flowSide: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard flowSide == side else { return nil }
    let kind: MQTTMessage.Kind
    switch buffer {
    case .mqttSubscribeTopic: kind = .subscribe
    case .mqttUnsubscribeTopic: kind = .unsubscribe
    default: return index == 0 ? single(buffer) : nil
    }
    let topics = messages.lazy.filter { $0.kind == kind }.flatMap(\.topics)
    return topics.dropFirst(index).first?.name[...]
  }

  private func single(_ buffer: InspectionBuffer) -> ArraySlice<UInt8>? {
    let connect = messages.lazy.compactMap(\.connect).first
    switch buffer {
    case .mqttConnectClientID: return connect?.clientID[...]
    case .mqttConnectUserName: return connect?.userName?[...]
    case .mqttConnectPassword: return connect?.password?[...]
    case .mqttConnectWillTopic: return connect?.will?.topic[...]
    case .mqttConnectWillMessage: return connect?.will?.message[...]
    case .mqttPublishTopic: return messages.first { $0.kind == .publish }?.topic[...]
    case .mqttPublishMessage: return messages.first { $0.kind == .publish }?.payload[...]
    default: return nil
    }
  }

  func meets(_ condition: ApplicationCondition, from flowSide: FlowSide, at time: UInt64) -> Bool {
    guard flowSide == side, isFinished || isSettled else { return false }
    switch condition {
    case .flags(.mqttHeader, let set, let clear):
      return messages.contains { UInt32($0.header) & set == set && UInt32($0.header) & clear == 0 }
    case .flags(.mqttConnect, let set, let clear):
      return messages.contains { message in
        guard let flags = message.connect.map({ UInt32($0.flags) }) else { return false }
        return flags & set == set && flags & clear == 0
      }
    default: return false
    }
  }

  /// Any of the messages will do.
  func meets(_ number: ApplicationNumber, _ test: NumberTest, from flowSide: FlowSide) -> Bool {
    guard flowSide == side, isFinished || isSettled else { return false }
    return switch number {
    case .mqttType: messages.contains { test.matches(UInt32($0.kind.rawValue)) }
    case .mqttQualityOfService: messages.contains { test.matches(UInt32($0.quality)) }
    case .mqttProtocolVersion: test.matches(UInt32(version))
    case .mqttSessionPresent: messages.contains { $0.kind == .connack && test.matches($0.sessionPresent ? 1 : 0) }
    case .mqttReasonCode:
      messages.contains { message in
        message.reason.map { test.matches(UInt32($0)) } ?? false
          || message.reasons.contains { test.matches(UInt32($0)) }
      }
    default: false
    }
  }
}

// MARK: - records

extension MQTTTransaction {
  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("mqtt")
    json.beginObject()
    for message in messages {
      json.key(message.kind.name)
      json.beginObject()
      write(message, to: &json, options)
      json.endObject()
    }
    json.endObject()
  }

  private func write(_ message: MQTTMessage, to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("qos")
    json.number(message.quality)
    flag("retain", message.isRetained, to: &json)
    flag("dup", message.isDuplicate, to: &json)
    if let skipped = message.skipped {
      flag("truncated", true, to: &json)
      json.key("skipped_length")
      json.number(UInt64(skipped))
      return
    }
    switch message.kind {
    case .connect: if let connect = message.connect { write(connect, to: &json, options) }
    case .connack:
      flag("session_present", message.sessionPresent, to: &json)
      json.key("return_code")
      json.number(message.reason ?? 0)
    case .publish:
      text("topic", message.topic, to: &json)
      identifier(message, to: &json)
      text("message", message.payload, to: &json)
    case .subscribe, .unsubscribe:
      identifier(message, to: &json)
      writeTopics(message, to: &json)
    case .suback, .unsuback:
      identifier(message, to: &json)
      writeReasons(message, to: &json)
    default:
      identifier(message, to: &json)
      if let reason = message.reason {
        json.key("reason_code")
        json.number(reason)
      }
    }
    write(message.properties, to: &json)
  }

  private func identifier(_ message: MQTTMessage, to json: inout JSONWriter) {
    guard let identifier = message.identifier else { return }
    json.key("message_id")
    json.number(identifier)
  }

  private func write(
    _ connect: MQTTMessage.Connect, to json: inout JSONWriter, _ options: RecordOptions
  ) {
    text("protocol_string", connect.protocolName, to: &json)
    json.key("protocol_version")
    json.number(connect.version)
    text("client_id", connect.clientID, to: &json)
    json.key("flags")
    json.beginObject()
    for (name, bit) in [
      ("username" as StaticString, 0x80 as UInt8), ("password", 0x40), ("will_retain", 0x20), ("will", 0x04),
      ("clean_session", 0x02),
    ] { flag(name, connect.flags & bit != 0, to: &json) }
    json.endObject()
    if let user = connect.userName { text("username", user, to: &json) }
    if options.passwords.contains(.mqtt), let password = connect.password { text("password", password, to: &json) }
    if let will = connect.will {
      json.key("will")
      json.beginObject()
      text("topic", will.topic, to: &json)
      text("message", will.message, to: &json)
      write(will.properties, to: &json)
      json.endObject()
    }
  }

  private func writeTopics(_ message: MQTTMessage, to json: inout JSONWriter) {
    json.key("topics")
    json.beginArray()
    for topic in message.topics {
      if message.kind == .unsubscribe {
        json.text(limited(topic.name))
        continue
      }
      json.beginObject()
      text("topic", topic.name, to: &json)
      json.key("qos")
      json.number(topic.quality)
      json.endObject()
    }
    json.endArray()
  }

  private func writeReasons(_ message: MQTTMessage, to json: inout JSONWriter) {
    // Before version 5 nothing is said about the end of a subscription.
    if message.kind == .unsuback && message.reasons.isEmpty { return }
    json.key(message.kind == .suback ? "qos_granted" : "reason_codes")
    json.beginArray()
    for reason in message.reasons { json.number(reason) }
    json.endArray()
  }

  private func write(_ properties: [MQTTProperty], to json: inout JSONWriter) {
    if properties.isEmpty { return }
    json.key("properties")
    json.beginObject()
    for property in properties {
      switch property.value {
      case .number(let number):
        json.key(property.name)
        json.number(number)
      case .text(let value): text(property.name, value, to: &json)
      case .pair(let key, let value):
        json.key(String(decoding: key, as: UTF8.self))
        json.text(limited(value))
      }
    }
    json.endObject()
  }

  private func flag(_ name: StaticString, _ value: Bool, to json: inout JSONWriter) {
    json.key(name)
    json.bool(value)
  }

  private func text(_ name: StaticString, _ value: [UInt8], to json: inout JSONWriter) {
    json.key(name)
    json.text(limited(value))
  }

  private func limited(_ text: [UInt8]) -> ArraySlice<UInt8> {
    textLimit > 0 ? text.prefix(textLimit) : text[...]
  }
}
