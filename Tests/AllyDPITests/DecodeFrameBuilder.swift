import AllyPacket
import Testing

@testable import AllyDPI

/// Makes frames by hand, from the inside out, with correct lengths and checksums unless a test wants others.
enum FrameBuilder {
  static func bytes(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }
  static func bytes(_ value: UInt32) -> [UInt8] {
    bytes(UInt16(value >> 16)) + bytes(UInt16(truncatingIfNeeded: value))
  }
  static func bytes(_ value: UInt64) -> [UInt8] {
    bytes(UInt32(value >> 32)) + bytes(UInt32(truncatingIfNeeded: value))
  }

  static func ethernet(_ payload: [UInt8]) -> [UInt8] { ethernet(0x0800, payload) }

  static func ethernet(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
    [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1] + bytes(type) + payload
  }

  static func vlan(_ identifier: UInt16, _ payload: [UInt8]) -> [UInt8] { vlan(identifier, 0x0800, payload) }

  static func vlan(_ identifier: UInt16, _ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
    bytes(identifier) + bytes(type) + payload
  }

  /// Addresses of the tests: 10.0.0.`host`.
  static func ipv4(
    _ source: UInt8 = 1, _ destination: UInt8 = 2, protocol number: UInt8, identification: UInt16 = 7,
    fragment: UInt16 = 0, ttl: UInt8 = 64, options: [UInt8] = [], totalLength: Int? = nil, _ payload: [UInt8]
  ) -> [UInt8] {
    let length = totalLength ?? 20 + options.count + payload.count
    var header: [UInt8] =
      [0x45 + UInt8(options.count / 4), 0] + bytes(UInt16(length)) + bytes(identification) + bytes(fragment)
      + [ttl, number, 0, 0, 10, 0, 0, source, 10, 0, 0, destination] + options
    header.replaceSubrange(10..<12, with: bytes(checksum(header)))
    return header + payload
  }

  /// Addresses of the tests: 2001:db8::`host`.
  static func ipv6(
    _ source: UInt8 = 1, _ destination: UInt8 = 2, next: UInt8, hopLimit: UInt8 = 64, _ payload: [UInt8]
  ) -> [UInt8] {
    [0x60, 0, 0, 0] + bytes(UInt16(payload.count)) + [next, hopLimit] + address6(source) + address6(destination)
      + payload
  }

  static func address6(_ host: UInt8) -> [UInt8] {
    [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [host]
  }

  static func udp(_ source: UInt16, _ destination: UInt16, length: Int? = nil, _ payload: [UInt8]) -> [UInt8] {
    bytes(source) + bytes(destination) + bytes(UInt16(length ?? payload.count + 8)) + [0, 0] + payload
  }

  /// A TCP segment of 10.0.0.`from` to 10.0.0.`to`.
  static func tcp(
    _ source: UInt16, _ destination: UInt16, sequence: UInt32, acknowledgement: UInt32 = 0, flags: UInt8,
    window: UInt16 = 65_535, options: [UInt8] = [], from: UInt8 = 1, to: UInt8 = 2, _ payload: [UInt8] = []
  ) -> [UInt8] {
    var segment =
      bytes(source) + bytes(destination) + bytes(sequence) + bytes(acknowledgement)
      + [UInt8((20 + options.count) / 4) << 4, flags] + bytes(window) + [0, 0, 0, 0] + options + payload
    let pseudo = [10, 0, 0, from, 10, 0, 0, to, 0, 6] + bytes(UInt16(segment.count))
    segment.replaceSubrange(16..<18, with: bytes(checksum(pseudo + segment)))
    return segment
  }

  static func checksum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() { sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
    while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
    return ~UInt16(sum)
  }

  static func text(_ string: String) -> [UInt8] { Array(string.utf8) }
}

/// What a frame was found to hold: its packets and their payloads.
struct Dissection {
  var packets: [DecodedPacket] = []
  var payloads: [[UInt8]] = []
  var first: DecodedPacket { packets[0] }
  var last: DecodedPacket { packets[packets.count - 1] }
  var lastPayload: String { String(decoding: payloads[payloads.count - 1], as: UTF8.self) }
}

extension FrameDissector {
  init(validatesChecksums: Bool = true, doubtsChecksums: Bool = false, cap: Int = 1 << 20) {
    var configuration = DPIConfiguration()
    configuration.validatesChecksums = validatesChecksums
    configuration.doubtsChecksums = doubtsChecksums
    configuration.defragmentationMemoryCap = cap
    configuration.hashSeed = 1
    self.init(configuration: configuration)
  }

  /// Dissects one frame and checks what must hold of any: nothing lies outside the bytes.
  mutating func see(_ frame: [UInt8], _ linkType: LinkType = .ethernet, seconds: Double = 1) -> Dissection {
    var result = Dissection()
    let span = unsafe frame.span.bytes
    let stamp = FrameStamp(time: UInt64(seconds * 1e9), linkType: linkType)
    let count = dissect(Packet(bytes: span, stamp: stamp, direction: .receive))
    for index in 0..<count {
      let packet = packet(at: index)
      let bytes = bytes(of: packet, in: span)
      #expect(packet.payloadRange.upperBound <= bytes.byteCount)
      #expect(packet.networkEnd <= UInt32(bytes.byteCount))
      #expect(packet.transportOffset <= UInt32(bytes.byteCount))
      result.packets.append(packet)
      result.payloads.append(packet.payloadRange.map { bytes.byte(at: $0) })
    }
    return result
  }
}
