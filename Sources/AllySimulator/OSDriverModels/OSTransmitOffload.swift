/// What a stock network stack leaves to the NIC for a TCP or UDP frame: the transport checksum, and, beyond the largest
/// frame of the link, segmentation.
///
/// The stack then puts the pseudo-header's sum where the checksum belongs, without the length when the frame is to be
/// segmented, and leaves the IP header without length and checksum in that case.
struct OSTransmitOffload {
  /// The bytes up to the IP header, of the IP header, and of the transport header.
  let linkLength: Int
  let ipLength: Int
  let transportLength: Int
  let isIPv4: Bool
  let isTCP: Bool
  /// The payload bytes of each segment; 0 when the frame is sent as it is.
  let segmentSize: Int

  var transportStart: Int { linkLength + ipLength }
  /// Where the transport checksum is.
  var checksumStart: Int { transportStart + (isTCP ? 16 : 6) }
  var headerLength: Int { transportStart + transportLength }

  /// Nil for frames that the stack sends as they are: other protocols, fragments, damaged ones.
  ///
  /// `largest` is the longest frame of the link in bytes.
  init?(_ frame: [UInt8], largest: Int) {
    guard frame.count >= 34 else { return nil }
    linkLength = 14
    let type = UInt16(frame[12]) << 8 | UInt16(frame[13])
    let transport: UInt8
    switch (type, frame[14] >> 4) {
    case (0x0800, 4):
      isIPv4 = true
      ipLength = Int(frame[14] & 15) * 4
      guard ipLength >= 20, frame[20] & 0x3F == 0, frame[21] == 0 else { return nil }
      transport = frame[23]
    case (0x86DD, 6):
      isIPv4 = false
      ipLength = 40
      transport = frame[20]
    default: return nil
    }
    isTCP = transport == 6
    guard isTCP || transport == 17, frame.count >= 14 + ipLength + (isTCP ? 20 : 8) else { return nil }
    transportLength = isTCP ? Int(frame[14 + ipLength + 12] >> 4) * 4 : 8
    guard transportLength >= (isTCP ? 20 : 8), frame.count > 14 + ipLength + transportLength else { return nil }
    let isLong = frame.count > largest
    guard !isLong || isTCP else { return nil }
    segmentSize = isLong ? largest - 14 - ipLength - transportLength : 0
  }

  /// Makes the frame one that the stack leaves to the NIC.
  func apply(to frame: inout [UInt8]) {
    var sum: UInt32 = isTCP ? 6 : 17
    let addresses = isIPv4 ? 26..<34 : 22..<54
    for index in addresses { sum += index % 2 == 0 ? UInt32(frame[index]) << 8 : UInt32(frame[index]) }
    if segmentSize == 0 {
      sum += UInt32(frame.count - transportStart)
    } else if isIPv4 {
      for index in [16, 17, 24, 25] { frame[index] = 0 }
    }
    while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
    frame[checksumStart] = UInt8(truncatingIfNeeded: sum >> 8)
    frame[checksumStart + 1] = UInt8(truncatingIfNeeded: sum)
  }
}
