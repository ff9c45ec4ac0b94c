/// Where a received frame's headers are, as far as a controller's parser goes: Ethernet with at most one VLAN tag, IPv4 or
/// IPv6 with its common extension headers, TCP or UDP (SDM §3.2.9; 82576 datasheet §7.1.11).
struct IntelFrameLayers {
  var ip: Int
  /// The IP header's length; with IPv6, its extension headers included.
  var ipHeaderLength: Int
  var isIPv4: Bool
  var hasExtensions = false
  var isFragment = false
  /// The IP payload's protocol.
  var transportProtocol: UInt8
  /// Where the IP packet ends; padding may follow.
  var end: Int

  var transport: Int { ip + ipHeaderLength }
  var isTCP: Bool { transportProtocol == 6 && !isFragment && end - transport >= 20 }
  var isUDP: Bool { transportProtocol == 17 && !isFragment && end - transport >= 8 }

  /// Nil when the frame is not IP, or too short to be what it says.
  init?(_ frame: Span<UInt8>, isTagged: Bool) {
    ip = isTagged ? 18 : 14
    guard frame.count >= ip + 20 else { return nil }
    let type = UInt16(frame[ip - 2]) << 8 | UInt16(frame[ip - 1])
    if type == 0x0800, frame[ip] >> 4 == 4 {
      isIPv4 = true
      ipHeaderLength = Int(frame[ip] & 15) * 4
      let totalLength = Int(frame[ip + 2]) << 8 | Int(frame[ip + 3])
      guard ipHeaderLength >= 20, totalLength >= ipHeaderLength, ip + totalLength <= frame.count else { return nil }
      end = ip + totalLength
      hasExtensions = ipHeaderLength > 20
      isFragment = frame[ip + 6] & 0x3F != 0 || frame[ip + 7] != 0
      transportProtocol = frame[ip + 9]
    } else if type == 0x86DD, frame[ip] >> 4 == 6, frame.count >= ip + 40 {
      isIPv4 = false
      ipHeaderLength = 40
      let payloadLength = Int(frame[ip + 4]) << 8 | Int(frame[ip + 5])
      guard ip + 40 + payloadLength <= frame.count else { return nil }
      end = ip + 40 + payloadLength
      transportProtocol = frame[ip + 6]
      // Hop-by-hop options, routing and destination options; a fragment header ends the parser's work.
      while transportProtocol == 0 || transportProtocol == 43 || transportProtocol == 60 {
        let header = transport
        guard header + 8 <= end else { return }
        let length = (Int(frame[header + 1]) + 1) * 8
        guard header + length <= end else { return }
        hasExtensions = true
        transportProtocol = frame[header]
        ipHeaderLength += length
      }
      if transportProtocol == 44 { isFragment = true }
    } else {
      return nil
    }
  }

  /// The sum of the pseudo-header of TCP and UDP.
  func addPseudoHeader(of frame: Span<UInt8>, to checksum: inout InternetChecksum) {
    let addresses = isIPv4 ? (ip + 12)..<(ip + 20) : (ip + 8)..<(ip + 40)
    checksum.add(frame, from: addresses.lowerBound, to: addresses.upperBound)
    checksum.add(UInt16(transportProtocol))
    checksum.add(UInt16(truncatingIfNeeded: end - transport))
  }
}

extension IntelController {
  /// Receive checksum offload (SDM §3.2.9): what was checked, and whether it was right. While it is off, the bit that says
  /// to ignore the rest.
  func checkChecksums(_ frame: Span<UInt8>, _ layers: IntelFrameLayers?, report: inout IntelReceiveReport) {
    typealias Status = IntelReceiveReport.Status
    let ipOffload = self[IntelRegister.receiveChecksum] >> 8 & 1 == 1
    let transportOffload = self[IntelRegister.receiveChecksum] >> 9 & 1 == 1
    guard let layers, ipOffload || transportOffload else {
      report.status |= Status.ignoreChecksum
      return
    }
    var status: UInt32 = 0
    if ipOffload, layers.isIPv4 {
      var checksum = InternetChecksum()
      checksum.add(frame, from: layers.ip, to: layers.transport)
      status |= Status.ipChecksumCalculated
      if checksum.folded != 0xFFFF { report.errors |= IntelReceiveReport.Failure.ipChecksum }
    }
    // A UDP checksum of zero says that there is none.
    let isUDP = layers.isUDP && (frame[layers.transport + 6] | frame[layers.transport + 7]) != 0
    if transportOffload, layers.isTCP || isUDP {
      var checksum = InternetChecksum()
      layers.addPseudoHeader(of: frame, to: &checksum)
      checksum.add(frame, from: layers.transport, to: layers.end)
      status |= Status.transportChecksumCalculated | (isUDP ? Status.udpChecksumCalculated : 0)
      if checksum.folded != 0xFFFF { report.errors |= IntelReceiveReport.Failure.transportChecksum }
    }
    report.status |= status == 0 ? Status.ignoreChecksum : status
  }

  /// What an extended descriptor's first word has when it has no RSS hash (82574 datasheet §7.1.5.2): the IP identification,
  /// and the checksum of all bytes from RXCSUM.PCSS on.
  func reportPacketChecksum(_ frame: Span<UInt8>, _ layers: IntelFrameLayers?, _ report: inout IntelReceiveReport) {
    var sum = InternetChecksum()
    sum.add(frame, from: min(Int(self[IntelRegister.receiveChecksum] & 0xFF), frame.count), to: frame.count)
    report.firstWord |= UInt64(~sum.folded) << 48
    guard let layers, layers.isIPv4 else { return }
    report.status |= IntelReceiveReport.Status.identificationValid
    report.firstWord |= UInt64(frame[layers.ip + 4]) << 40 | UInt64(frame[layers.ip + 5]) << 32
  }
}
