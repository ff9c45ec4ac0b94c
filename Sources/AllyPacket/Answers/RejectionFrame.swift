/// Who is told that a packet was rejected.
@frozen
public enum RejectedEndpoint: Sendable, BitwiseCopyable {
  /// The packet's sender.
  case sender
  /// The packet's receiver, which only a TCP reset can tell.
  case receiver
}

extension Rejection {
  /// The longest frame that ``frame(about:telling:into:)`` makes: an ICMPv6 error of the minimum MTU (RFC 4443 §2.4) behind
  /// an Ethernet header with VLAN tags.
  public static var longestFrame: Int { 1280 + 14 + 4 * PacketLayers.maximumVLANTags }

  /// Makes the frame that tells an endpoint of a packet that it was rejected, as if the other endpoint had: a TCP reset
  /// (RFC 9293 §3.5.2) or an ICMP error (RFC 792, RFC 4443).
  ///
  /// - Parameters:
  ///   - packet: the rejected packet.
  ///   - endpoint: who is told.
  ///   - buffer: where the frame goes, from its first byte on.
  /// - Returns: the frame's length; 0 when none is to be sent: to a reset, to an ICMP error or to anything but a datagram's
  ///   first fragment between two single hosts (RFC 1122 §3.2.2, RFC 4443 §2.4), without Ethernet, or when the buffer is
  ///   too short.
  public func frame(
    about packet: borrowing Packet, telling endpoint: RejectedEndpoint, into buffer: inout MutableSpan<UInt8>
  ) -> Int {
    let layers = PacketLayers(of: packet)
    guard packet.stamp.linkType == .ethernet, layers.network != .other, layers.defect == nil,
      Self.isUnicast(packet.bytes, layers)
    else { return 0 }
    var writer = FrameWriter(length: Int(layers.networkOffset))
    switch self {
    case .tcpReset: return reset(packet.bytes, layers, endpoint, &writer, &buffer)
    case .icmp(let code) where layers.network == .ipv4:
      return error(packet.bytes, layers, endpoint, type: 3, code: code, &writer, &buffer)
    case .icmpv6(let code) where layers.network == .ipv6:
      return error(packet.bytes, layers, endpoint, type: 1, code: code, &writer, &buffer)
    case .icmpx(let icmpCode, let icmpv6Code):
      return layers.network == .ipv4
        ? error(packet.bytes, layers, endpoint, type: 3, code: icmpCode, &writer, &buffer)
        : error(packet.bytes, layers, endpoint, type: 1, code: icmpv6Code, &writer, &buffer)
    case .icmp, .icmpv6: return 0
    }
  }

  /// Whether both link addresses and both IP addresses name one host each, and the packet is no later fragment.
  private static func isUnicast(_ bytes: RawSpan, _ layers: PacketLayers) -> Bool {
    guard !layers.fragment.isLater, let link = EthernetHeader(bytes), (link.destination | link.source) >> 40 & 1 == 0
    else { return false }
    if layers.network == .ipv4 {
      // Class D and above, the limited broadcast among them; "this network".
      return layers.destination.v4Bits < 0xE000_0000 && layers.source.v4Bits < 0xE000_0000
        && layers.source.v4Bits >= 0x0100_0000
    }
    let unspecified = layers.source.high == 0 && layers.source.low == 0
    return layers.destination.high >> 56 != 0xFF && layers.source.high >> 56 != 0xFF && !unspecified
  }

  private func reset(
    _ bytes: RawSpan, _ layers: PacketLayers, _ endpoint: RejectedEndpoint, _ writer: inout FrameWriter,
    _ buffer: inout MutableSpan<UInt8>
  ) -> Int {
    guard layers.ipProtocol == .tcp, layers.hasTransport, !layers.tcpFlags.contains(.rst),
      let header = TCPHeader(bytes, at: Int(layers.transportOffset)),
      writer.begin(bytes, layers, reversed: endpoint == .sender, payload: 20, carrying: .tcp, &buffer)
    else { return 0 }
    let start = writer.length
    var length = layers.endOffset &- layers.payloadOffset
    if header.flags.contains(.syn) { length &+= 1 }
    if header.flags.contains(.fin) { length &+= 1 }
    let hasAcknowledgment = header.flags.contains(.ack)
    let sequence: UInt32
    let acknowledgment: UInt32
    let flags: TCPFlags
    switch (endpoint, hasAcknowledgment) {
    case (.sender, true): (sequence, acknowledgment, flags) = (header.acknowledgmentNumber, 0, .rst)
    case (.sender, false): (sequence, acknowledgment, flags) = (0, header.sequenceNumber &+ length, [.rst, .ack])
    case (.receiver, true):
      (sequence, acknowledgment, flags) = (header.sequenceNumber, header.acknowledgmentNumber, [.rst, .ack])
    case (.receiver, false): (sequence, acknowledgment, flags) = (header.sequenceNumber, 0, .rst)
    }
    let isReversed = endpoint == .sender
    writer.append16(isReversed ? layers.destinationPort : layers.sourcePort, &buffer)
    writer.append16(isReversed ? layers.sourcePort : layers.destinationPort, &buffer)
    writer.append32(sequence, &buffer)
    writer.append32(acknowledgment, &buffer)
    writer.append16(0x5000 | UInt16(flags.rawValue), &buffer)
    // Window, checksum, urgent pointer.
    for _ in 0..<3 { writer.append16(0, &buffer) }
    return writer.finish(layers, transport: start, checksum: start + 16, protocol: .tcp, &buffer)
  }

  private func error(
    _ bytes: RawSpan, _ layers: PacketLayers, _ endpoint: RejectedEndpoint, type: UInt8, code: UInt8,
    _ writer: inout FrameWriter, _ buffer: inout MutableSpan<UInt8>
  ) -> Int {
    let isIPv4 = layers.network == .ipv4
    guard endpoint == .sender, !Self.isICMPError(layers) else { return 0 }
    // As much of the packet as the error may quote (RFC 1812 §4.3.2.3, RFC 4443 §2.4).
    let network = Int(layers.networkOffset)
    let quoted = min(Int(layers.endOffset) - network, isIPv4 ? 576 - 20 - 8 : 1280 - 40 - 8)
    let kind: IPProtocol = isIPv4 ? .icmp : .icmpv6
    guard writer.begin(bytes, layers, reversed: true, payload: 8 + quoted, carrying: kind, &buffer) else { return 0 }
    let start = writer.length
    writer.append16(UInt16(type) << 8 | UInt16(code), &buffer)
    for _ in 0..<3 { writer.append16(0, &buffer) }
    for offset in 0..<quoted { writer.append(bytes.byte(at: network + offset), &buffer) }
    return writer.finish(layers, transport: start, checksum: start + 2, protocol: kind, &buffer)
  }

  private static func isICMPError(_ layers: PacketLayers) -> Bool {
    if layers.ipProtocol == .icmpv6 { return !layers.hasTransport || layers.icmpType < 128 }
    guard layers.ipProtocol == .icmp else { return false }
    // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
    return !layers.hasTransport || [3, 4, 5, 11, 12].contains(layers.icmpType)
  }
}

/// Appends to a frame that is being made.
private struct FrameWriter {
  /// Bytes of the link header, VLAN tags included.
  private let linkLength: Int
  private(set) var length = 0
  private var isReversed = false

  init(length: Int) { linkLength = length }

  mutating func append(_ byte: UInt8, _ buffer: inout MutableSpan<UInt8>) {
    buffer[length] = byte
    length += 1
  }

  mutating func append16(_ value: UInt16, _ buffer: inout MutableSpan<UInt8>) {
    append(UInt8(truncatingIfNeeded: value >> 8), &buffer)
    append(UInt8(truncatingIfNeeded: value), &buffer)
  }

  mutating func append32(_ value: UInt32, _ buffer: inout MutableSpan<UInt8>) {
    append16(UInt16(truncatingIfNeeded: value >> 16), &buffer)
    append16(UInt16(truncatingIfNeeded: value), &buffer)
  }

  private mutating func append(_ address: IPAddress, isIPv4: Bool, _ buffer: inout MutableSpan<UInt8>) {
    guard !isIPv4 else { return append32(address.v4Bits, &buffer) }
    append32(UInt32(truncatingIfNeeded: address.high >> 32), &buffer)
    append32(UInt32(truncatingIfNeeded: address.high), &buffer)
    append32(UInt32(truncatingIfNeeded: address.low >> 32), &buffer)
    append32(UInt32(truncatingIfNeeded: address.low), &buffer)
  }

  /// The link header and the IP header, from the packet's receiver to its sender when `reversed`.
  mutating func begin(
    _ bytes: RawSpan, _ layers: PacketLayers, reversed: Bool, payload: Int, carrying kind: IPProtocol,
    _ buffer: inout MutableSpan<UInt8>
  ) -> Bool {
    let isIPv4 = layers.network == .ipv4
    guard linkLength >= 14, linkLength + (isIPv4 ? 20 : 40) + payload <= buffer.count else { return false }
    isReversed = reversed
    for offset in 0..<6 { append(bytes.byte(at: reversed ? 6 + offset : offset), &buffer) }
    for offset in 0..<6 { append(bytes.byte(at: reversed ? offset : 6 + offset), &buffer) }
    for offset in 12..<linkLength { append(bytes.byte(at: offset), &buffer) }
    let source = reversed ? layers.destination : layers.source
    let destination = reversed ? layers.source : layers.destination
    if isIPv4 {
      append16(0x4500, &buffer)
      append16(UInt16(truncatingIfNeeded: 20 + payload), &buffer)
      // No identification needed: "don't fragment" (RFC 6864 §4.1).
      append32(0x0000_4000, &buffer)
      append16(0x4000 | UInt16(kind.rawValue), &buffer)
      append16(0, &buffer)
    } else {
      append32(0x6000_0000, &buffer)
      append16(UInt16(truncatingIfNeeded: payload), &buffer)
      append16(UInt16(kind.rawValue) << 8 | 64, &buffer)
    }
    append(source, isIPv4: isIPv4, &buffer)
    append(destination, isIPv4: isIPv4, &buffer)
    return true
  }

  /// Fills the checksums in.
  ///
  /// - Returns: the frame's length.
  func finish(
    _ layers: PacketLayers, transport: Int, checksum: Int, protocol kind: IPProtocol,
    _ buffer: inout MutableSpan<UInt8>
  ) -> Int {
    if layers.network == .ipv4 {
      store(sum(from: linkLength, to: linkLength + 20, buffer).checksum, at: linkLength + 10, &buffer)
    }
    var total = sum(from: transport, to: length, buffer)
    if kind != .icmp {
      total.add(layers.source)
      total.add(layers.destination)
      total.add(UInt16(kind.rawValue))
      total.add(UInt16(truncatingIfNeeded: length - transport))
    }
    store(total.checksum, at: checksum, &buffer)
    return length
  }

  private func sum(from start: Int, to end: Int, _ buffer: borrowing MutableSpan<UInt8>) -> InternetChecksum {
    var sum = InternetChecksum()
    for offset in start..<end {
      sum.add((offset - start) & 1 == 0 ? UInt16(buffer[offset]) << 8 : UInt16(buffer[offset]))
    }
    return sum
  }

  private func store(_ value: UInt16, at offset: Int, _ buffer: inout MutableSpan<UInt8>) {
    buffer[offset] = UInt8(truncatingIfNeeded: value >> 8)
    buffer[offset + 1] = UInt8(truncatingIfNeeded: value)
  }
}
