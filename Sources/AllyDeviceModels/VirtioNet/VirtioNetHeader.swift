/// What stands before each frame in its buffers: `struct virtio_net_hdr` as version 1 has it, 12 bytes (virtio 1.2, §5.1.6).
struct VirtioNetHeader {
  static let length = 12

  enum Flag {
    static let needsChecksum: UInt8 = 1
    static let dataValid: UInt8 = 2
  }

  enum Segmentation {
    static let none: UInt8 = 0
    static let tcpIPv4: UInt8 = 1
    static let tcpIPv6: UInt8 = 4
    /// Set besides when the frame has the CWR bit.
    static let ecn: UInt8 = 0x80
  }

  var flags: UInt8 = 0
  var segmentation: UInt8 = 0
  var headerLength = 0
  var segmentSize = 0
  var checksumStart = 0
  var checksumOffset = 0
  var buffers: UInt16 = 0

  /// The header of a received frame.
  init(flags: UInt8, buffers: UInt16) {
    self.flags = flags
    self.buffers = buffers
  }

  /// The header in the first bytes of `bytes`, which has at least twelve.
  init(_ bytes: Span<UInt8>) {
    func word(_ offset: Int) -> Int { Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 }
    flags = bytes[0]
    segmentation = bytes[1]
    headerLength = word(2)
    segmentSize = word(4)
    checksumStart = word(6)
    checksumOffset = word(8)
    buffers = UInt16(word(10))
  }

  /// The bytes of the header of a received frame.
  var bytes: InlineArray<12, UInt8> {
    var result = InlineArray<12, UInt8>(repeating: 0)
    result[0] = flags
    result[10] = UInt8(truncatingIfNeeded: buffers)
    result[11] = UInt8(truncatingIfNeeded: buffers >> 8)
    return result
  }
}
