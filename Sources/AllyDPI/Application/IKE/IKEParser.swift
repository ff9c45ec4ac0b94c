internal import AllyPacket

/// IKE, versions 1 and 2: one transaction for each message.
final class IKEParser: MessageParser {
  static var applicationProtocol: ApplicationProtocol { .ike }
  static var transports: [UInt8] { [IPProtocolNumber.udp] }
  static var recordName: StaticString { "ike" }
  static var standardPort: UInt16 { 500 }
  static var recordKind: RecordKinds { .ike }
  static let eventNames: [StaticString] = IKEEvent.allCases.map(\.name)

  var list: TransactionList<IKETransaction>
  /// What the server has chosen of what was proposed, and what each side said of itself so far; of version 1.
  private var agreement = IKEAgreement()

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    switch buffer {
    case .ikeInitiatorSPI, .ikeVendor: side == .toServer ? BufferAvailability(stage: TransactionStage.complete) : nil
    case .ikeResponderSPI: side == .toClient ? BufferAvailability(stage: TransactionStage.complete) : nil
    case .ikeKeyExchangePayload, .ikeNoncePayload: BufferAvailability(stage: TransactionStage.complete)
    default: nil
    }
  }

  /// On its ports a header that makes sense.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard serverPort == 500 || serverPort == 4500 else { return .no }
    let bytes = start.array
    guard let message = IKEMessage(IKEParser.withoutMarker(bytes[...])), message.initiator != 0 else { return .no }
    return message.majorVersion == 1 || message.exchange >= 34 && message.exchange <= 37 ? .yes : .no
  }

  /// Behind a NAT four zeros tell IKE from ESP (RFC 3948 §2.2).
  private static func withoutMarker(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    bytes.count > 4 && bytes.prefix(4).allSatisfy { $0 == 0 } ? bytes.dropFirst(4) : bytes
  }

  func receive(_ data: RawSpan, from side: FlowSide) {
    let bytes = data.array
    guard let message = IKEMessage(IKEParser.withoutMarker(bytes[...])) else {
      list.items.last?.note(.malformedData)
      return
    }
    agreement.take(message, from: side)
    let agreement = agreement
    list.begin { IKETransaction(number: $0, message, side, agreement) }?.judge()
  }
}

/// What is odd about a message. The names are those that rules ask for as `app-layer-event:ike.NAME`.
enum IKEEvent: UInt8, CaseIterable, Sendable {
  case malformedData, noEncryption, weakEncryption, weakRandomFunction, weakIntegrity, weakGroup, noGroup
  case noIntegrity, invalidProposal, unknownProposal, multipleServerProposal

  var name: StaticString {
    switch self {
    case .malformedData: "malformed_data"
    case .noEncryption: "no_encryption"
    case .weakEncryption: "weak_crypto_enc"
    case .weakRandomFunction: "weak_crypto_prf"
    case .weakIntegrity: "weak_crypto_auth"
    case .weakGroup: "weak_crypto_dh"
    case .noGroup: "weak_crypto_no_dh"
    case .noIntegrity: "weak_crypto_no_auth"
    case .invalidProposal: "invalid_proposal"
    case .unknownProposal: "unknown_proposal"
    case .multipleServerProposal: "multiple_server_proposal"
    }
  }
}

/// What the two sides of an exchange of version 1 have said so far.
struct IKEAgreement {
  struct Side {
    var keyExchange: [UInt8] = []
    var nonce: [UInt8] = []
    var proposals: [IKEMessage.Transform] = []
  }

  private(set) var domain: UInt32?
  private(set) var chosen: IKEMessage.Transform = []
  private(set) var client = Side()
  private(set) var server = Side()
  /// The client's proposals were seen with an earlier message.
  private(set) var hasShownProposals = false

  mutating func take(_ message: IKEMessage, from side: FlowSide) {
    hasShownProposals = !client.proposals.isEmpty
    if let domain = message.domain { self.domain = domain }
    var said = side == .toServer ? client : server
    if !message.keyExchange.isEmpty { said.keyExchange = message.keyExchange }
    if !message.nonce.isEmpty { said.nonce = message.nonce }
    if !message.transforms.isEmpty { said.proposals = message.transforms }
    if side == .toServer { client = said } else { server = said }
    if side == .toClient, let first = message.transforms.first { chosen = first }
  }
}
