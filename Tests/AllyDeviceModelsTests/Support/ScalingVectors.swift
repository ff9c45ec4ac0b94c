/// Microsoft's verification suite for receive-side scaling: addresses, ports and the hashes that follow from its key.
struct ScalingVector: Sendable {
  var source: [UInt8]
  var destination: [UInt8]
  var sourcePort: UInt16
  var destinationPort: UInt16
  var addressHash: UInt32
  var connectionHash: UInt32

  static let key: [UInt8] = [
    0x6D, 0x5A, 0x56, 0xDA, 0x25, 0x5B, 0x0E, 0xC2, 0x41, 0x67, 0x25, 0x3D, 0x43, 0xA3, 0x8F, 0xB0, 0xD0, 0xCA, 0x2B,
    0xCB,
    0xAE, 0x7B, 0x30, 0xB4, 0x77, 0xCB, 0x2D, 0xA3, 0x80, 0x30, 0xF2, 0x0C, 0x6A, 0x42, 0xB7, 0x3B, 0xBE, 0xAC, 0x01,
    0xFA,
  ]

  static let all: [ScalingVector] = [
    ScalingVector(
      source: [66, 9, 149, 187], destination: [161, 142, 100, 80], sourcePort: 2794, destinationPort: 1766,
      addressHash: 0x323E_8FC2, connectionHash: 0x51CC_C178),
    ScalingVector(
      source: [199, 92, 111, 2], destination: [65, 69, 140, 83], sourcePort: 14230, destinationPort: 4739,
      addressHash: 0xD718_262A, connectionHash: 0xC626_B0EA),
    ScalingVector(
      source: [0x3F, 0xFE, 0x25, 0x01, 0x02, 0x00, 0x1F, 0xFF, 0, 0, 0, 0, 0, 0, 0, 7],
      destination: [0x3F, 0xFE, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1], sourcePort: 2794,
      destinationPort: 1766, addressHash: 0x2CC1_8CD5, connectionHash: 0x4020_7D3D),
  ]

  var isIPv4: Bool { source.count == 4 }

  /// A frame between the addresses: a TCP segment, or something that has no ports.
  func frame(isTCP: Bool) -> [UInt8] {
    let ports = [
      UInt8(sourcePort >> 8), UInt8(sourcePort & 0xFF), UInt8(destinationPort >> 8), UInt8(destinationPort & 0xFF),
    ]
    let transport: [UInt8] = ports + [0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]
    let next: UInt8 = isTCP ? 6 : 89
    let header: [UInt8] =
      isIPv4
      ? [0x45, 0, 0, UInt8(20 + transport.count), 0xAB, 0xCD, 0, 0, 64, next, 0, 0] + source + destination
      : [0x60, 0, 0, 0, 0, UInt8(transport.count), next, 64] + source + destination
    return Bench.macAddress + [2, 0, 0, 0, 0, 1] + (isIPv4 ? [0x08, 0x00] : [0x86, 0xDD]) + header + transport
  }
}

extension NICBench where Model: ~Copyable {
  /// Writes the suite's key and a redirection table that says `queue(index)` for each index.
  func programScaling(fields: UInt32, queue: (UInt32) -> UInt32) {
    for index in 0..<10 {
      let bytes = ScalingVector.key[(4 * index)..<(4 * index + 4)].reversed()
      write(0x5C80 + UInt32(4 * index), bytes.reduce(0) { $0 << 8 | UInt32($1) })
    }
    for index in 0..<UInt32(32) {
      write(0x5C00 + 4 * index, (0..<4).reduce(0) { $0 | queue(4 * index + $1) << (8 * $1) })
    }
    write(0x5818, fields)
  }
}
