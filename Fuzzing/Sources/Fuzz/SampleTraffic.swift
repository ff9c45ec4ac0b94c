internal import AllyPacket

/// A few frames that rules and policies are tried on: a TCP conversation, two datagrams, an echo request, and IPv6. Their
/// checksums are 0.
enum SampleTraffic {
  static let frames: [FrameList.Frame] = {
    let request = Array("GET /cgi-bin/a.cgi?q=../../etc/passwd HTTP/1.1\r\nHost: www.example.com\r\n\r\n".utf8)
    let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\nroot:x:0:0::/root:/bin/".utf8)
    let query: [UInt8] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0x74, 0x6F, 0x70, 0, 0, 16, 0, 1]
    let requestEnd = UInt32(1001 + request.count)
    let list: [(toServer: Bool, frame: [UInt8])] = [
      (true, tcp(toServer: true, 1000, 0, flags: 0x02, [])),
      (false, tcp(toServer: false, 5000, 1001, flags: 0x12, [])),
      (true, tcp(toServer: true, 1001, 5001, flags: 0x10, [])),
      (true, tcp(toServer: true, 1001, 5001, flags: 0x18, request)),
      (false, tcp(toServer: false, 5001, requestEnd, flags: 0x18, answer)),
      (true, udp(query)),
      (true, ipv4(toServer: true, protocol: 1, [8, 0, 0, 0, 0, 1, 0, 1] + query)),
      (true, ipv6(nextHeader: 17, datagram(query))),
      (true, tcp(toServer: true, requestEnd, 5001 + UInt32(answer.count), flags: 0x11, [])),
    ]
    return list.enumerated().map { index, item in
      FrameList.Frame(
        bytes: item.frame,
        stamp: FrameStamp(
          time: 1_700_000_000_000_000_000 + UInt64(index) * 1_000_000, ordinal: UInt64(index + 1),
          lengthOnWire: UInt32(item.frame.count)),
        direction: item.toServer ? .receive : .transmit)
    }
  }()

  private static func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
  private static func big32(_ value: UInt32) -> [UInt8] { big16(Int(value >> 16)) + big16(Int(value & 0xFFFF)) }

  private static let addresses: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]

  private static func ipv4(toServer: Bool, protocol number: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let client: [UInt8] = [198, 51, 100, 7]
    let server: [UInt8] = [192, 168, 10, 80]
    return addresses + [8, 0, 0x45, 0] + big16(20 + payload.count) + [0, 1, 0, 0, 64, number, 0, 0]
      + (toServer ? client + server : server + client) + payload
  }

  private static func ipv6(nextHeader: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let network: [UInt8] = [0x20, 1, 0x0D, 0xB8, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    return addresses + [0x86, 0xDD, 0x60, 0, 0, 0] + big16(payload.count) + [nextHeader, 64] + network + [1] + network
      + [2] + payload
  }

  static func tcp(
    toServer: Bool, port: Int = 80, _ sequence: UInt32, _ acknowledgment: UInt32, flags: UInt8, _ payload: [UInt8]
  ) -> [UInt8] {
    let ports = toServer ? big16(40_000) + big16(port) : big16(port) + big16(40_000)
    return ipv4(
      toServer: toServer, protocol: 6,
      ports + big32(sequence) + big32(acknowledgment) + [0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0] + payload)
  }

  private static func datagram(_ payload: [UInt8], toServer: Bool = true, port: Int = 53) -> [UInt8] {
    let ports = toServer ? big16(40_001) + big16(port) : big16(port) + big16(40_001)
    return ports + big16(8 + payload.count) + [0, 0] + payload
  }

  static func udp(_ payload: [UInt8], toServer: Bool = true, port: Int = 53) -> [UInt8] {
    ipv4(toServer: toServer, protocol: 17, datagram(payload, toServer: toServer, port: port))
  }
}
