/// A whole conversation: TLS has one transaction for each flow. It can be recorded when the handshake is over, and is
/// complete when both sides have closed.
final class TLSTransaction: ApplicationTransaction {
  /// How far a side is.
  enum Stage {
    static var opened: UInt8 { 1 }
    static var hello: UInt8 { 2 }
    /// Its certificates are there, or will not come any more.
    static var certificate: UInt8 { 3 }
  }

  /// What was spoken before encryption began; nil when that was at the start.
  var protocolBefore: StaticString?

  /// What one side said.
  struct Side {
    var stage = Stage.opened
    var version = TLSVersion.unknown
    var hello: TLSHello? = nil
    /// In DER, the side's own first.
    var chain: [[UInt8]] = []
    var certificate: TLSCertificate? = nil
    var fingerprint: [UInt8] = []

    /// Subject and issuer can be recorded.
    var hasNames: Bool { certificate != nil }

    /// Buffers that both sides have alike.
    func bytes(of buffer: InspectionBuffer, at index: Int) -> ArraySlice<UInt8>? {
      switch buffer {
      case .tlsCertificates: index < chain.count ? chain[index][...] : nil
      case .tlsRandom: hello?.random[...]
      case .tlsRandomTime: hello?.random.prefix(4)
      case .tlsRandomBytes: hello?.random.dropFirst(4)
      case .tlsCertificateSubject: certificate?.subject[...]
      case .tlsCertificateIssuer: certificate?.issuer[...]
      case .tlsCertificateSerial: certificate?.serial[...]
      case .tlsCertificateFingerprint: chain.isEmpty ? nil : fingerprint[...]
      default: nil
      }
    }
  }

  let number: UInt64 = 0
  /// Whether records carry fingerprints.
  let settings: ApplicationOptions.TLS
  var client = Side()
  var server = Side()
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  /// Encrypted data was seen, or all certificates that will come.
  var isHandshakeDone = false
  /// The server wants to see the client's certificate.
  var wantsClientCertificate = false
  /// What the client offered, or what the server answered, points to an earlier session.
  var seemsResumed = false
  /// TLS 1.3: certificates are not to be seen.
  var hidesCertificates = false
  /// Handshake messages of the data that came last.
  var states: [TLSStateMatch.State] = []

  private lazy var ja3: [UInt8] = client.hello.map { TLSFingerprints.ja3($0) } ?? []
  private lazy var ja3Hash: [UInt8] = TLSFingerprints.md5(ja3)
  private lazy var ja3s: [UInt8] = server.hello.map { TLSFingerprints.ja3s($0) } ?? []
  private lazy var ja3sHash: [UInt8] = TLSFingerprints.md5(ja3s)
  private lazy var ja4: [UInt8] = client.hello.map { TLSFingerprints.ja4($0, isQUIC: false) } ?? []

  init(settings: ApplicationOptions.TLS) { self.settings = settings }

  func note(_ event: TLSEvent) { events.insert(event.rawValue) }

  func side(_ side: FlowSide) -> Side { side == .toServer ? client : server }

  func withSide<Result>(_ side: FlowSide, _ body: (inout Side) -> Result) -> Result {
    side == .toServer ? body(&client) : body(&server)
  }

  func advance(_ flowSide: FlowSide, to stage: UInt8) {
    withSide(flowSide) { $0.stage = max($0.stage, stage) }
  }

  func stage(of flowSide: FlowSide) -> UInt8 { flowSide == .toServer ? client.stage : server.stage }

  /// Resumed without a certificate: only up to TLS 1.2 can that be told.
  var isResumed: Bool { seemsResumed && !server.hasNames && server.hello != nil && !hidesCertificates }

  var isRecordable: Bool {
    isHandshakeDone || client.stage == TransactionStage.complete && server.stage == TransactionStage.complete
  }

  func recordCount(_ options: RecordOptions) -> Int {
    server.hasNames || hidesCertificates || seemsResumed && options.tls.sessionResumption ? 1 : 0
  }

  // MARK: what rules ask

  func bytes(of buffer: InspectionBuffer, from flowSide: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    if index > 0 && buffer != .tlsCertificates { return nil }
    let isClient = flowSide == .toServer
    switch buffer {
    case .tlsServerName: return isClient ? client.hello?.serverName?[...] : nil
    case .ja3Hash: return isClient && client.hello != nil ? ja3Hash[...] : nil
    case .ja3String: return isClient && client.hello != nil ? ja3[...] : nil
    case .ja3sHash: return !isClient && server.hello != nil ? ja3sHash[...] : nil
    case .ja3sString: return !isClient && server.hello != nil ? ja3s[...] : nil
    case .ja4Hash: return isClient && client.hello != nil ? ja4[...] : nil
    default: return isClient ? client.bytes(of: buffer, at: index) : server.bytes(of: buffer, at: index)
    }
  }

  func value(of number: ApplicationNumber) -> UInt32? {
    switch number {
    case .tlsCertificateChainLength: server.chain.isEmpty ? nil : UInt32(server.chain.count)
    case .tlsCertificateNotBefore: server.certificate.map { UInt32(clamping: $0.notBefore) }
    case .tlsCertificateNotAfter: server.certificate.map { UInt32(clamping: $0.notAfter) }
    default: nil
    }
  }

  func meets(_ condition: ApplicationCondition, from flowSide: FlowSide, at time: UInt64) -> Bool {
    switch condition {
    case .tlsVersion(let match):
      let version = TLSVersion.forRules(side(flowSide).version)
      return version != TLSVersion.unknown && match.versions.contains(version) != match.isNegated
    case .tlsState(let match):
      return match.states.contains { states.contains($0) } || match.excluded.contains { !states.contains($0) }
    case .certificateValidity(let validity):
      guard flowSide == .toClient, let certificate = server.certificate else { return false }
      let now = Int64(time / 1_000_000_000)
      return switch validity {
      case .expired: certificate.notAfter < now
      case .valid: certificate.notBefore <= now && now <= certificate.notAfter
      }
    default: return false
    }
  }

  /// Texts that records carry.
  var ja3Fields: (hash: [UInt8], string: [UInt8])? { client.hello == nil ? nil : (ja3Hash, ja3) }
  var ja3sFields: (hash: [UInt8], string: [UInt8])? { server.hello == nil ? nil : (ja3sHash, ja3s) }
  var ja4Field: [UInt8]? { client.hello == nil ? nil : ja4 }
}
