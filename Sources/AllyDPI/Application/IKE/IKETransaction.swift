internal import AllyPacket

/// A message.
final class IKETransaction: MessageTransaction {
  let number: UInt64
  let message: IKEMessage
  let side: FlowSide
  let agreement: IKEAgreement
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()
  /// As text: rules look at hexadecimal digits.
  private let initiator: [UInt8]
  private let responder: [UInt8]
  private let vendors: [[UInt8]]

  init(number: UInt64, _ message: IKEMessage, _ side: FlowSide, _ agreement: IKEAgreement) {
    self.number = number
    self.message = message
    self.side = side
    self.agreement = agreement
    initiator = IKETransaction.digits(message.initiator)
    responder = IKETransaction.digits(message.responder)
    vendors = message.vendors.map(IKETransaction.digits)
  }

  static func digits(_ bytes: [UInt8]) -> [UInt8] {
    bytes.flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0 & 15)] }
  }

  private static func digits(_ number: UInt64) -> [UInt8] {
    (0..<16).map { hexadecimalDigit(UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * $0)) & 15) }
  }

  func note(_ event: IKEEvent) { events.insert(event.rawValue) }

  /// What is weak about a server's choice (RFC 8247).
  func judge() {
    if message.isMalformed { note(.malformedData) }
    guard message.majorVersion == 2, side == .toClient else { return }
    if message.transforms.count > 1 { note(.multipleServerProposal) }
    for (type, value) in message.transforms.first ?? [] {
      switch (type, value) {
      case (1, 0), (1, 11): note(.noEncryption)
      case (1, 1), (1, 2), (1, 3), (1, 6), (1, 7): note(.weakEncryption)
      case (2, 1), (2, 2): note(.weakRandomFunction)
      case (3, 0): note(.noIntegrity)
      case (3, 1), (3, 2), (3, 3), (3, 4): note(.weakIntegrity)
      case (4, 0): note(.noGroup)
      case (4, 1), (4, 2), (4, 5), (4, 22): note(.weakGroup)
      default: break
      }
    }
  }

  var inspectedSide: FlowSide? { side }
  var recordSide: FlowSide? { side }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard side == self.side else { return nil }
    switch buffer {
    case .ikeVendor: return index < vendors.count ? vendors[index][...] : nil
    case _ where index > 0: return nil
    case .ikeInitiatorSPI: return initiator[...]
    case .ikeResponderSPI: return responder[...]
    case .ikeKeyExchangePayload: return message.keyExchange.isEmpty ? nil : message.keyExchange[...]
    case .ikeNoncePayload: return message.nonce.isEmpty ? nil : message.nonce[...]
    default: return nil
    }
  }

  func value(of number: ApplicationNumber) -> UInt32? {
    switch number {
    case .ikeExchangeType: UInt32(message.exchange)
    case .ikeKeyExchangePayloadLength:
      message.keyExchange.isEmpty ? nil : UInt32(clamping: message.keyExchange.count)
    case .ikeNoncePayloadLength: message.nonce.isEmpty ? nil : UInt32(clamping: message.nonce.count)
    default: nil
    }
  }

  func meets(_ condition: ApplicationCondition, from side: FlowSide, at time: UInt64) -> Bool {
    guard case .ikeAttribute(let name, let value) = condition, side == .toClient, self.side == .toClient,
      message.majorVersion == 1
    else { return false }
    return message.transforms.first?.contains {
      $0.value == value && IKENames.attributes[$0.type]?.description == name
    } ?? false
  }
}
