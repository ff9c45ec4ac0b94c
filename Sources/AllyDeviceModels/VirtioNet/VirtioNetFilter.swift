/// Which frames are received, as the commands of the control queue say (virtio 1.2, §5.1.6.5.1 to §5.1.6.5.3).
struct VirtioNetFilter {
  /// Addresses that each table holds; more of one kind means all of it.
  static let tableLimit = 64

  var stationAddress: [UInt8] = [0, 0, 0, 0, 0, 0]
  var isPromiscuous = true
  var allMulticast = false
  var allUnicast = false
  var noMulticast = false
  var noUnicast = false
  var noBroadcast = false
  var unicast: [UInt64] = []
  var multicast: [UInt64] = []
  var overflows: (unicast: Bool, multicast: Bool) = (false, false)
  /// A bit for each VLAN that is received while the filter is negotiated.
  var vlans = [UInt64](repeating: 0, count: 64)

  init(stationAddress: [UInt8] = [0, 0, 0, 0, 0, 0]) { self.stationAddress = stationAddress }

  static func address(_ bytes: Span<UInt8>, at offset: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<6 { value = value << 8 | UInt64(bytes[offset + index]) }
    return value
  }

  func accepts(_ frame: Span<UInt8>, filtersVLANs: Bool) -> Bool {
    if filtersVLANs, frame.count >= 16, frame[12] == 0x81, frame[13] == 0x00 {
      let identifier = (Int(frame[14]) << 8 | Int(frame[15])) & 0xFFF
      guard vlans[identifier / 64] >> UInt64(identifier % 64) & 1 == 1 else { return false }
    }
    if isPromiscuous { return true }
    guard frame.count >= 6 else { return false }
    let destination = Self.address(frame, at: 0)
    if destination == 0xFFFF_FFFF_FFFF { return !noBroadcast }
    if frame[0] & 1 == 1 {
      guard !noMulticast else { return false }
      return allMulticast || overflows.multicast || multicast.contains(destination)
    }
    guard !noUnicast else { return false }
    return allUnicast || overflows.unicast || destination == Self.address(stationAddress.span, at: 0)
      || unicast.contains(destination)
  }
}

/// Which queue pair a flow's frames go to: the same for both directions.
enum VirtioNetSteering {
  /// A hash of an IP packet's addresses and ports, in which source and destination can change places; 0 without IP.
  static func hash(_ frame: Span<UInt8>) -> UInt32 {
    var offset = 12
    // Up to two VLAN tags.
    for _ in 0..<2
    where frame.count >= offset + 6 && (frame[offset] == 0x81 || frame[offset] == 0x88) && frame[offset + 1] & 0x57 == 0
    {
      offset += 4
    }
    guard frame.count >= offset + 2 else { return 0 }
    let type = UInt16(frame[offset]) << 8 | UInt16(frame[offset + 1])
    let ip = offset + 2
    var sum: UInt32 = 0
    var transport = ip
    let hasPorts: Bool
    switch type {
    case 0x0800 where frame.count >= ip + 20:
      for index in 0..<8 { sum &+= UInt32(frame[ip + 12 + index]) << UInt32(8 * (index % 4)) }
      transport += Int(frame[ip] & 15) * 4
      let isFragment = frame[ip + 6] & 0x3F != 0 || frame[ip + 7] != 0
      hasPorts = !isFragment && (frame[ip + 9] == 6 || frame[ip + 9] == 17)
    case 0x86DD where frame.count >= ip + 40:
      for index in 0..<32 { sum &+= UInt32(frame[ip + 8 + index]) << UInt32(8 * (index % 4)) }
      transport += 40
      hasPorts = frame[ip + 6] == 6 || frame[ip + 6] == 17
    default: return 0
    }
    if hasPorts, frame.count >= transport + 4 {
      for index in 0..<4 { sum &+= UInt32(frame[transport + index]) << UInt32(8 * (index % 2)) }
    }
    // Spread the sum's bits (Knuth's multiplicative hash).
    return (sum &* 2_654_435_769) >> 16
  }
}
