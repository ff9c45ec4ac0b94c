/// Ethernet, IPv4 and TCP headers as a driver prepares them for segmentation, and a payload.
func tcpFrame(payload: Int, total: Bool) -> [UInt8] {
  var ip: [UInt8] = [0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
  if total {
    ip[2] = UInt8((40 + payload) >> 8)
    ip[3] = UInt8((40 + payload) & 0xFF)
  }
  var header: [UInt8] = [0x12, 0x34, 0, 80, 0xFF, 0xFF, 0xFF, 0x00, 0, 0, 0, 1, 0x50, 0x19, 0x20, 0, 0, 0, 0, 0]
  let pseudo: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2, 0, 6]
  let seed = internetSum(pseudo, plus: total ? UInt32(20 + payload) : 0)
  header[16] = UInt8(seed >> 8)
  header[17] = UInt8(seed & 0xFF)
  let data = (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
  return Bench.macAddress + [0x02, 0, 0, 0, 0, 1, 0x08, 0x00] + ip + header + data
}

/// The sum over an IPv4 header at byte 14: all ones when it is right.
func ipSum(_ frame: [UInt8]) -> UInt16 { internetSum(frame[14..<34]) }
/// The sum over a TCP segment at byte 34 with its pseudo-header: all ones when it is right.
func tcpSum(_ frame: [UInt8]) -> UInt16 {
  internetSum(
    frame[26..<34] + [0, 6, UInt8((frame.count - 34) >> 8), UInt8((frame.count - 34) & 0xFF)] + frame[34...])
}
