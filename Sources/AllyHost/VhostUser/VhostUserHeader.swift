/// What begins every message of the vhost-user protocol, in either direction.
struct VhostUserHeader: MessageHeader, Equatable {
  static let byteCount = 12
  /// A memory table of eight regions has 264 bytes, a piece of configuration at most 268; nothing is longer.
  static let longestPayload = 4096

  var request: UInt32
  var flags: UInt32
  /// Bytes that follow.
  var size: UInt32

  private static let versionMask: UInt32 = 3
  private static let version: UInt32 = 1
  private static let reply: UInt32 = 4
  private static let needsReply: UInt32 = 8

  init?(_ bytes: ArraySlice<UInt8>) {
    var reader = LittleEndianReader(bytes)
    guard let request = reader.take(UInt32.self), let flags = reader.take(UInt32.self),
      let size = reader.take(UInt32.self)
    else { return nil }
    self.request = request
    self.flags = flags
    self.size = size
  }

  /// The header of the reply to `request`, with so many bytes.
  init(replyTo header: VhostUserHeader, payload: Int) {
    request = header.request
    flags = Self.version | Self.reply
    size = UInt32(payload)
  }

  var payloadLength: Int? { flags & Self.versionMask == Self.version ? Int(size) : nil }
  var isReply: Bool { flags & Self.reply != 0 }
  /// Whether the front end wants to hear how a request went that has no reply of its own.
  var wantsAcknowledgement: Bool { flags & Self.needsReply != 0 }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: request)
    bytes.append(littleEndian: flags)
    bytes.append(littleEndian: size)
    return bytes
  }
}

/// A vhost-user front end's connection.
typealias VhostUserConnection = MessageConnection<VhostUserHeader>

/// Why a request is not carried out, for the operator.
struct VhostUserRefusal: Error, Equatable {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}
