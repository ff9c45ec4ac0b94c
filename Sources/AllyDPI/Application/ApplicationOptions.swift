internal import AllyPacket

/// What an operator says about single protocols.
public struct ApplicationOptions: Sendable {
  /// A switch that follows the rules and records that ask for it.
  public enum Automatic: Sendable { case on, off, automatic }

  /// `app-layer.protocols.tls`.
  public struct TLS: Sendable {
    /// `ja3-fingerprints` and `ja4-fingerprints`: whether records carry them. Rules can always ask.
    public var ja3 = Automatic.automatic
    public var ja4 = Automatic.automatic

    /// What becomes of a connection whose data is encrypted.
    public enum Encrypted: String, Sendable, CaseIterable {
      /// Its records are followed; rules on payloads do not look at it.
      case followed = "track-only"
      /// It is neither inspected nor followed.
      case bypassed = "bypass"
      /// Rules on payloads look at it, too.
      case inspected = "full"
    }
    /// `encryption-handling`.
    public var encrypted = Encrypted.followed

    public init() {}
  }

  /// `app-layer.protocols.mqtt`, and the `mqtt` type of records.
  public struct MQTT: Sendable {
    /// `max-msg-length`: bytes of a message; what is longer is skipped.
    public var maximumMessage = 1 << 20
    /// `string-log-limit`: bytes of a text in a record; 0 for all.
    public var textLimit = 0

    public init() {}
  }

  /// `app-layer.protocols.smb`: bytes of one read or write; bytes of a file, and pieces of them, that wait for what is in front of
  /// them.
  public struct SMB: Sendable {
    public var largestRead = 16 << 20
    public var largestWrite = 16 << 20
    public var readQueueSize = FileAssembly.mostAhead
    public var writeQueueSize = FileAssembly.mostAhead
    public var readQueueCount = 64
    public var writeQueueCount = 64

    public init() {}
  }

  /// `app-layer.protocols.smtp`.
  public struct SMTP: Sendable {
    /// `raw-extraction`: a mail is one file, as it is sent.
    public var isRaw = false
    /// `mime.decode-mime`: whether mails are read.
    public var readsMail = true
    /// `mime.decode-base64` and `mime.decode-quoted-printable`: which encodings are undone.
    public var undoesBase64 = true
    public var undoesQuotedPrintable = true
    /// `mime.extract-urls`: whether links are collected.
    public var findsLinks = true
    /// `mime.header-value-depth`: bytes of a header field that are kept.
    public var headerValue = 2000
    /// `mime.body-md5`: whether the digest of a mail's body can be recorded.
    public var makesDigest = false

    public init() {}
  }

  /// `enabled: no`: protocols that are not looked for.
  public var disabled = ApplicationProtocolSet()
  /// `tcp.enabled: no`, `udp.enabled: no`: likewise, over that transport alone.
  public var disabledOverTCP = ApplicationProtocolSet()
  public var disabledOverUDP = ApplicationProtocolSet()
  /// `detection-ports`: ports at which a protocol is looked for as at its own, TCP and UDP apart.
  public var detectionPorts: [(application: ApplicationProtocol, isUDP: Bool, ports: [ClosedRange<UInt16>])] = []
  /// Rules or records ask for the frames of these, by their places in ``ApplicationParsers/all``.
  var frames: UInt32 = 0
  /// The stream itself is shown as a frame.
  var showsStreamFrames = false
  /// Frames can be held back: what can be judged early is.
  var isInline = false
  public var tls = TLS()
  public var mqtt = MQTT()
  public var smb = SMB()
  public var smtp = SMTP()
  /// `app-layer.protocols.http.libhtp.default-config.lzma-enabled`.
  public var undoesLZMA = false
  /// `double-decode-path`, `double-decode-query` there.
  public var decodesPathTwice = false
  public var decodesQueryTwice = false
  /// `app-layer.protocols.ssh.hassh`.
  public var hassh = Automatic.automatic

  public init() {}
}

extension ApplicationOptions {
  /// The port that a server stands for, for a protocol: its own, when the operator says so.
  func port(_ port: UInt16, of application: ApplicationProtocol, standard: UInt16, transport: UInt8) -> UInt16 {
    if standard == 0 { return port }
    let isUDP = transport == IPProtocolNumber.udp
    for entry in detectionPorts where entry.application == application && entry.isUDP == isUDP {
      if entry.ports.contains(where: { $0.contains(port) }) { return standard }
    }
    return port
  }
}

/// A field of `tls` records, by its name in `custom`.
public enum TLSRecordField: String, Sendable, CaseIterable {
  case subject, issuer, serial, fingerprint, sni, version, certificate, chain, ja3, ja3s, ja4
  case sessionResumed = "session_resumed"
  case notBefore = "not_before"
  case notAfter = "not_after"
  case client
  case clientCertificate = "client_certificate"
  case clientChain = "client_chain"
}

extension ApplicationOptions {
  /// Decides what follows the rules: a fingerprint that any rule asks for is recorded, too.
  mutating func resolve(for program: DetectionProgram) {
    let buffers = program.tables.application.buffers
    func asks(for wanted: Set<InspectionBuffer>) -> Automatic {
      (0..<buffers.count).contains { wanted.contains(buffers[$0].buffer) } ? .on : .off
    }
    if tls.ja3 == .automatic { tls.ja3 = asks(for: [.ja3Hash, .ja3String, .ja3sHash, .ja3sString]) }
    if tls.ja4 == .automatic { tls.ja4 = asks(for: [.ja4Hash]) }
    if hassh == .automatic {
      hassh = asks(for: [.sshHassh, .sshHasshString, .sshHasshServer, .sshHasshServerString])
    }
  }
}
