/// A transmit descriptor, of whichever kind (SDM §3.3.3, §3.3.6, §3.3.7; 82574 datasheet §7.2; 82576 datasheet §7.2.2).
struct IntelTransmitDescriptor {
  var first: UInt64
  var second: UInt64
  var format: IntelController.TransmitFormat

  enum Kind {
    case legacy
    case context
    case data
    /// An extended descriptor of a type that the controller does not have.
    case unknown
  }

  var kind: Kind {
    guard second >> 29 & 1 == 1 else { return .legacy }
    return switch (second >> 20 & 15, format) {
    case (0, .extended), (2, .advanced): .context
    case (1, .extended), (3, .advanced): .data
    default: .unknown
    }
  }

  var address: UInt64 { first }
  /// Bytes in the buffer: 16 bits in a legacy and in an advanced descriptor, 20 in a data descriptor of the older kind.
  var length: Int { Int(second & (kind == .data && format == .extended ? 0xF_FFFF : 0xFFFF)) }
  // The command byte: the same bits in a legacy and in a data descriptor.
  var isEndOfPacket: Bool { second >> 24 & 1 == 1 }
  var insertsFrameCheckSequence: Bool { second >> 25 & 1 == 1 }
  var reportsStatus: Bool { second >> 27 & 1 == 1 }
  var insertsVLANTag: Bool { second >> 30 & 1 == 1 }
  /// The tag of a descriptor that carries it; advanced data descriptors leave it to the context.
  var vlanTag: UInt16 { UInt16(truncatingIfNeeded: second >> 48) }
  var takesTagFromContext: Bool { kind == .data && format == .advanced }
  /// IC of a legacy descriptor.
  var insertsChecksum: Bool { kind == .legacy && second >> 26 & 1 == 1 }
  // A legacy descriptor's checksum fields.
  var checksumOffset: Int { Int(second >> 16 & 0xFF) }
  var checksumStart: Int { Int(second >> 40 & 0xFF) }
  /// TSE: bit 26 of a data descriptor of the older kind, bit 31 of an advanced one.
  var segments: Bool { kind == .data && second >> (format == .advanced ? 31 : 26) & 1 == 1 }
  // A data descriptor's POPTS.
  var insertsIPChecksum: Bool { kind == .data && second >> 40 & 1 == 1 }
  var insertsTransportChecksum: Bool { kind == .data && second >> 41 & 1 == 1 }
  /// Which of the queue's contexts holds. In the older kind one is for segmentation and one for all else, as TSE says (SDM
  /// §3.3.6, §3.3.7); IDX of an advanced descriptor says so, of which the 82576 looks at the lowest bit (82576 datasheet
  /// §7.2.2.2.11).
  var contextIndex: Int { Int(second >> (format == .advanced ? 36 : 26) & 1) }
  /// PAYLEN of an advanced data descriptor: the bytes of a frame to be segmented, without its header.
  var payloadLength: Int { Int(second >> 46) }

  /// The second word with DD set.
  var done: UInt64 { second | 1 << 32 }
}

/// What a context descriptor says about the frames that follow.
struct IntelOffloadContext {
  enum Transport {
    case udp
    case tcp
    case sctp
  }

  var ipStart = 0
  var ipOffset = 0
  /// The last byte of the IP checksum; 0 for the end of the frame.
  var ipEnd = 0
  var transportStart = 0
  var transportOffset = 0
  /// The last byte of the transport checksum; 0 for the end of the frame.
  var transportEnd = 0
  var payloadLength = 0
  var headerLength = 0
  var segmentSize = 0
  var transport: Transport = .udp
  var isIPv4 = false
  var vlanTag: UInt16 = 0

  init() {}

  init(_ descriptor: IntelTransmitDescriptor) {
    switch descriptor.format {
    case .extended: self.init(offsetsOf: descriptor)
    case .advanced: self.init(lengthsOf: descriptor)
    }
  }

  /// SDM §3.3.6: where each checksum begins, goes and ends.
  private init(offsetsOf descriptor: IntelTransmitDescriptor) {
    ipStart = Int(descriptor.first & 0xFF)
    ipOffset = Int(descriptor.first >> 8 & 0xFF)
    ipEnd = Int(descriptor.first >> 16 & 0xFFFF)
    transportStart = Int(descriptor.first >> 32 & 0xFF)
    transportOffset = Int(descriptor.first >> 40 & 0xFF)
    transportEnd = Int(descriptor.first >> 48)
    payloadLength = Int(descriptor.second & 0xF_FFFF)
    transport = descriptor.second >> 24 & 1 == 1 ? .tcp : .udp
    isIPv4 = descriptor.second >> 25 & 1 == 1
    headerLength = Int(descriptor.second >> 40 & 0xFF)
    segmentSize = Int(descriptor.second >> 48)
  }

  /// 82576 datasheet §7.2.2.2: the lengths of the headers; the controller knows where their fields are.
  private init(lengthsOf descriptor: IntelTransmitDescriptor) {
    let ipLength = Int(descriptor.first & 0x1FF)
    ipStart = Int(descriptor.first >> 9 & 0x7F)
    vlanTag = UInt16(truncatingIfNeeded: descriptor.first >> 16)
    isIPv4 = descriptor.second >> 10 & 1 == 1
    transport =
      switch descriptor.second >> 11 & 3 {
      case 0: .udp
      case 1: .tcp
      default: .sctp
      }
    transportStart = ipStart + ipLength
    ipOffset = ipStart + 10
    ipEnd = max(0, transportStart - 1)
    transportOffset = transportStart + (transport == .tcp ? 16 : transport == .udp ? 6 : 8)
    headerLength = transportStart + Int(descriptor.second >> 40 & 0xFF)
    segmentSize = Int(descriptor.second >> 48)
  }
}

/// What a transmit queue keeps between descriptors.
struct IntelTransmission {
  /// The most that a frame to be segmented has: PAYLEN's 20 bits, and 255 of header.
  static var maximumData: Int { 1 << 20 + 256 }

  /// The data of the frame that is being gathered; it grows to the longest that came, and stays.
  var data: [UInt8] = []
  var count = 0
  /// The first descriptor of the frame, whose options hold for all of it; nil between frames.
  var options: IntelTransmitDescriptor?
  /// The frame cannot be sent; its descriptors are completed nevertheless.
  var isSpoiled = false
  var contexts = InlineArray<2, IntelOffloadContext>(repeating: IntelOffloadContext())

  /// All but the data: what is left of a frame that was being gathered is known to be spoiled.
  mutating func exchange(with record: inout StateRecord) {
    var isCut = isSpoiled || count > 0
    record.exchange(&isCut)
    record.exchange(&options)
    record.exchange(&contexts)
    isSpoiled = isSpoiled || isCut && count == 0
  }

  mutating func reset() {
    endFrame()
    for index in contexts.indices { contexts[index] = IntelOffloadContext() }
  }

  mutating func endFrame() {
    count = 0
    options = nil
    isSpoiled = false
  }
}
