internal import AllyPacket

/// TLS 1.0 to 1.3, SSL 3 and SSL 2's hellos (RFC 8446, RFC 5246, RFC 6101, RFC 6176): reads the handshake as far as it is not
/// encrypted, and counts the rest.
final class TLSParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .tls }
  static var recordName: StaticString { "tls" }
  static var recordKind: RecordKinds { .tls }
  static var recognizesEachSide: Bool { true }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var capitalizesEvents: Bool { true }
  static let eventNames: [StaticString] = TLSEvent.allCases.map(\.name)

  private let limits: ApplicationLimits
  private var frames: FrameList?
  private let current: TLSTransaction
  private var isOver = false
  private(set) var isEncrypted = false
  private var toServer = TLSRecordLayer()
  private var toClient = TLSRecordLayer()
  var isLost: Bool { toServer.isLost || toClient.isLost }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    current = TLSTransaction(settings: limits.options.tls)
  }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    typealias Stage = TLSTransaction.Stage
    return switch buffer {
    case .tlsServerName, .ja3Hash, .ja3String, .ja4Hash:
      side == .toServer ? BufferAvailability(stage: Stage.hello) : nil
    case .ja3sHash, .ja3sString: side == .toClient ? BufferAvailability(stage: Stage.hello) : nil
    case .tlsRandom, .tlsRandomTime, .tlsRandomBytes: BufferAvailability(stage: Stage.hello)
    case .tlsCertificates, .tlsCertificateSubject, .tlsCertificateIssuer, .tlsCertificateSerial,
      .tlsCertificateFingerprint:
      BufferAvailability(stage: Stage.certificate)
    default: nil
    }
  }

  /// The first record is one of a handshake, or SSL 2's ClientHello.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount > 0 else { return .needsMore }
    let first = start.byte(at: 0)
    let isAnswer = side == .toClient && (first == TLSContentType.alert || first == TLSContentType.applicationData)
    if first == TLSContentType.handshake || isAnswer {
      guard let header = Window<3>(start, at: 0) else { return .needsMore }
      return header.u8(1) == 3 && header.u8(2) <= 4 ? .yes : .no
    }
    guard first & 0x80 != 0, side == .toServer else { return .no }
    guard let hello = Window<5>(start, at: 0) else { return .needsMore }
    let version = hello.u16(3)
    return hello.u8(2) == 1 && (version == 0x0002 || version >> 8 == 3 && version & 0xFF <= 4) ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if isOver { return }
    current.states.removeAll(keepingCapacity: true)
    if side == .toServer {
      read(data, &toServer, side)
    } else {
      read(data, &toClient, side)
    }
    noteEndOfHandshake()
  }

  private func read(_ data: RawSpan, _ layer: inout TLSRecordLayer, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount, !layer.isLost {
      if !layer.isOpen {
        guard layer.begin(data, &offset) else { break }
        show(layer, data.extracting(offset...), side, at: offset)
        open(&layer, side)
        continue
      }
      layer.take(data, &offset)
      if layer.isComplete {
        finish(&layer, side)
        layer.reset()
      }
    }
  }

  /// A record's header is there.
  private func show(_ layer: TLSRecordLayer, _ rest: RawSpan, _ side: FlowSide, at offset: Int) {
    guard let frames else { return }
    let header = layer.headerBytes
    let start = offset - header.count
    frames.begin(layer.isSSL2 ? Frame.header2 : Frame.header, side, at: start, header.rawBytes, length: header.count)
    let whole = header + rest.extracting(first: layer.length).array
    let length = header.count + layer.length
    frames.begin(layer.isSSL2 ? Frame.record2 : Frame.record, side, at: start, whole.rawBytes, length: length)
    if layer.isSSL2 { return }
    let type =
      switch layer.type {
      case TLSContentType.alert: Frame.alert
      case TLSContentType.heartbeat: Frame.heartbeat
      default: Frame.data
      }
    frames.begin(type, side, at: offset, rest, length: layer.length)
  }

  private enum Frame {
    static var record: UInt8 { 0 }
    static var header: UInt8 { 1 }
    static var data: UInt8 { 2 }
    static var alert: UInt8 { 3 }
    static var heartbeat: UInt8 { 4 }
    static var header2: UInt8 { 5 }
    static var record2: UInt8 { 6 }
  }

  static let frameTypes: [StaticString] = ["pdu", "hdr", "data", "alert", "heartbeat", "ssl2.hdr", "ssl2.pdu"]

  func useFrames(_ list: FrameList) { frames = list }

  func follow(_ before: any ApplicationParser) { current.protocolBefore = type(of: before).recordName }

  /// Looks at a record's header, and decides whether its bytes are wanted.
  private func open(_ layer: inout TLSRecordLayer, _ side: FlowSide) {
    if layer.isSSL2 {
      layer.remaining = layer.length
      layer.keeps = true
      layer.isOpen = true
      if layer.length == 0 { layer.reset() }
      return
    }
    let version = layer.version
    guard version >> 8 == 3 || TLSVersion.isDraft(version) else {
      current.note(.invalidRecordVersion)
      current.note(.invalidTLSHeader)
      layer.isLost = true
      return
    }
    current.withSide(side) { if $0.hello == nil { $0.version = version } }
    layer.remaining = layer.length
    layer.isOpen = true
    switch layer.type {
    case TLSContentType.handshake, TLSContentType.heartbeat: layer.keeps = !layer.isEncrypted
    case TLSContentType.changeCipherSpec:
      layer.keeps = false
      layer.isEncrypted = true
      layer.handshake.removeAll()
      current.advance(side, to: TLSTransaction.Stage.certificate)
    case TLSContentType.applicationData:
      layer.keeps = false
      current.advance(side, to: TLSTransaction.Stage.certificate)
      // Early data comes before the handshake is over (RFC 8446 §2.3).
      if !(current.client.hello?.hasEarlyData ?? false) || current.server.hello != nil {
        current.isHandshakeDone = true
        isEncrypted = true
      }
    case TLSContentType.alert: layer.keeps = false
    default:
      layer.keeps = false
      current.note(.invalidRecordType)
      if !(TLSVersion.tls10...TLSVersion.tls12).contains(version) { layer.isLost = true }
    }
    if layer.remaining == 0 { layer.reset() }
  }

  private func finish(_ layer: inout TLSRecordLayer, _ side: FlowSide) {
    guard layer.keeps else { return }
    if layer.isSSL2 {
      readSSL2(layer.body[...], side)
    } else if layer.type == TLSContentType.heartbeat {
      readHeartbeat(layer.body[...])
    } else {
      layer.handshake.append(contentsOf: layer.body)
      readMessages(&layer, side)
    }
  }

  /// Messages may lie across records (RFC 8446 §5.1).
  private func readMessages(_ layer: inout TLSRecordLayer, _ side: FlowSide) {
    var reader = ByteReader(layer.handshake)
    while reader.count >= 4 {
      var copy = reader
      guard let type = copy.u8(), let length = copy.u24() else { break }
      guard length <= limits.handshake else {
        current.note(.invalidHandshakeMessage)
        layer.isEncrypted = true
        layer.handshake.removeAll()
        return
      }
      guard let body = copy.take(Int(length)) else { break }
      reader = copy
      readMessage(type, body, side)
    }
    layer.handshake = Array(reader.rest)
  }

  private func readMessage(_ type: UInt8, _ body: ArraySlice<UInt8>, _ side: FlowSide) {
    typealias Stage = TLSTransaction.Stage
    switch type {
    case TLSMessageType.clientHello:
      current.states.append(.clientHello)
      if side == .toServer { readHello(body, side) }
    case TLSMessageType.serverHello:
      current.states.append(.serverHello)
      if side == .toClient { readHello(body, side) }
    case TLSMessageType.certificate: readCertificates(body, side)
    case TLSMessageType.serverKeyExchange: current.states.append(.serverKeyExchange)
    case TLSMessageType.clientKeyExchange: current.states.append(.clientKeyExchange)
    case TLSMessageType.certificateRequest:
      if side == .toClient { current.wantsClientCertificate = true }
    case TLSMessageType.serverHelloDone:
      if side == .toClient { current.advance(side, to: Stage.certificate) }
    case 0, TLSMessageType.newSessionTicket, 5...8, TLSMessageType.certificateVerify, 20...24, 67: break
    default: current.note(.invalidHandshakeMessage)
    }
  }

  private func readHello(_ body: ArraySlice<UInt8>, _ side: FlowSide) {
    let isClient = side == .toServer
    guard let hello = TLSHello(body, isClient: isClient) else {
      current.note(.handshakeInvalidLength)
      return
    }
    for problem in hello.problems { current.note(problem) }
    var version = hello.version
    if !isClient {
      if version == TLSVersion.tls13 || version >> 8 == 0x7F { current.hidesCertificates = true }
      if let chosen = hello.supportedVersions.first, chosen > TLSVersion.tls12 {
        version = chosen
        current.hidesCertificates = true
      }
      if let offered = current.client.hello?.sessionID, !offered.isEmpty, offered == hello.sessionID {
        current.seemsResumed = true
      }
    } else if hello.hasTicket {
      current.seemsResumed = true
    }
    // Version 1.3 itself stands in an extension; only early drafts said it here.
    let isEarlyDraft = !isClient && hello.version == TLSVersion.tls13
    if isEarlyDraft || (0x7F01..<0x7F10).contains(version) { version = TLSVersion.earlyDraft }
    current.withSide(side) {
      $0.version = version
      // After a HelloRetryRequest the client says hello again; what it asked for first is what counts.
      if $0.hello == nil { $0.hello = hello }
    }
    current.advance(side, to: TLSTransaction.Stage.hello)
  }

  private func readCertificates(_ body: ArraySlice<UInt8>, _ side: FlowSide) {
    var reader = ByteReader(body)
    defer { current.advance(side, to: TLSTransaction.Stage.certificate) }
    guard current.side(side).chain.isEmpty else { return }
    guard let list = reader.vector24() else {
      current.note(.invalidCertificate)
      return
    }
    var rest = ByteReader(list)
    var chain: [[UInt8]] = []
    while !rest.isEmpty {
      guard let certificate = rest.vector24() else {
        current.note(.invalidCertificate)
        break
      }
      chain.append(Array(certificate))
    }
    guard let first = chain.first else { return }
    let digest = Digest.of(first.span, .sha1)
    current.withSide(side) {
      $0.chain = chain
      $0.fingerprint = TLSCertificate.digits(digest, isUppercase: false)
    }
    do throws(TLSCertificateProblem) {
      let certificate = try TLSCertificate(first[...])
      current.withSide(side) { $0.certificate = certificate }
    } catch {
      if error.event != .certificateInvalidLength { current.note(.invalidCertificate) }
      current.note(error.event)
    }
  }

  /// A heartbeat before encryption (RFC 6520): one that says it is longer than it is asks for the other side's memory.
  private func readHeartbeat(_ body: ArraySlice<UInt8>) {
    current.note(.heartbeat)
    var reader = ByteReader(body)
    guard let type = reader.u8(), let length = reader.u16(), type == 1 || type == 2 else {
      current.note(.invalidHeartbeat)
      return
    }
    if Int(length) + 3 + 16 > body.count { current.note(type == 1 ? .overflowHeartbeat : .dataLeakHeartbeatMismatch) }
  }

  /// RFC 6101 Appendix E: only hellos are of interest.
  private func readSSL2(_ body: ArraySlice<UInt8>, _ side: FlowSide) {
    var reader = ByteReader(body)
    guard let type = reader.u8() else { return }
    switch type {
    case 1 where side == .toServer:
      guard let version = reader.u16() else {
        current.note(.invalidSSLv2Header)
        return
      }
      current.states.append(.clientHello)
      current.client.version = version == 0x0002 ? TLSVersion.ssl2 : version
      current.advance(side, to: TLSTransaction.Stage.hello)
    case 4 where side == .toClient:
      current.states.append(.serverHello)
      current.server.version = TLSVersion.ssl2
      current.advance(side, to: TLSTransaction.Stage.hello)
    case 2 where side == .toServer: current.states.append(.clientKeyExchange)
    default: break
    }
  }

  private func noteEndOfHandshake() {
    if current.wantsClientCertificate ? current.client.hasNames : current.server.hasNames {
      current.isHandshakeDone = true
    }
  }

  // MARK: gaps and ends

  func skip(_ count: Int, from side: FlowSide) {
    // Encrypted data may be missing; when a header is, nothing more can be told.
    if side == .toServer { toServer.skip(count) } else { toClient.skip(count) }
  }

  func close(_ side: FlowSide) {
    current.withSide(side) { $0.stage = TransactionStage.complete }
  }

  var transactionCount: Int { isOver ? 0 : 1 }
  func transaction(at index: Int) -> any ApplicationTransaction { current }
  func removeTransaction(at index: Int) { isOver = true }
}

/// Types of records (RFC 8446 §5.1).
enum TLSContentType {
  static var changeCipherSpec: UInt8 { 20 }
  static var alert: UInt8 { 21 }
  static var handshake: UInt8 { 22 }
  static var applicationData: UInt8 { 23 }
  static var heartbeat: UInt8 { 24 }
}

/// Types of handshake messages (RFC 8446 §4).
enum TLSMessageType {
  static var clientHello: UInt8 { 1 }
  static var serverHello: UInt8 { 2 }
  static var newSessionTicket: UInt8 { 4 }
  static var certificate: UInt8 { 11 }
  static var serverKeyExchange: UInt8 { 12 }
  static var certificateRequest: UInt8 { 13 }
  static var serverHelloDone: UInt8 { 14 }
  static var certificateVerify: UInt8 { 15 }
  static var clientKeyExchange: UInt8 { 16 }
}
