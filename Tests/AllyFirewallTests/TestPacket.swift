import AllyPacket

/// A packet for tests, made from what a rule can ask of it; every field has a value that rules can differ from.
struct TestPacket: Sendable {
  enum Transport: Sendable {
    case tcp(
      TCPFlags, sequence: UInt32 = 1_000, acknowledgment: UInt32 = 0, window: UInt16 = 65_535, scale: UInt8? = nil)
    case udp
    case icmp(type: UInt8, code: UInt8 = 0, identifier: UInt16 = 7)
    /// A protocol without ports.
    case other(UInt8)
  }

  var source = "192.0.2.1"
  var destination = "198.51.100.7"
  var transport = Transport.tcp(.syn)
  var sourcePort: UInt16 = 40_000
  var destinationPort: UInt16 = 443
  var payload: [UInt8] = []
  /// Extension headers of an IPv6 packet: each is eight bytes of destination options.
  var destinationOptions = 0
  var vlan: UInt16?
  /// Cuts the IP payload into this fragment: offset and length in bytes.
  var fragment: (identification: UInt16, offset: Int, length: Int)?
  var direction = Direction.receive
  /// Seconds.
  var time: Double = 1_700_000_000

  var isIPv6: Bool { source.contains(":") }

  /// The same packet with some fields changed.
  func with(_ change: (inout TestPacket) -> Void) -> TestPacket {
    var copy = self
    change(&copy)
    return copy
  }

  /// The answer's way: the endpoints exchanged.
  var reply: TestPacket {
    with {
      ($0.source, $0.destination) = (destination, source)
      ($0.sourcePort, $0.destinationPort) = (destinationPort, sourcePort)
    }
  }

  var ipProtocol: UInt8 {
    switch transport {
    case .tcp: 6
    case .udp: 17
    case .icmp: isIPv6 ? 58 : 1
    case .other(let number): number
    }
  }

  private var segment: [UInt8] {
    switch transport {
    case .tcp(let flags, let sequence, let acknowledgment, let window, let scale):
      let options: [UInt8] = scale.map { [1, 3, 3, $0] } ?? []
      return word(sourcePort) + word(destinationPort) + long(sequence) + long(acknowledgment)
        + [UInt8((20 + options.count) / 4) << 4, flags.rawValue] + word(window) + [0, 0, 0, 0] + options + payload
    case .udp:
      return word(sourcePort) + word(destinationPort) + word(UInt16(8 + payload.count)) + [0, 0] + payload
    case .icmp(let type, let code, let identifier):
      return [type, code, 0, 0] + word(identifier) + [0, 1] + payload
    case .other:
      return payload
    }
  }

  private func addressBytes(_ text: String) -> [UInt8] {
    guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
    if !isIPv6 { return long(address.v4Bits) }
    return long(UInt32(truncatingIfNeeded: address.high >> 32)) + long(UInt32(truncatingIfNeeded: address.high))
      + long(UInt32(truncatingIfNeeded: address.low >> 32)) + long(UInt32(truncatingIfNeeded: address.low))
  }

  /// From the IP header on.
  var networkBytes: [UInt8] {
    var payload = segment
    var flagsAndOffset: UInt16 = 0
    var next = ipProtocol
    for _ in 0..<destinationOptions {
      payload = [next, 0, 1, 4, 0, 0, 0, 0] + payload
      next = 60
    }
    if let fragment {
      let end = min(fragment.offset + fragment.length, payload.count)
      let more = end < payload.count
      payload = Array(payload[min(fragment.offset, end)..<end])
      flagsAndOffset = UInt16(fragment.offset) | (more ? 1 : 0)
      if isIPv6 {
        payload = [next, 0] + word(flagsAndOffset) + [0, 0] + word(fragment.identification) + payload
        next = 44
      } else {
        flagsAndOffset = UInt16(fragment.offset / 8) | (more ? 0x2000 : 0)
      }
    }
    if isIPv6 {
      return [0x60, 0, 0, 0] + word(UInt16(payload.count)) + [next, 64] + addressBytes(source)
        + addressBytes(destination) + payload
    }
    return [0x45, 0] + word(UInt16(20 + payload.count)) + word(fragment?.identification ?? 0) + word(flagsAndOffset)
      + [64, next, 0, 0] + addressBytes(source) + addressBytes(destination) + payload
  }

  /// From the Ethernet header on.
  var bytes: [UInt8] {
    var frame: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
    if let vlan { frame += [0x81, 0] + word(vlan) }
    return frame + (isIPv6 ? [0x86, 0xDD] : [0x08, 0x00]) + networkBytes
  }

  private func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
  private func long(_ value: UInt32) -> [UInt8] {
    word(UInt16(value >> 16)) + word(UInt16(truncatingIfNeeded: value))
  }
}

extension PacketInspector where Self: ~Copyable {
  /// Has a test packet inspected.
  mutating func judge(_ packet: TestPacket) -> Verdict {
    judge(packet.bytes, direction: packet.direction, time: packet.time)
  }

  mutating func judge(
    _ bytes: [UInt8], linkType: LinkType = .ethernet, direction: Direction = .receive, time: Double = 1_700_000_000
  ) -> Verdict {
    let stamp = FrameStamp(
      time: UInt64(time * 1_000_000_000), ordinal: 1, lengthOnWire: UInt32(bytes.count), linkType: linkType)
    // The span is of plain bytes, all of which are initialized.
    let packet = unsafe Packet(bytes: bytes.span.bytes, stamp: stamp, direction: direction)
    return inspect(packet)
  }
}

/// A generator whose numbers a seed repeats (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
