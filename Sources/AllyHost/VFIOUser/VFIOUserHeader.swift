/// What begins every message of the vfio-user protocol, in either direction.
struct VFIOUserHeader: MessageHeader, Equatable {
  static let byteCount = 16
  static var longestPayload: Int { VFIOUserRequest.longestPayload }

  /// The sender's number of the message; a reply has that of its request.
  var identifier: UInt16
  var command: UInt16
  /// Bytes of the message, the header's included.
  var size: UInt32
  var flags: UInt32
  /// In a reply that has the error flag: an error number.
  var error: UInt32

  private static let reply: UInt32 = 1
  private static let typeMask: UInt32 = 0xF
  private static let wantsNoReply: UInt32 = 0x10
  private static let isError: UInt32 = 0x20

  /// Reads a header; nil of fewer than 16 bytes.
  init?(_ bytes: ArraySlice<UInt8>) {
    var reader = LittleEndianReader(bytes)
    guard let identifier = reader.take(UInt16.self), let command = reader.take(UInt16.self),
      let size = reader.take(UInt32.self), let flags = reader.take(UInt32.self), let error = reader.take(UInt32.self)
    else { return nil }
    self.identifier = identifier
    self.command = command
    self.size = size
    self.flags = flags
    self.error = error
  }

  /// The header of the reply to `request`: with `payload` bytes, or with an error and none.
  init(replyTo request: VFIOUserHeader, payload: Int, error: Int32? = nil) {
    identifier = request.identifier
    command = request.command
    size = UInt32(Self.byteCount + payload)
    flags = Self.reply | (error == nil ? 0 : Self.isError)
    self.error = UInt32(bitPattern: error ?? 0)
  }

  var payloadLength: Int? { size >= UInt32(Self.byteCount) ? Int(size) - Self.byteCount : nil }
  var isCommand: Bool { flags & Self.typeMask == 0 }
  var wantsReply: Bool { flags & Self.wantsNoReply == 0 }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: identifier)
    bytes.append(littleEndian: command)
    bytes.append(littleEndian: size)
    bytes.append(littleEndian: flags)
    bytes.append(littleEndian: error)
    return bytes
  }
}

/// A vfio-user client's connection.
typealias VFIOUserConnection = MessageConnection<VFIOUserHeader>

/// What a client may ask for, by its number in the protocol.
enum VFIOUserCommand: UInt16 {
  case version = 1
  case mapDMA = 2
  case unmapDMA = 3
  case deviceInformation = 4
  case regionInformation = 5
  case regionDescriptors = 6
  case interruptInformation = 7
  case setInterrupts = 8
  case readRegion = 9
  case writeRegion = 10
  case readDMA = 11
  case writeDMA = 12
  case resetDevice = 13
  case writeRegionMultiple = 15
  case deviceFeature = 16
  case migrationData = 17
}
