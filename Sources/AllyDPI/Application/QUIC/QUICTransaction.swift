/// A packet that was looked at.
final class QUICTransaction: MessageTransaction {
  let number: UInt64
  let side: FlowSide
  private let version: UInt32
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  var serverName: [UInt8]? = nil
  var userAgent: [UInt8]? = nil
  /// The tags of Google's hello between dashes.
  var cyu: [UInt8] = []
  private var hello: TLSHello? = nil
  private var ja3: [UInt8] = []
  private var ja4: [UInt8] = []

  init(number: UInt64, side: FlowSide, version: UInt32) {
    self.number = number
    self.side = side
    self.version = version
  }

  func note(_ event: QUICEvent) { events.insert(event.rawValue) }

  /// A ClientHello or ServerHello with its header.
  func read(_ message: ArraySlice<UInt8>) {
    let isClient = side == .toServer
    guard message.first == (isClient ? TLSMessageType.clientHello : TLSMessageType.serverHello),
      let hello = TLSHello(message.dropFirst(4), isClient: isClient)
    else { return }
    self.hello = hello
    if isClient {
      serverName = hello.serverName
      ja3 = TLSFingerprints.ja3(hello, keepsGrease: true)
      ja4 = TLSFingerprints.ja4(hello, isQUIC: true)
    } else {
      ja3 = TLSFingerprints.ja3s(hello, keepsGrease: true)
    }
  }

  func bytes(of buffer: InspectionBuffer, from side: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard side == self.side, index == 0 else { return nil }
    switch buffer {
    case .quicVersion: return Array(QUICVersion.name(version).utf8)[...]
    case .quicServerName: return serverName?[...]
    case .quicUserAgent: return userAgent?[...]
    case .quicCYUHash: return cyu.isEmpty ? nil : TLSFingerprints.md5(cyuText)[...]
    case .quicCYUString: return cyu.isEmpty ? nil : cyuText[...]
    case .ja3Hash, .ja3sHash: return ja3.isEmpty ? nil : TLSFingerprints.md5(ja3)[...]
    case .ja3String, .ja3sString: return ja3.isEmpty ? nil : ja3[...]
    case .ja4Hash: return ja4.isEmpty ? nil : ja4[...]
    default: return nil
    }
  }

  /// With the version's digits in front.
  private var cyuText: [UInt8] {
    Array("\((version >> 8 & 0xF) * 10 + (version & 0xF))".utf8) + [UInt8(ascii: ",")] + cyu
  }

  // MARK: records

  var recordSide: FlowSide? { side }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("quic")
    json.beginObject()
    json.key("version")
    json.string(QUICVersion.name(version))
    if let serverName { json.text("sni", serverName) }
    if let userAgent { json.text("ua", userAgent) }
    if !cyu.isEmpty {
      json.key("cyu")
      json.beginArray()
      hashed(cyuText, to: &json)
      json.endArray()
    }
    if !ja3.isEmpty {
      json.key(side == .toServer ? "ja3" : "ja3s")
      hashed(ja3, to: &json)
    }
    if !ja4.isEmpty { json.text("ja4", ja4) }
    if let hello, !hello.extensions.isEmpty { writeExtensions(hello, to: &json) }
    json.endObject()
  }

  private func hashed(_ value: [UInt8], to json: inout JSONWriter) {
    json.beginObject()
    json.text("hash", TLSFingerprints.md5(value))
    json.text("string", value)
    json.endObject()
  }

  private func writeExtensions(_ hello: TLSHello, to json: inout JSONWriter) {
    json.key("extensions")
    json.beginArray()
    for type in hello.extensions {
      json.beginObject()
      if let name = QUICTransaction.names[type] {
        json.key("name")
        json.string(name)
      }
      json.key("type")
      json.number(type)
      let values = values(of: type, hello)
      if !values.isEmpty {
        json.key("values")
        json.beginArray()
        for value in values { json.text(value[...]) }
        json.endArray()
      }
      json.endObject()
    }
    json.endArray()
  }

  private func values(of type: UInt16, _ hello: TLSHello) -> [[UInt8]] {
    switch type {
    case TLSExtension.serverName: hello.serverName.map { [$0] } ?? []
    case TLSExtension.applicationProtocols: hello.applicationProtocols
    case TLSExtension.signatureAlgorithms: hello.signatureAlgorithms.map { Array("\($0)".utf8) }
    case TLSExtension.supportedVersions: hello.supportedVersions.map { Array(QUICTransaction.name(ofTLS: $0).utf8) }
    default: []
    }
  }

  private static func name(ofTLS version: UInt16) -> String {
    switch version {
    case 0x0300: "Ssl30"
    case 0x0301: "Tls10"
    case 0x0302: "Tls11"
    case 0x0303: "Tls12"
    case 0x0304: "Tls13"
    case 0x7F12...0x7F17: "Tls13Draft\(version & 0xFF)"
    default: "TlsVersion(\(version) / 0x\(String(version, radix: 16)))"
    }
  }

  // IANA, TLS ExtensionType values.
  private static let names: [UInt16: StaticString] = [
    0: "server_name", 1: "max_fragment_length", 2: "client_certificate_url", 3: "trusted_ca_keys",
    4: "truncated_hmac", 5: "status_request", 6: "user_mapping", 7: "client_authz", 8: "server_authz",
    9: "cert_type", 10: "supported_groups", 11: "ec_point_formats", 12: "srp", 13: "signature_algorithms",
    14: "use_srtp", 15: "heartbeat", 16: "alpn", 17: "status_request_v2", 18: "signed_certificate_timestamp",
    19: "client_certificate_type", 20: "server_certificate_type", 21: "padding", 22: "encrypt_then_mac",
    23: "extended_master_secret", 24: "token_binding", 25: "cached_info", 26: "tls_lts", 27: "compress_certificate",
    28: "record_size_limit", 29: "pwd_protect", 30: "pwd_clear", 31: "password_salt", 32: "ticket_pinning",
    33: "tls_cert_with_extern_psk", 34: "delegated_credentials", 35: "session_ticket", 36: "tlmsp",
    37: "tlmsp_proxying", 38: "tlmsp_delegate", 39: "supported_ekt_ciphers", 41: "pre_shared_key", 42: "early_data",
    43: "supported_versions", 44: "cookie", 45: "psk_key_exchange_modes", 47: "certificate_authorities",
    48: "oid_filters", 49: "post_handshake_auth", 50: "signature_algorithms_cert", 51: "key_share",
    52: "transparency_info", 53: "connection_id_deprecated", 54: "connection_id", 55: "external_id_hash",
    56: "external_session_id", 57: "quic_transport_parameters", 58: "ticket_request", 59: "dnssec_chain",
    13172: "next_protocol_negotiation", 65281: "renegotiation_info",
  ]
}
