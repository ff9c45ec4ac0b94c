/// What a controller found out about a received frame, apart from the format in which its descriptor says so.
struct IntelReceiveReport {
  /// Status bits 7–0 of the legacy format (SDM §3.2.3.1), which the other formats have at the same places, and above them
  /// what only those have (82574 datasheet §7.1.5.2; 82576 datasheet §7.1.5.2).
  var status: UInt32 = 0
  /// The error byte of the legacy format, which is the uppermost byte of the other formats' status word.
  var errors: UInt8 = 0
  /// The VLAN tag that was taken out of the frame.
  var vlanTag: UInt16 = 0
  /// The first word of a completed extended or advanced descriptor: RSS type and hash, queue or packet type.
  var firstWord: UInt64 = 0

  enum Status {
    static let descriptorDone: UInt32 = 1 << 0
    static let endOfPacket: UInt32 = 1 << 1
    static let ignoreChecksum: UInt32 = 1 << 2
    static let vlanPacket: UInt32 = 1 << 3
    /// A UDP checksum was looked at; not in the legacy format.
    static let udpChecksumCalculated: UInt32 = 1 << 4
    static let transportChecksumCalculated: UInt32 = 1 << 5
    static let ipChecksumCalculated: UInt32 = 1 << 6
    /// The IP identification is in the first word.
    static let identificationValid: UInt32 = 1 << 9
    /// What a descriptor keeps of a frame that could not be written.
    static let lost = descriptorDone | endOfPacket | ignoreChecksum
  }

  enum Failure {
    static let transportChecksum: UInt8 = 1 << 5
    static let ipChecksum: UInt8 = 1 << 6
    static let data: UInt8 = 1 << 7
  }
}

/// The formats of receive descriptors. All begin with the buffer's address while they are offered.
enum IntelReceiveFormat {
  /// The buffer's address stays (SDM §3.2.3).
  case legacy
  /// Both words are overwritten: 82574 datasheet §7.1.5.2, 82576 datasheet §7.1.5.2.
  case extended

  /// A completed descriptor's words; nil for one that stays as it is. `length` bytes are in its buffer.
  func completed(_ report: IntelReceiveReport, status: UInt32, errors: UInt8, length: Int) -> (UInt64?, UInt64) {
    let tag = UInt64(report.vlanTag) << 48
    switch self {
    case .legacy:
      return (nil, UInt64(length & 0xFFFF) | UInt64(status & 0xEF) << 32 | UInt64(errors) << 40 | tag)
    case .extended:
      return (
        report.firstWord,
        UInt64(status & 0xF_FFFF) | UInt64(errors) << 24 | UInt64(length & 0xFFFF) << 32 | tag
      )
    }
  }
}
