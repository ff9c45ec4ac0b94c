import AllyPacket

/// Takes a frame apart into its packets: the one it is, those inside it, and the datagram that it completes.
///
/// One call of ``dissect(_:)`` per frame; the packets stay until the next call. At most ``maximumPackets`` packets and
/// ``maximumDatagrams`` reassembled datagrams come from one frame, so that a frame of nested tunnels costs a bounded amount.
struct FrameDissector: ~Copyable {
  /// Packets that one frame may yield.
  static var maximumPackets: Int { 16 }
  /// Datagrams that one frame may complete (a fragment inside a tunnel whose carrier is a fragment, too).
  static var maximumDatagrams: Int { 2 }

  private(set) var decoder: PacketDecoder
  private let validatesChecksums: Bool
  private let doubtsChecksums: Bool
  /// What frames say of themselves is not looked at; what tunnels carry, no network card computes.
  private var ignoresFrameChecksums = false
  /// Of frames themselves: they tell whether a network card was to compute them.
  private var wrongTCPChecksums: UInt64 = 0
  private var defragmenter: Defragmenter
  private var packets: Pool<DecodedPacket>
  private var firstDatagram = DatagramBuffer()
  private var secondDatagram = DatagramBuffer()
  private var counters = DecodeStatistics()

  init(configuration: DPIConfiguration) {
    validatesChecksums = configuration.validatesChecksums
    decoder = PacketDecoder(validatesChecksums: configuration.validatesChecksums, tunnels: configuration.tunnels)
    doubtsChecksums = configuration.doubtsChecksums && configuration.validatesChecksums
    defragmenter = Defragmenter(
      memoryCap: configuration.defragmentationMemoryCap, hosts: configuration.hostSystems,
      timeout: configuration.defragmentationTimeout,
      seed: configuration.hashSeed ?? UInt64.random(in: .min ... .max))
    packets = Pool(capacity: Self.maximumPackets)
    for _ in 0..<Self.maximumPackets { _ = packets.insert(DecodedPacket()) }
  }

  /// Gives up on checksums when too many are wrong.
  private mutating func judgeChecksums() {
    ignoresFrameChecksums = wrongTCPChecksums > 0 && counters.packets / wrongTCPChecksums < 10
  }

  /// Decodes a frame.
  ///
  /// - Returns: how many packets were found, at least 1. Packet 0 is the outermost. They are to be inspected from the last
  ///   to the first: what a tunnel carries before the tunnel itself, a completed datagram before its last fragment.
  mutating func dissect(_ packet: borrowing Packet) -> Int {
    if doubtsChecksums && counters.packets == DPIConfiguration.checksumSample { judgeChecksums() }
    counters.packets &+= 1
    counters.bytes &+= UInt64(packet.bytes.byteCount)
    packets[0] = DecodedPacket()
    decoder.isToBeSegmented = packet.offloads.segmentSize > 0
    decoder.validatesChecksums = validatesChecksums && !ignoresFrameChecksums
    var carried = decoder.decode(frame: packet.bytes, linkType: packet.stamp.linkType, into: &packets[0])
    decoder.validatesChecksums = validatesChecksums
    // What the NIC inserts is not there yet; what it has verified is good.
    if packet.offloads.ipChecksum { packets[0].flaws.remove(.networkChecksum) }
    if packet.offloads.transportChecksum { packets[0].flaws.remove(.transportChecksum) }
    if packets[0].flaws.contains(.transportChecksum) && packets[0].transport == .tcp { wrongTCPChecksums &+= 1 }
    var count = 1
    var datagrams: UInt8 = 0

    // Each packet yields at most one more: what it carries, or the datagram that it completes.
    while true {
      let outer = UInt32(count - 1)
      if packets[outer].flaws.contains(.invalid) { counters.invalid &+= 1 }
      if let inner = carried {
        guard count < Self.maximumPackets else {
          counters.tooDeep &+= 1
          break
        }
        guard decodeCarried(inner, by: outer, frame: packet.bytes, carrying: &carried) else { break }
        count += 1
      } else if packets[outer].fragment.isFragment && packets[outer].ipVersion != 0 {
        guard datagrams < Self.maximumDatagrams, count < Self.maximumPackets else {
          counters.tooDeep &+= 1
          break
        }
        guard reassemble(outer, into: datagrams + 1, frame: packet.bytes, time: packet.stamp.time) else { break }
        datagrams += 1
        carried = decodeDatagram(datagrams, completedBy: outer)
        count += 1
      } else {
        break
      }
    }
    return count
  }

  /// A packet of the last frame.
  func packet(at index: Int) -> DecodedPacket { packets[UInt32(index)] }

  /// The bytes that a packet's offsets count in.
  @_lifetime(borrow self, copy frame)
  func bytes(of packet: DecodedPacket, in frame: RawSpan) -> RawSpan {
    switch packet.buffer {
    case 0: frame
    case 1: firstDatagram.bytes
    default: secondDatagram.bytes
    }
  }

  /// Counters so far.
  var statistics: DecodeStatistics {
    var sum = counters
    sum.fragments = defragmenter.statistics.fragments
    sum.reassembled = defragmenter.statistics.reassembled
    sum.fragmentTimeouts = defragmenter.statistics.fragmentTimeouts
    sum.fragmentMemoryCap = defragmenter.statistics.fragmentMemoryCap
    return sum
  }

  // MARK: One more packet

  /// Decodes what a packet carries into the place behind it.
  ///
  /// - Parameter carried: what it carries itself.
  /// - Returns: false when it turns out not to be a packet: the carrier is then inspected as it is.
  private mutating func decodeCarried(
    _ inner: CarriedPacket, by outer: UInt32, frame: RawSpan, carrying carried: inout CarriedPacket?
  ) -> Bool {
    var packet = DecodedPacket()
    packet.inherit(from: packets[outer], at: outer)
    packet.depth &+= 1
    carried = decoder.decode(inner, in: bytes(of: packets[outer], in: frame), into: &packet)
    if packet.ipVersion == 0 { return false }
    packets[outer].carriesPacket = true
    packets[outer].payloadLength = 0
    packets[outer + 1] = packet
    return true
  }

  /// Gives a fragment to the defragmenter.
  private mutating func reassemble(_ place: UInt32, into buffer: UInt8, frame: RawSpan, time: UInt64) -> Bool {
    switch packets[place].buffer {
    case 0:
      return buffer == 1
        ? defragmenter.add(&packets[place], bytes: frame, time: time, into: &firstDatagram)
        : defragmenter.add(&packets[place], bytes: frame, time: time, into: &secondDatagram)
    default:
      return Self.reassemble(&packets[place], in: firstDatagram, time: time, with: &defragmenter, into: &secondDatagram)
    }
  }

  private static func reassemble(
    _ packet: inout DecodedPacket, in carrier: borrowing DatagramBuffer, time: UInt64,
    with defragmenter: inout Defragmenter, into output: inout DatagramBuffer
  ) -> Bool {
    defragmenter.add(&packet, bytes: carrier.bytes, time: time, into: &output)
  }

  /// Decodes a whole datagram into the place behind its last fragment.
  private mutating func decodeDatagram(_ buffer: UInt8, completedBy fragment: UInt32) -> CarriedPacket? {
    var packet = DecodedPacket()
    packet.inherit(from: packets[fragment], at: fragment)
    packet.buffer = buffer
    packet.origin = .defragmented
    var layers: UInt8 = 0
    let carried: CarriedPacket?
    if buffer == 1 {
      packet.accountedLength = UInt32(firstDatagram.count)
      carried =
        packets[fragment].ipVersion == 4
        ? decoder.decodeIPv4(firstDatagram.bytes, at: 0, layers: &layers, into: &packet)
        : decoder.decodeIPv6(firstDatagram.bytes, at: 0, layers: &layers, into: &packet)
    } else {
      packet.accountedLength = UInt32(secondDatagram.count)
      carried =
        packets[fragment].ipVersion == 4
        ? decoder.decodeIPv4(secondDatagram.bytes, at: 0, layers: &layers, into: &packet)
        : decoder.decodeIPv6(secondDatagram.bytes, at: 0, layers: &layers, into: &packet)
    }
    packets[fragment].carriesPacket = true
    packets[fragment + 1] = packet
    return carried
  }
}

extension DecodedPacket {
  /// Takes over what a packet shares with the one it was found in.
  fileprivate mutating func inherit(from outer: DecodedPacket, at place: UInt32) {
    buffer = outer.buffer
    depth = outer.depth
    parent = UInt8(truncatingIfNeeded: place)
    vlanCount = outer.vlanCount
    vlans = outer.vlans
  }
}
