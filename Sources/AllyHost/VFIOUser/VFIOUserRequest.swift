internal import Glibc

/// Why a request is refused: an error number, as the reply carries it.
struct VFIOUserRefusal: Error, Equatable {
  var code: Int32
  /// For whoever runs the server; nil when the client finds out what it needs from the number.
  var reason: String?

  init(_ code: Int32, _ reason: String? = nil) {
    self.code = code
    self.reason = reason
  }
}

/// A write of one to eight bytes to a region.
struct VFIOUserWrite: Equatable {
  var region: UInt32
  var offset: UInt64
  /// 1 to 8.
  var count: Int
  var value: UInt64
}

/// What a client asks for, as far as its bytes say; whether it can be done is for the device to know.
enum VFIOUserRequest: Equatable {
  case version(VFIOUserVersion)
  case mapDMA(address: UInt64, length: UInt64, offset: UInt64, isReadable: Bool, isWritable: Bool)
  /// A nil length takes all away.
  case unmapDMA(address: UInt64, length: UInt64?, reply: [UInt8])
  case deviceInformation
  case regionInformation(index: UInt32)
  case interruptInformation(index: UInt32)
  case setInterrupts(VFIOUserInterruptSetting)
  case read(region: UInt32, offset: UInt64, count: Int)
  case write(VFIOUserWrite)
  case writeMultiple([VFIOUserWrite])
  case reset

  /// The longest payload that a client may send: a write of as many bytes as ``VFIOUserVersion`` allows, with what
  /// comes before it.
  static let longestPayload = VFIOUserVersion.longestTransfer + 64

  /// Reads a request.
  ///
  /// - Throws: the refusal to answer with.
  init(command: UInt16, payload: ArraySlice<UInt8>) throws(VFIOUserRefusal) {
    guard let command = VFIOUserCommand(rawValue: command) else { throw VFIOUserRefusal(ENOTSUP) }
    let request: VFIOUserRequest?
    switch command {
    case .version: request = .version(try VFIOUserVersion(payload))
    case .mapDMA: request = Self.mapDMA(payload)
    case .unmapDMA: request = Self.unmapDMA(payload)
    case .deviceInformation: request = .deviceInformation
    case .regionInformation: request = Self.index(payload).map { .regionInformation(index: $0) }
    case .interruptInformation: request = Self.index(payload).map { .interruptInformation(index: $0) }
    case .setInterrupts: request = VFIOUserInterruptSetting(payload).map { .setInterrupts($0) }
    case .readRegion: request = Self.read(payload)
    case .writeRegion: request = Self.write(payload)
    case .writeRegionMultiple: request = Self.writeMultiple(payload)
    case .resetDevice: request = .reset
    case .deviceFeature, .migrationData:
      throw VFIOUserRefusal(
        ENOTSUP, "live migration was asked for: the NIC's state is in this process and cannot be moved")
    case .regionDescriptors, .readDMA, .writeDMA: throw VFIOUserRefusal(ENOTSUP)
    }
    guard let request else { throw VFIOUserRefusal(EINVAL) }
    self = request
  }

  private static func mapDMA(_ payload: ArraySlice<UInt8>) -> VFIOUserRequest? {
    var reader = LittleEndianReader(payload)
    guard reader.take(UInt32.self) != nil, let flags = reader.take(UInt32.self),
      let offset = reader.take(UInt64.self), let address = reader.take(UInt64.self),
      let length = reader.take(UInt64.self)
    else { return nil }
    return .mapDMA(
      address: address, length: length, offset: offset, isReadable: flags & 1 != 0, isWritable: flags & 2 != 0)
  }

  private static func unmapDMA(_ payload: ArraySlice<UInt8>) -> VFIOUserRequest? {
    var reader = LittleEndianReader(payload)
    guard reader.take(UInt32.self) != nil, let flags = reader.take(UInt32.self),
      let address = reader.take(UInt64.self), let length = reader.take(UInt64.self)
    else { return nil }
    // Bit 0 asks for dirty pages, which migration would need; bit 1 means all of them.
    return .unmapDMA(address: address, length: flags & 2 != 0 ? nil : length, reply: Array(payload.prefix(24)))
  }

  /// The third word of a request that begins with an argument size and flags.
  private static func index(_ payload: ArraySlice<UInt8>) -> UInt32? {
    var reader = LittleEndianReader(payload)
    guard reader.take(UInt64.self) != nil else { return nil }
    return reader.take(UInt32.self)
  }

  private static func read(_ payload: ArraySlice<UInt8>) -> VFIOUserRequest? {
    var reader = LittleEndianReader(payload)
    guard let offset = reader.take(UInt64.self), let region = reader.take(UInt32.self),
      let count = reader.take(UInt32.self), count > 0, count <= VFIOUserVersion.longestTransfer
    else { return nil }
    return .read(region: region, offset: offset, count: Int(count))
  }

  private static func write(_ payload: ArraySlice<UInt8>) -> VFIOUserRequest? {
    var reader = LittleEndianReader(payload)
    guard let offset = reader.take(UInt64.self), let region = reader.take(UInt32.self),
      let count = reader.take(UInt32.self), (1...8).contains(count), reader.rest.count == count
    else { return nil }
    var value: UInt64 = 0
    for byte in reader.rest.reversed() { value = value << 8 | UInt64(byte) }
    return .write(VFIOUserWrite(region: region, offset: offset, count: Int(count), value: value))
  }

  private static func writeMultiple(_ payload: ArraySlice<UInt8>) -> VFIOUserRequest? {
    var reader = LittleEndianReader(payload)
    // 24 bytes each: the count is what the bytes can hold, whatever it says.
    guard let count = reader.take(UInt64.self), count == reader.rest.count / 24, reader.rest.count % 24 == 0 else {
      return nil
    }
    var writes: [VFIOUserWrite] = []
    while let offset = reader.take(UInt64.self) {
      guard let region = reader.take(UInt32.self), let count = reader.take(UInt32.self), (1...8).contains(count),
        let value = reader.take(UInt64.self)
      else { return nil }
      writes.append(
        VFIOUserWrite(
          region: region, offset: offset, count: Int(count), value: value & .max >> UInt64(64 - 8 * count)))
    }
    return .writeMultiple(writes)
  }
}

/// What is to be done about a kind of interrupts.
struct VFIOUserInterruptSetting: Equatable {
  enum Action: Equatable {
    case mask
    case unmask
    /// Raises them, once.
    case trigger
    /// Gives them event descriptors, which come with the message, or takes them away where none comes.
    case assign
    /// Takes all event descriptors of the kind away.
    case disable
  }

  /// 0 for the pin, 1 for messages, 2 for those of a table, 3 for errors, 4 for requests to let go.
  var index: UInt32
  var action: Action
  var start: UInt32
  /// For each interrupt from `start` on, whether it is meant.
  var selected: [Bool]

  /// More interrupts than any kind has.
  private static let most: UInt32 = 2048

  init?(_ payload: ArraySlice<UInt8>) {
    var reader = LittleEndianReader(payload)
    guard reader.take(UInt32.self) != nil, let flags = reader.take(UInt32.self), let index = reader.take(UInt32.self),
      let start = reader.take(UInt32.self), let count = reader.take(UInt32.self), count <= Self.most,
      start <= Self.most
    else { return nil }
    self.index = index
    self.start = start
    // Data: bit 0 none, bit 1 a byte each, bit 2 event descriptors. Action: bits 3 to 5.
    switch (flags >> 3 & 7, flags & 7) {
    case (1, 1), (1, 2): action = .mask
    case (2, 1), (2, 2): action = .unmask
    case (4, 1): action = count == 0 ? .disable : .trigger
    case (4, 2): action = .trigger
    case (4, 4): action = .assign
    default: return nil
    }
    if flags & 7 == 2 {
      guard reader.rest.count >= count else { return nil }
      selected = reader.rest.prefix(Int(count)).map { $0 != 0 }
    } else {
      selected = Array(repeating: true, count: Int(count))
    }
  }
}
