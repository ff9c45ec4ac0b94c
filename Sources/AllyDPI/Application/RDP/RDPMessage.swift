/// A message of a connection that is being set up.
enum RDPMessage {
  case initialRequest(InitialRequest)
  case initialResponse(InitialResponse)
  case connectRequest(ConnectRequest)
  case connectResponse

  /// X.224 Connection Request (MS-RDPBCGR 2.2.1.1).
  struct InitialRequest {
    /// Of the user; nil when there is none.
    var cookie: ArraySlice<UInt8>?
    /// Of the negotiation; nil without one.
    var flags: UInt8?
  }

  /// X.224 Connection Confirm (MS-RDPBCGR 2.2.1.2).
  enum InitialResponse {
    case plain
    case agreed(flags: UInt8, protocol: String)
    case failed(code: UInt32, reason: String)
  }

  /// MCS Connect Initial (MS-RDPBCGR 2.2.1.3).
  struct ConnectRequest {
    var client: RDPClient?
    var channels: [ArraySlice<UInt8>] = []
  }
}

/// A packet of ISO's transport over TCP (RFC 1006 §6), and what it carries.
enum RDPPacket {
  static var version: UInt8 { 3 }

  /// Of a packet with its head of four bytes; nil when that makes no sense.
  static func length(_ bytes: ArraySlice<UInt8>) -> Int? {
    var reader = ByteReader(bytes)
    guard reader.u8() == version, reader.skip(1), let length = reader.u16(), length >= 7 else { return nil }
    return Int(length)
  }

  /// - Returns: nil for what does not set up a connection.
  static func message(_ packet: ArraySlice<UInt8>, from side: FlowSide) -> RDPMessage? {
    var reader = ByteReader(packet.dropFirst(4))
    guard let indicator = reader.u8(), Int(indicator) <= reader.count, let code = reader.u8() else { return nil }
    // X.224 §13.3: the lower bits are credit.
    switch code & 0xF0 {
    case 0xE0 where side == .toServer: return reader.skip(5) ? initialRequest(reader) : nil
    case 0xD0 where side == .toClient: return reader.skip(5) ? initialResponse(reader) : nil
    case 0xF0:
      guard reader.u8() == 0x80, reader.u8() == 0x7F, let kind = reader.u8() else { return nil }
      if side == .toServer { return kind == 0x65 ? connectRequest(reader) : nil }
      return kind == 0x66 ? .connectResponse : nil
    default: return nil
    }
  }

  private static func initialRequest(_ reader: ByteReader) -> RDPMessage {
    var request = RDPMessage.InitialRequest()
    var rest = reader.rest
    let cookie = Array("Cookie: mstshash=".utf8)
    let token = Array("Cookie: msts=".utf8)
    if rest.starts(with: cookie) || rest.starts(with: token), let end = rest.firstIndex(of: .carriageReturn),
      end + 1 < rest.endIndex, rest[end + 1] == .lineFeed
    {
      if rest.starts(with: cookie) { request.cookie = rest[(rest.startIndex + cookie.count)..<end] }
      rest = rest[(end + 2)...]
    }
    if let (kind, flags, _) = negotiation(rest), kind == 1 { request.flags = flags }
    return .initialRequest(request)
  }

  private static func initialResponse(_ reader: ByteReader) -> RDPMessage {
    guard let (kind, flags, value) = negotiation(reader.rest) else { return .initialResponse(.plain) }
    if kind == 2, let name = RDPNames.securityProtocol(value) {
      return .initialResponse(.agreed(flags: flags, protocol: name))
    }
    if kind == 3, let reason = RDPNames.failure(value) {
      return .initialResponse(.failed(code: value, reason: reason))
    }
    return .initialResponse(.plain)
  }

  /// MS-RDPBCGR 2.2.1.1.1.
  private static func negotiation(_ bytes: ArraySlice<UInt8>) -> (kind: UInt8, flags: UInt8, value: UInt32)? {
    var reader = ByteReader(bytes)
    guard let kind = reader.u8(), let flags = reader.u8(), reader.littleU16() == 8, let value = reader.littleU32()
    else {
      return nil
    }
    return (kind, flags, value)
  }

  /// T.125 §7 around T.124 §8.7 around the client's data (MS-RDPBCGR 2.2.1.3).
  private static func connectRequest(_ reader: ByteReader) -> RDPMessage? {
    // The tag has been read; any one byte in its place makes a value of the rest.
    var outer = DERReader([DERTag.sequence] + reader.rest)
    guard var fields = outer.enter(DERTag.sequence), fields.octets() != nil, fields.octets() != nil,
      fields.next() != nil, fields.next(DERTag.sequence) != nil, fields.next(DERTag.sequence) != nil,
      fields.next(DERTag.sequence) != nil, let conference = fields.octets()
    else { return nil }
    var inner = ByteReader(conference)
    guard inner.take(7)?.elementsEqual([0, 5, 0, 0x14, 0x7C, 0, 1]) == true, inner.packedLength() != nil,
      inner.take(12)?.elementsEqual([0, 8, 0, 0x10, 0, 1, 0xC0, 0, 0x44, 0x75, 0x63, 0x61]) == true,
      let length = inner.packedLength()
    else { return nil }
    return .connectRequest(clientData(inner.rest.prefix(length)))
  }

  private static func clientData(_ bytes: ArraySlice<UInt8>) -> RDPMessage.ConnectRequest {
    var request = RDPMessage.ConnectRequest()
    var reader = ByteReader(bytes)
    while let type = reader.littleU16(), let length = reader.littleU16(), length >= 4,
      let block = reader.take(Int(length) - 4)
    {
      switch type {
      case 0xC001: request.client = request.client ?? RDPClient(block)
      case 0xC003 where request.channels.isEmpty: request.channels = channels(block)
      default: break
      }
    }
    return request
  }

  /// Channels of one connection (MS-RDPBCGR 2.2.1.3.4).
  private static var mostChannels: UInt32 { 31 }

  private static func channels(_ block: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
    var reader = ByteReader(block)
    guard let count = reader.littleU32() else { return [] }
    var names: [ArraySlice<UInt8>] = []
    for _ in 0..<min(count, mostChannels) {
      guard let name = reader.take(8), reader.skip(4) else { break }
      names.append(name.prefix { $0 != 0 })
    }
    return names
  }
}

extension ByteReader {
  /// A length in packed encoding (X.691 §11.9).
  fileprivate mutating func packedLength() -> Int? {
    guard let first = u8() else { return nil }
    if first & 0x80 == 0 { return Int(first) }
    guard first & 0x40 == 0, let second = u8() else { return nil }
    return Int(first & 0x3F) << 8 | Int(second)
  }
}

/// What a client says of itself (MS-RDPBCGR 2.2.1.3.2). What stands behind its end is not there.
struct RDPClient {
  var version: UInt32
  var width: UInt16
  var height: UInt16
  var keyboardLayout: UInt32
  var build: UInt32
  var name: [UInt8]
  var keyboardType: UInt32
  var keyboardSubtype: UInt32
  var functionKeys: UInt32
  var inputMethod: [UInt8]
  var colorDepth: UInt8?
  var product: UInt16?
  var serial: UInt32?
  var capabilities: UInt16?
  var identifier: [UInt8] = []
  var connection: UInt8?
  var physicalWidth: UInt32?
  var physicalHeight: UInt32?
  var orientation: UInt16?
  var scale: UInt32?
  var deviceScale: UInt32?

  /// - Returns: nil when even what every client says is not there.
  init?(_ block: ArraySlice<UInt8>) {
    var reader = ByteReader(block)
    guard let version = reader.littleU32(), let width = reader.littleU16(), let height = reader.littleU16(),
      let depth = reader.littleU16(), reader.skip(2), let layout = reader.littleU32(), let build = reader.littleU32(),
      let name = reader.take(32), let type = reader.littleU32(), let subtype = reader.littleU32(),
      let functionKeys = reader.littleU32(), let inputMethod = reader.take(64)
    else { return nil }
    self.version = version
    self.width = width
    self.height = height
    keyboardLayout = layout
    self.build = build
    self.name = UTF16Text.utf8(name.rawBytes)
    keyboardType = type
    keyboardSubtype = subtype
    self.functionKeys = functionKeys
    self.inputMethod = UTF16Text.utf8(inputMethod.rawBytes)
    let laterDepth = reader.littleU16()
    product = reader.littleU16()
    serial = reader.littleU32()
    let latestDepth = reader.littleU16()
    _ = reader.littleU16()
    capabilities = reader.littleU16()
    if let text = reader.take(64) { identifier = UTF16Text.utf8(text.rawBytes) }
    connection = reader.u8()
    _ = reader.skip(5)
    readDisplay(&reader)
    colorDepth =
      latestDepth.flatMap { RDPNames.bits(highColorDepth: $0) }
      ?? laterDepth.flatMap { RDPNames.bits(colorDepth: $0, 0xCA00...0xCA04) }
      ?? RDPNames.bits(colorDepth: depth, 0xCA00...0xCA01)
  }

  /// What is behind a value that the protocol does not allow is not believed.
  private mutating func readDisplay(_ reader: inout ByteReader) {
    guard let width = reader.littleU32(), (10...10_000).contains(width) else { return }
    physicalWidth = width
    guard let height = reader.littleU32(), (10...10_000).contains(height) else { return }
    physicalHeight = height
    guard let orientation = reader.littleU16(), [0, 90, 180, 270].contains(orientation) else { return }
    self.orientation = orientation
    guard let scale = reader.littleU32(), (100...500).contains(scale) else { return }
    self.scale = scale
    guard let deviceScale = reader.littleU32(), [100, 140, 180].contains(deviceScale) else { return }
    self.deviceScale = deviceScale
  }
}
