/// A ClientHello or ServerHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1), read once. TLS and QUIC share it.
struct TLSHello {
  var version: UInt16
  var random: [UInt8]
  var sessionID: [UInt8]
  /// Of a ServerHello the one that it chose.
  var ciphers: [UInt16] = []
  /// Types in their order.
  var extensions: [UInt16] = []
  var groups: [UInt16] = []
  var pointFormats: [UInt8] = []
  var signatureAlgorithms: [UInt16] = []
  var serverName: [UInt8]? = nil
  /// The protocols that are offered above TLS, in their order.
  var applicationProtocols: [[UInt8]] = []
  /// Of a ServerHello the one that it chose.
  var supportedVersions: [UInt16] = []
  /// The client may hold a ticket of an earlier session.
  var hasTicket = false
  /// Data of the client comes before the handshake is over.
  var hasEarlyData = false
  var problems: [TLSEvent] = []

  /// What is cut is read as far as it goes.
  ///
  /// - Returns: nil when version, random or session are not there.
  init?(_ body: ArraySlice<UInt8>, isClient: Bool) {
    var reader = ByteReader(body)
    guard let version = reader.u16(), let random = reader.take(32) else { return nil }
    self.version = version
    self.random = Array(random)
    // Servers of TLS 1.3's drafts up to the 21st sent neither a session nor a compression method.
    let isDraftServer = !isClient && (version == TLSVersion.tls13 || version >> 8 == 0x7F)
    guard let sessionID = isDraftServer ? [] : reader.vector8() else { return nil }
    self.sessionID = Array(sessionID)
    if isClient {
      guard let suites = reader.vector16(), reader.vector8() != nil else {
        problems.append(.handshakeInvalidLength)
        return
      }
      ciphers = TLSHello.numbers(suites)
    } else {
      guard let cipher = reader.u16() else {
        problems.append(.handshakeInvalidLength)
        return
      }
      ciphers = [cipher]
      if !isDraftServer { reader.skip(1) }  // the compression method
    }
    readExtensions(&reader, isClient: isClient)
  }

  private mutating func readExtensions(_ reader: inout ByteReader, isClient: Bool) {
    if reader.isEmpty { return }
    guard let list = reader.vector16() else {
      problems.append(.handshakeInvalidLength)
      return
    }
    var rest = ByteReader(list)
    while !rest.isEmpty {
      guard let type = rest.u16(), let data = rest.vector16() else {
        problems.append(.handshakeInvalidLength)
        return
      }
      let isRepeated = extensions.contains(type)
      extensions.append(type)
      read(type, data, isClient: isClient, isRepeated: isRepeated)
    }
  }

  private mutating func read(_ type: UInt16, _ data: ArraySlice<UInt8>, isClient: Bool, isRepeated: Bool) {
    var reader = ByteReader(data)
    switch type {
    case TLSExtension.serverName where isClient:
      if isRepeated { problems.append(.multipleSNIExtensions) } else { readServerName(data) }
    case TLSExtension.supportedGroups:
      if let list = reader.vector16() { groups = TLSHello.numbers(list) }
    case TLSExtension.pointFormats:
      if let list = reader.vector8() { pointFormats = Array(list) }
    case TLSExtension.signatureAlgorithms:
      if let list = reader.vector16() { signatureAlgorithms = TLSHello.numbers(list) }
    case TLSExtension.applicationProtocols:
      guard let list = reader.vector16() else { return }
      var names = ByteReader(list)
      while let name = names.vector8() { applicationProtocols.append(Array(name)) }
    case TLSExtension.sessionTicket: hasTicket = isClient
    case TLSExtension.earlyData: hasEarlyData = true
    case TLSExtension.supportedVersions:
      if isClient {
        if let list = reader.vector8() { supportedVersions = TLSHello.numbers(list) }
      } else if let version = reader.u16() {
        supportedVersions = [version]
      }
    default: break
    }
  }

  /// RFC 6066 §3.
  private mutating func readServerName(_ data: ArraySlice<UInt8>) {
    if data.isEmpty { return }
    var reader = ByteReader(data)
    guard let list = reader.vector16() else {
      problems.append(.invalidSNILength)
      return
    }
    var names = ByteReader(list)
    guard let type = names.u8() else { return }
    guard type == 0 else {
      problems.append(.invalidSNIType)
      return
    }
    guard let name = names.vector16() else {
      problems.append(.invalidSNILength)
      return
    }
    // What follows a NUL, none of the programs that read names in C would see.
    serverName = Array(name.prefix { $0 != 0 })
  }

  private static func numbers(_ bytes: ArraySlice<UInt8>) -> [UInt16] {
    var reader = ByteReader(bytes)
    var numbers: [UInt16] = []
    while let number = reader.u16() { numbers.append(number) }
    return numbers
  }
}

/// Types of extensions (IANA, TLS ExtensionType values).
enum TLSExtension {
  static var serverName: UInt16 { 0 }
  static var supportedGroups: UInt16 { 10 }
  static var pointFormats: UInt16 { 11 }
  static var signatureAlgorithms: UInt16 { 13 }
  static var applicationProtocols: UInt16 { 16 }
  static var sessionTicket: UInt16 { 35 }
  static var earlyData: UInt16 { 42 }
  static var supportedVersions: UInt16 { 43 }
  static var quicTransportParameters: UInt16 { 57 }
}
