internal import AllyPacket

/// MQTT 3.1, 3.1.1 and 5. A transaction is a message with all that acknowledges it.
final class MQTTParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .mqtt }
  static var recordName: StaticString { "mqtt" }
  static var standardPort: UInt16 { 1883 }
  static var recordKind: RecordKinds { .mqtt }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static let eventNames: [StaticString] = MQTTEvent.allCases.map(\.name)

  static var frameTypes: [StaticString] { ["pdu", "header", "data"] }

  private let limits: ApplicationLimits
  private var frames: FrameList?
  private let options: ApplicationOptions.MQTT
  private var transactions: [MQTTTransaction] = []
  private var transactionsBegun: UInt64 = 0
  private var version: UInt8 = 0
  private var isConnected = false
  /// What is malformed cannot be followed further.
  private(set) var isLost = false
  private var toServer = Reading()
  private var toClient = Reading()

  /// Where one side's stream is.
  private struct Reading {
    /// The message so far, from its first byte.
    var pending: [UInt8] = []
    /// Bytes of a message that is too long.
    var skipped = 0
  }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    options = limits.options.mqtt
  }

  func useFrames(_ list: FrameList) { frames = list }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .mqttConnectClientID, .mqttConnectUserName, .mqttConnectPassword, .mqttConnectWillTopic,
      .mqttConnectWillMessage, .mqttPublishTopic, .mqttPublishMessage, .mqttSubscribeTopic, .mqttUnsubscribeTopic:
      BufferAvailability(stage: TransactionStage.complete)
    default: nil
    }
  }

  /// A CONNECT with the protocol's name on any port; on MQTT's own, any message that makes sense.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount >= 2 else { return .needsMore }
    let first = start.byte(at: 0)
    if serverPort == 1883 { return first >> 4 != 0 && first >> 1 & 3 <= 2 ? .yes : .no }
    guard first == 0x10, side == .toServer else { return .no }
    var offset = 1
    while offset < 5 {
      guard offset < start.byteCount else { return .needsMore }
      if start.byte(at: offset) & 0x80 == 0 { break }
      offset += 1
    }
    guard let name = Window<4>(start, at: offset + 1) else { return .needsMore }
    let isName = name.u16(0) == 4 && name.u16(2) == 0x4D51 || name.u16(0) == 6 && name.u16(2) == 0x4D51
    return isName ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    settle(side)
    if isLost { return }
    if side == .toServer { read(data, &toServer, side) } else { read(data, &toClient, side) }
  }

  /// What was finished before this side speaks again is looked at as its own.
  private func settle(_ side: FlowSide) {
    for transaction in transactions where transaction.side == side && transaction.isFinished {
      transaction.isSettled = true
    }
  }

  private func read(_ data: RawSpan, _ reading: inout Reading, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !isLost {
      if reading.skipped > 0 {
        let count = min(reading.skipped, data.byteCount - offset)
        reading.skipped -= count
        offset += count
        continue
      }
      guard let (header, length) = MQTTParser.fixedHeader(&reading.pending, data, &offset) else {
        if reading.pending.count >= 5 { noteMalformed(side) }
        return
      }
      if length > options.maximumMessage {
        take(MQTTMessage(header: reading.pending[0], skipped: header + length), side)
        reading.skipped = length - (reading.pending.count - header)
        reading.pending.removeAll(keepingCapacity: true)
        continue
      }
      let count = min(header + length - reading.pending.count, data.byteCount - offset)
      reading.pending.append(data.extracting(offset..<(offset + count)))
      offset += count
      guard reading.pending.count == header + length else { return }
      show(reading.pending, header: header, side, at: offset - header - length)
      let first = reading.pending[0]
      // The version that a CONNECT asks for is in force from there on.
      if first >> 4 == 1 { version = MQTTParser.version(reading.pending[header...]) ?? version }
      guard let message = MQTTMessage(header: first, body: reading.pending[header...], version: version) else {
        noteMalformed(side)
        return
      }
      reading.pending.removeAll(keepingCapacity: true)
      take(message, side)
    }
  }

  /// A message is there.
  private func show(_ message: [UInt8], header: Int, _ side: FlowSide, at offset: Int) {
    guard let frames else { return }
    let bytes = message.rawBytes
    frames.begin(0, side, at: offset, bytes, length: message.count)
    frames.begin(1, side, at: offset, bytes.extracting(0..<header), length: header)
    frames.begin(2, side, at: offset + header, bytes.extracting(header...), length: message.count - header)
  }

  /// Length of the fixed header and of what follows; nil while it is not there as a whole.
  private static func fixedHeader(_ pending: inout [UInt8], _ data: RawSpan, _ offset: inout Int) -> (Int, Int)? {
    while true {
      if pending.count > 1 {
        var reader = ByteReader(pending[1...])
        if let length = MQTTProperty.variableNumber(&reader) { return (pending.count - reader.count, Int(length)) }
        if pending.count >= 5 { return nil }
      }
      guard offset < data.byteCount else { return nil }
      pending.append(data.byte(at: offset))
      offset += 1
    }
  }

  private static func version(_ body: ArraySlice<UInt8>) -> UInt8? {
    var reader = ByteReader(body)
    return reader.vector16() == nil ? nil : reader.u8()
  }

  private func noteMalformed(_ side: FlowSide) {
    isLost = true
    begin(nil, side)?.finish(.malformedTraffic)
  }

  // MARK: transactions

  /// What a message begins or ends.
  private func take(_ message: MQTTMessage, _ side: FlowSide) {
    if message.skipped != nil {
      begin(message, side)?.finish()
      return
    }
    switch message.kind {
    case .connect:
      let transaction = begin(message, side)
      transaction?.key = .connect
      if isConnected { transaction?.note(.doubleConnect) }
    case .connack:
      if !answer(.connect, with: message, .missingConnect, side) { return }
      isConnected = true
    case .publish:
      let transaction = begin(message, side)
      switch message.quality {
      case 0: transaction?.finish()
      case 1, 2: transaction?.key = .message(message.identifier ?? 0)
      default: transaction?.note(.invalidQualityLevel)
      }
      noteIntroduction(transaction)
    case .subscribe, .unsubscribe:
      let transaction = begin(message, side)
      transaction?.key = .message(message.identifier ?? 0)
      noteIntroduction(transaction)
    case .pubrec, .pubrel:
      guard let transaction = pending(.message(message.identifier ?? 0)) else {
        let transaction = begin(message, side)
        transaction?.finish(.missingPublish)
        noteIntroduction(transaction)
        return
      }
      transaction.messages.append(message)
    case .puback, .pubcomp: answer(.message(message.identifier ?? 0), with: message, .missingPublish, side)
    case .suback: answer(.message(message.identifier ?? 0), with: message, .missingSubscribe, side)
    case .unsuback: answer(.message(message.identifier ?? 0), with: message, .missingUnsubscribe, side)
    case .unassigned: begin(message, side)?.finish(.unassignedMessageType)
    case .pingreq, .pingresp, .disconnect, .auth:
      let transaction = begin(message, side)
      transaction?.finish()
      noteIntroduction(transaction)
    }
  }

  private func noteIntroduction(_ transaction: MQTTTransaction?) {
    if !isConnected { transaction?.note(.unintroducedMessage) }
  }

  /// Ends the transaction that waits for a message.
  ///
  /// - Returns: whether there was one.
  @discardableResult
  private func answer(
    _ key: MQTTTransaction.Key, with message: MQTTMessage, _ missing: MQTTEvent, _ side: FlowSide
  ) -> Bool {
    guard let transaction = pending(key) else {
      let transaction = begin(message, side)
      transaction?.finish(missing)
      if key != .connect { noteIntroduction(transaction) }
      return false
    }
    transaction.messages.append(message)
    if key != .connect { noteIntroduction(transaction) }
    transaction.finish()
    return true
  }

  private func pending(_ key: MQTTTransaction.Key) -> MQTTTransaction? {
    transactions.first { !$0.isFinished && $0.key == key }
  }

  @discardableResult
  private func begin(_ message: MQTTMessage?, _ side: FlowSide) -> MQTTTransaction? {
    guard transactions.count < limits.transactions else {
      transactions.last?.note(.tooManyTransactions)
      return nil
    }
    let transaction = MQTTTransaction(
      number: transactionsBegun, side: side, textLimit: options.textLimit, version: version)
    if let message { transaction.messages.append(message) }
    transactionsBegun += 1
    transactions.append(transaction)
    return transaction
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { skip(count, &toServer) } else { skip(count, &toClient) }
  }

  private func skip(_ count: Int, _ reading: inout Reading) {
    if count <= reading.skipped { reading.skipped -= count } else { isLost = true }
  }

  func close(_ side: FlowSide) {
    for transaction in transactions where transaction.side == side {
      transaction.isSettled = true
    }
  }

  var transactionCount: Int { transactions.count }
  func transaction(at index: Int) -> any ApplicationTransaction { transactions[index] }
  func removeTransaction(at index: Int) { transactions.remove(at: index) }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:mqtt.NAME`.
enum MQTTEvent: UInt8, CaseIterable, Sendable {
  case missingConnect, missingPublish, missingSubscribe, missingUnsubscribe, doubleConnect, unintroducedMessage
  case invalidQualityLevel, missingMessageID, unassignedMessageType, tooManyTransactions, malformedTraffic

  var name: StaticString {
    switch self {
    case .missingConnect: "missing_connect"
    case .missingPublish: "missing_publish"
    case .missingSubscribe: "missing_subscribe"
    case .missingUnsubscribe: "missing_unsubscribe"
    case .doubleConnect: "double_connect"
    case .unintroducedMessage: "unintroduced_message"
    case .invalidQualityLevel: "invalid_qos_level"
    case .missingMessageID: "missing_msg_id"
    case .unassignedMessageType: "unassigned_msg_type"
    case .tooManyTransactions: "too_many_transactions"
    case .malformedTraffic: "malformed_traffic"
    }
  }
}
