import AllyHW
import AllyRings

/// A made-up NIC's receive descriptor, 32 bytes: address, reserved, and a completion of two words.
struct MeterReceiveDescriptor: ReceiveDescriptor {
  var address: UInt64 = 0
  var reserved: UInt64 = 0
  var length: UInt64 = 0
  /// Bit 0: done; bit 1: last of a frame; bit 2: to be discarded.
  var flags: UInt64 = 0

  static var ownershipWordOffset: Int { 24 }

  init() {}

  init(offering buffer: BusAddress) { address = buffer.rawValue }

  init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    address = buffer.rawValue
    length = UInt64(completion.length)
    flags = 1 | (completion.endsFrame ? 2 : 0) | (completion.isDamaged ? 4 : 0)
  }

  var offeredBuffer: BusAddress { BusAddress(address) }
  var isCompleted: Bool { flags & 1 != 0 }
  var endsFrame: Bool { flags & 2 != 0 }
  var completedLength: UInt32 { UInt32(truncatingIfNeeded: length) }

  var completion: ReceiveCompletion {
    ReceiveCompletion(length: completedLength, endsFrame: endsFrame, isDamaged: flags & 4 != 0)
  }

  mutating func markDropped() { flags |= 4 }
}

/// Its transmit descriptor, 32 bytes.
struct MeterTransmitDescriptor: TransmitDescriptor {
  var address: UInt64 = 0
  var reserved: UInt64 = 0
  var size: UInt64 = 0
  /// Bit 0: done; bit 1: last of a frame; bit 2: report when done.
  var flags: UInt64 = 0

  static var ownershipWordOffset: Int { 24 }
  static var maximumPlainFrameLength: UInt32 { 1 << 20 }

  init() {}

  init?(_ request: TransmitRequest) {
    guard request.kind == .segment, !request.usesOffloads else { return nil }
    address = request.buffer.rawValue
    size = UInt64(request.length)
    flags = (request.endsFrame ? 2 : 0) | (request.reportsCompletion ? 4 : 0)
  }

  var kind: TransmitKind { size <= 1 << 20 ? .segment : .invalid }

  var buffer: BusAddress {
    get { BusAddress(address) }
    set { address = newValue.rawValue }
  }

  var length: UInt32 { UInt32(truncatingIfNeeded: size & 0x1F_FFFF) }
  var endsFrame: Bool { flags & 2 != 0 }

  var reportsCompletion: Bool {
    get { flags & 4 != 0 }
    set { flags = newValue ? flags | 4 : flags & ~4 }
  }

  var isCompleted: Bool {
    get { flags & 1 != 0 }
    set { flags = newValue ? flags | 1 : flags & ~1 }
  }

  var request: TransmitRequest {
    TransmitRequest(
      kind: kind, buffer: buffer, length: length, endsFrame: endsFrame, reportsCompletion: reportsCompletion)
  }
}
