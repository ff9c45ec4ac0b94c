internal import AllyPacket

/// RFB, the protocol of VNC (RFC 6143 §7.1 to §7.3): everything until pictures are sent.
final class RFBParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .rfb }
  static var recordName: StaticString { "rfb" }
  static var recordKind: RecordKinds { .rfb }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static let eventNames: [StaticString] = RFBEvent.allCases.map(\.name)

  /// What comes next, and from whom.
  private enum Step {
    case serverVersion, clientVersion, serverSecurity, serverSecurityTypes, clientSecurity, challenge, response, result
    case failureReason, clientInit, serverInit, done
  }

  static var frameTypes: [StaticString] { ["pdu"] }

  private let limits: ApplicationLimits
  private let current = RFBTransaction()
  private var isOver = false
  private var frames: FrameList?
  /// Bytes that were received last: what is pending ends with them.
  private var received = 0
  private var step = Step.serverVersion
  private var toServer: [UInt8] = []
  private var toClient: [UInt8] = []

  init(limits: ApplicationLimits, transport: UInt8) { self.limits = limits }

  func useFrames(_ list: FrameList) { frames = list }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    buffer == .rfbName && side == .toClient ? BufferAvailability(stage: TransactionStage.complete) : nil
  }

  /// `RFB 003.008`.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    let magic = [UInt8]("RFB ".utf8)
    for index in 0..<min(start.byteCount, magic.count) where start.byte(at: index) != magic[index] { return .no }
    return start.byteCount >= magic.count ? .yes : .needsMore
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if step == .done || isOver { return }
    let room = limits.handshake
    received = data.byteCount
    if side == .toServer {
      toServer.append(data.extracting(0..<min(data.byteCount, max(0, room - toServer.count))))
    } else {
      toClient.append(data.extracting(0..<min(data.byteCount, max(0, room - toClient.count))))
    }
    while step != .done, advance() {}
    if step == .done {
      toServer.removeAll()
      toClient.removeAll()
    }
  }

  /// Behind the handshake come pictures.
  var isFinished: Bool { step == .done && current.hasScreen }

  /// Takes one step.
  ///
  /// - Returns: whether there was enough for it.
  private func advance() -> Bool {
    switch step {
    case .serverVersion: return readVersion(.toClient)
    case .clientVersion: return readVersion(.toServer)
    case .serverSecurity:
      guard let bytes = take(4, .toClient) else { return false }
      var reader = ByteReader(bytes)
      choose(reader.u32() ?? 0)
    case .serverSecurityTypes:
      guard let count = toClient.first, take(1 + Int(count), .toClient) != nil else { return false }
      step = count == 0 ? .failureReason : .clientSecurity
    case .clientSecurity:
      guard let type = take(1, .toServer)?.first else { return false }
      choose(UInt32(type))
    case .challenge:
      guard let bytes = take(16, .toClient) else { return false }
      current.challenge = bytes
      step = .response
    case .response:
      guard let bytes = take(16, .toServer) else { return false }
      current.response = bytes
      step = .result
    case .result:
      guard let bytes = take(4, .toClient) else { return false }
      var reader = ByteReader(bytes)
      let result = reader.u32() ?? 0
      current.result = result
      if result > 2 { current.note(.unknownSecurityResult) }
      step = result == 0 ? .clientInit : .failureReason
    case .failureReason:
      guard let reason = takeText(.toClient, behind: 0) else { return false }
      current.failureReason = Array(reason[4...])
      step = .done
    case .clientInit:
      guard let shared = take(1, .toServer)?.first else { return false }
      current.isShared = shared != 0
      step = .serverInit
    case .serverInit:
      guard let screen = takeText(.toClient, behind: 20) else { return false }
      current.readScreen(screen[..<20], name: Array(screen[24...]))
      step = .done
    case .done: return false
    }
    return true
  }

  private func readVersion(_ side: FlowSide) -> Bool {
    guard let line = take(12, side) else { return false }
    let isServer = side == .toClient
    guard current.readVersion(line, isServer: isServer) else {
      current.note(.malformedMessage)
      step = .done
      return false
    }
    step = isServer ? .clientVersion : current.usesOldSecurity ? .serverSecurity : .serverSecurityTypes
    return true
  }

  /// A type of security is agreed upon.
  private func choose(_ type: UInt32) {
    current.securityType = type
    switch type {
    case 0: step = .failureReason
    case 1: step = current.tellsResultAlways ? .result : .clientInit
    case 2: step = .challenge
    default:
      current.note(.unimplementedSecurityType)
      step = .done
    }
  }

  /// Takes a message of a known length; nil while it is not there.
  private func take(_ count: Int, _ side: FlowSide) -> [UInt8]? {
    let bytes = side == .toServer ? toServer : toClient
    guard bytes.count >= count else { return nil }
    let message = Array(bytes.prefix(count))
    frames?.begin(0, side, at: received - bytes.count, message.rawBytes, length: count)
    if side == .toServer { toServer.removeFirst(count) } else { toClient.removeFirst(count) }
    return message
  }

  /// Takes a text with its length in front, and what stands before that.
  ///
  /// - Returns: all of it; nil while it is not there.
  private func takeText(_ side: FlowSide, behind count: Int) -> [UInt8]? {
    var reader = ByteReader(side == .toServer ? toServer : toClient)
    guard reader.skip(count), let length = reader.u32(), reader.count >= Int(length) else { return nil }
    return take(count + 4 + Int(length), side)
  }

  func skip(_ count: Int, from side: FlowSide) { step = .done }

  func close(_ side: FlowSide) { current.close(side) }

  var transactionCount: Int { isOver ? 0 : 1 }
  func transaction(at index: Int) -> any ApplicationTransaction { current }
  func removeTransaction(at index: Int) { isOver = true }
}

/// What is odd about a conversation. The names are those that rules ask for as `app-layer-event:rfb.NAME`.
enum RFBEvent: UInt8, CaseIterable, Sendable {
  case unimplementedSecurityType, unknownSecurityResult, malformedMessage, confusedState

  var name: StaticString {
    switch self {
    case .unimplementedSecurityType: "unimplemented_security_type"
    case .unknownSecurityResult: "unknown_security_result"
    case .malformedMessage: "malformed_message"
    case .confusedState: "confused_state"
    }
  }
}
