import AllyPacket
import Testing

@testable import AllyDPI

@Suite("Decode: links and network headers")
struct DecodeNetworkTests {
  let hello = FrameBuilder.udp(1000, 53, FrameBuilder.text("hello"))
  var datagram: [UInt8] { FrameBuilder.ipv4(protocol: 17, hello) }

  private func expectHello(_ frame: [UInt8], _ linkType: LinkType, sourceLocation: SourceLocation = #_sourceLocation) {
    var dissector = FrameDissector()
    let seen = dissector.see(frame, linkType)
    #expect(seen.packets.count == 1, sourceLocation: sourceLocation)
    #expect(seen.last.transport == .udp, sourceLocation: sourceLocation)
    #expect(seen.lastPayload == "hello", sourceLocation: sourceLocation)
    #expect(seen.last.events.isEmpty, sourceLocation: sourceLocation)
  }

  @Test("every link type of captures leads to the same datagram")
  func links() {
    expectHello(FrameBuilder.ethernet(datagram), .ethernet)
    expectHello(datagram, .raw)
    expectHello(datagram, .ipv4)
    expectHello(FrameBuilder.ipv6(next: 17, hello), .ipv6)
    expectHello(FrameBuilder.ipv6(next: 17, hello), .raw)
    expectHello([2, 0, 0, 0] + datagram, .null)
    expectHello([0, 0, 0, 2] + datagram, .null)
    expectHello([30, 0, 0, 0] + FrameBuilder.ipv6(next: 17, hello), .null)
    expectHello([UInt8](repeating: 0, count: 14) + [0x08, 0] + datagram, .linuxSLL)
    expectHello([0x08, 0] + [UInt8](repeating: 0, count: 18) + datagram, .linuxSLL2)
    expectHello([0x0F, 0, 0x08, 0] + datagram, .ciscoHDLC)
  }

  @Test("MPLS and PPPoE belong to the link")
  func labels() {
    expectHello(FrameBuilder.ethernet(0x8847, [0, 1, 0x00, 64, 0, 2, 0x01, 64] + datagram), .ethernet)
    expectHello(
      FrameBuilder.ethernet(0x8847, [0, 1, 0x01, 64, 0, 0, 0, 0] + FrameBuilder.ethernet(datagram)), .ethernet)
    let session: [UInt8] = [0x11, 0, 0, 1] + FrameBuilder.bytes(UInt16(datagram.count + 2)) + [0, 0x21]
    expectHello(FrameBuilder.ethernet(0x8864, session + datagram), .ethernet)
  }

  @Test("up to three VLAN tags are taken off, a fourth is too much")
  func vlans() {
    func tagged(_ identifiers: [UInt16]) -> [UInt8] {
      var payload = datagram
      var type: UInt16 = 0x0800
      for identifier in identifiers.reversed() {
        payload = FrameBuilder.vlan(identifier, type, payload)
        type = 0x8100
      }
      return FrameBuilder.ethernet(type, payload)
    }
    var dissector = FrameDissector()
    let three = dissector.see(tagged([0x1FFF, 20, 30]))
    #expect(three.last.vlanCount == 3)
    #expect(three.last.vlans == (0xFFF, 20, 30))
    #expect(three.lastPayload == "hello")
    let four = dissector.see(tagged([1, 2, 3, 4]))
    #expect(four.last.events.contains(.vlanTooManyLayers))
    #expect(four.last.transport == .none)
  }

  @Test("an IPv4 header's fields are where they should be, and its padding is not payload")
  func ipv4() {
    var dissector = FrameDissector()
    let segment = FrameBuilder.udp(1000, 53, FrameBuilder.text("hello"))
    let frame = FrameBuilder.ethernet(
      FrameBuilder.ipv4(
        9, 8, protocol: 17, identification: 0xABCD, fragment: 0x4000, ttl: 3, options: [1, 1, 1, 0], segment)
        + [0xEE, 0xEE, 0xEE])
    let packet = dissector.see(frame).last
    #expect(packet.ipVersion == 4)
    #expect(packet.source == IPAddress(v4: 0x0A00_0009))
    #expect(packet.destination == IPAddress(v4: 0x0A00_0008))
    #expect(packet.hopLimit == 3)
    #expect(packet.fragment.identification == 0xABCD)
    #expect(packet.fragment.dontFragment)
    #expect(!packet.fragment.isFragment)
    #expect(packet.sourcePort == 1000 && packet.destinationPort == 53)
    #expect(packet.networkEnd == UInt32(frame.count - 3))
    #expect(packet.payloadRange == 46..<51)
    #expect(packet.flaws.isEmpty)
  }

  @Test(
    "a broken IPv4 header is named",
    arguments: [
      ([UInt8](repeating: 0x45, count: 19), DecoderEvent.ipv4PacketTooSmall),
      ([0x55] + [UInt8](repeating: 0, count: 30), .ipv4WrongIPVersion),
      ([0x44] + [UInt8](repeating: 0, count: 30), .ipv4HeaderLengthTooSmall),
      ([0x45, 0, 0, 19] + [UInt8](repeating: 0, count: 30), .ipv4LengthFieldSmallerThanHeaderLength),
      ([0x45, 0, 0, 200] + [UInt8](repeating: 0, count: 30), .ipv4TruncatedPacket),
    ])
  func brokenIPv4(_ bytes: [UInt8], _ event: DecoderEvent) {
    var dissector = FrameDissector()
    let packet = dissector.see(FrameBuilder.ethernet(bytes)).last
    #expect(packet.events.contains(event))
    #expect(packet.flaws.contains(.invalid))
    #expect(packet.ipVersion == 0)
    #expect(!packet.hasFlow)
  }

  @Test(
    "IPv4 options are checked for their form",
    arguments: [
      ([7, 3, 5, 0], DecoderEvent.ipv4OptionMalformed), ([7, 2, 0, 0], .ipv4OptionInvalidLength),
      ([68, 4, 5, 0], .ipv4OptionInvalidLength), ([99, 4, 0, 0], .ipv4OptionInvalid),
      ([1, 1, 1, 7], .ipv4OptionEndOfListRequired), ([148, 4, 0, 0, 148, 4, 0, 0], .ipv4OptionDuplicate),
      ([1, 1, 1, 0], .ipv4OptionPadRequired),
    ] as [([UInt8], DecoderEvent)])
  func optionsIPv4(_ options: [UInt8], _ event: DecoderEvent) {
    var dissector = FrameDissector()
    let packet = dissector.see(FrameBuilder.ipv4(protocol: 17, options: options, hello), .raw).last
    #expect(packet.events.contains(event))
    #expect(packet.ipVersion == 4)
  }

  @Test("IPv6 extension headers are walked through to the transport header")
  func ipv6Chain() {
    var dissector = FrameDissector()
    let hopByHop: [UInt8] = [43, 0, 5, 2, 0, 0, 1, 0]
    let routing: [UInt8] = [60, 0, 4, 0, 0, 0, 0, 0]
    let destination: [UInt8] = [51, 0, 0xC9, 4, 0, 0, 0, 0]
    let authentication: [UInt8] = [17, 2] + [UInt8](repeating: 0, count: 14)
    let chain = hopByHop + routing + destination + authentication + hello
    let seen = dissector.see(FrameBuilder.ipv6(next: 0, chain), .raw)
    #expect(seen.lastPayload == "hello")
    #expect(seen.last.ipProtocol == 17)
    #expect(seen.last.events.contains(.ipv6ExtensionHeaderInvalidOptionLength))
    #expect(!seen.last.events.contains(.ipv6RoutingHeaderType0))
  }

  @Test(
    "odd extension headers are named",
    arguments: [
      (UInt8(43), [17, 0, 0, 0, 0, 0, 0, 0], DecoderEvent.ipv6RoutingHeaderType0),
      (0, [17, 0, 1, 4, 0, 0, 0, 0], .ipv6HopByHopOptionsOnlyPadding),
      (60, [17, 0, 1, 0, 1, 2, 0, 0], .ipv6ZeroLengthPadN),
      (60, [17, 0, 9, 4, 0, 0, 0, 0], .ipv6DestinationOptionsUnknownOption),
      (0, [17, 9, 1, 4, 0, 0, 0, 0], .ipv6TruncatedExtensionHeader),
      (44, [17, 0, 0, 0, 0, 0, 0, 1], .ipv6ExtensionHeaderUselessFragmentHeader),
      (44, [17, 1, 0, 0, 0, 0, 0, 1], .ipv6FragmentHeaderNonZeroReservedField),
      (51, [17, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], .ipv6ExtensionHeaderAHReservedNotNull),
      (59, [1], .ipv6DataAfterNoneHeader), (1, [8, 0], .ipv6ICMPv4), (200, [], .ipv6UnknownNextHeader),
      (43, [43, 0, 4, 0, 0, 0, 0, 0, 17, 0, 4, 0, 0, 0, 0, 0], .ipv6ExtensionHeaderDuplicateRoutingHeader),
    ] as [(UInt8, [UInt8], DecoderEvent)])
  func oddIPv6(_ next: UInt8, _ header: [UInt8], _ event: DecoderEvent) {
    var dissector = FrameDissector()
    #expect(dissector.see(FrameBuilder.ipv6(next: next, header + hello), .raw).last.events.contains(event))
  }

  @Test("every event has a name of its own, by which it is found")
  func names() {
    for event in DecoderEvent.allCases { #expect(DecoderEvent.named(event.name.description) == event) }
    for event in StreamEvent.allCases { #expect(StreamEvent.named(event.name.description) == event) }
    #expect(DecoderEvent.named("ipv4.pkt_too_small") == .ipv4PacketTooSmall)
    #expect(StreamEvent.named("3whs_ack_in_wrong_dir") == .threeWayHandshakeACKInWrongDirection)
    #expect(DecoderEvent.named("ipv4.none") == nil)
  }
}

@Suite("Decode: transport headers")
struct DecodeTransportTests {
  @Test("a TCP header with its options")
  func tcp() {
    var dissector = FrameDissector()
    let options: [UInt8] =
      [2, 4, 0x05, 0xB4, 3, 3, 9, 4, 2, 8, 10] + FrameBuilder.bytes(UInt32(77)) + FrameBuilder.bytes(UInt32(88)) + [0]
    let segment = FrameBuilder.tcp(
      1234, 80, sequence: 0xFFFF_FFFF, acknowledgement: 5, flags: 0x12, window: 512, options: options,
      FrameBuilder.text("GET"))
    let seen = dissector.see(FrameBuilder.ipv4(protocol: 6, segment), .raw)
    let tcp = seen.last.tcp
    #expect(seen.last.flaws.isEmpty)
    #expect(seen.lastPayload == "GET")
    #expect(tcp.sequence == 0xFFFF_FFFF && tcp.acknowledgement == 5 && tcp.window == 512)
    #expect(tcp.isSYN && tcp.isACK && !tcp.isFIN && !tcp.isRST)
    #expect(tcp.maximumSegmentSize == 1460)
    #expect(tcp.windowScale == 9)
    #expect(tcp.timestampValue == 77 && tcp.timestampEcho == 88)
    #expect(tcp.options == [.maximumSegmentSize, .windowScale, .selectivePermitted, .timestamp])
  }

  @Test(
    "odd TCP headers are named",
    arguments: [
      ([UInt8](repeating: 0, count: 19), DecoderEvent.tcpPacketTooSmall),
      ([UInt8](repeating: 0, count: 12) + [0xF0, 2] + [UInt8](repeating: 0, count: 10), .tcpHeaderLengthTooSmall),
      ([UInt8](repeating: 0, count: 12) + [0x40, 2] + [UInt8](repeating: 0, count: 10), .tcpInvalidOptionLength),
      ([UInt8](repeating: 0, count: 12) + [0x60, 2, 0, 0, 0, 0, 0, 0, 2, 9, 0, 0], .tcpOptionInvalidLength),
      ([UInt8](repeating: 0, count: 12) + [0x70, 2, 0, 0, 0, 0, 0, 0, 3, 3, 1, 3, 3, 1, 0, 0], .tcpOptionDuplicate),
    ])
  func oddTCP(_ segment: [UInt8], _ event: DecoderEvent) {
    var dissector = FrameDissector(validatesChecksums: false)
    #expect(dissector.see(FrameBuilder.ipv4(protocol: 6, segment), .raw).last.events.contains(event))
  }

  @Test("a wrong checksum is seen, and not looked for when validation is off")
  func checksums() {
    let segment = FrameBuilder.tcp(1234, 80, sequence: 1, flags: 2, FrameBuilder.text("odd"))
    var good = FrameBuilder.ipv4(protocol: 6, segment)
    var validating = FrameDissector()
    var trusting = FrameDissector(validatesChecksums: false)
    #expect(validating.see(good, .raw).last.flaws.isEmpty)
    good[30] ^= 1
    #expect(validating.see(good, .raw).last.flaws == .transportChecksum)
    #expect(trusting.see(good, .raw).last.flaws.isEmpty)
    good[8] ^= 1
    #expect(validating.see(good, .raw).last.flaws == [.transportChecksum, .networkChecksum])
  }

  @Test("odd options are named and leave the packet as it is; options that cannot be told apart do not")
  func optionsAndPackets() {
    var dissector = FrameDissector(validatesChecksums: false)
    func see(_ options: [UInt8]) -> DecodedPacket {
      dissector.see(FrameBuilder.ipv4(protocol: 17, options: options, FrameBuilder.udp(1, 2, [65])), .raw).last
    }
    let odd = see([7, 3, 5, 0])
    #expect(odd.transport == .udp && odd.hasFlow && odd.flaws.isEmpty)
    let broken = see([7, 0, 5, 0])
    #expect(broken.ipVersion == 0 && broken.flaws.contains(.invalid) && !broken.hasFlow)
    #expect(broken.events.contains(.ipv4OptionInvalidLength))
  }

  @Test("TCP Fast Open under its own number and as the experiment it was")
  func fastOpen() {
    var dissector = FrameDissector(validatesChecksums: false)
    for options: [UInt8] in [[34, 2, 1, 1], [34, 6, 1, 2, 3, 4, 1, 1], [254, 4, 0xF9, 0x89]] {
      let segment = FrameBuilder.tcp(1, 2, sequence: 1, flags: TCPFlag.syn, options: options)
      let packet = dissector.see(FrameBuilder.ipv4(protocol: 6, segment), .raw).last
      #expect(packet.tcp.options == .fastOpen && packet.events.isEmpty)
    }
    let other = FrameBuilder.tcp(1, 2, sequence: 1, flags: TCPFlag.syn, options: [254, 4, 0, 1])
    #expect(dissector.see(FrameBuilder.ipv4(protocol: 6, other), .raw).last.tcp.options == [])
  }

  @Test("what has no transport header of its own has no payload: fragments, carriers, other protocols, broken headers")
  func payloads() {
    var dissector = FrameDissector()
    let inner = FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(1, 2, [65]))
    for datagram in [
      FrameBuilder.ipv4(protocol: 89, [1, 2, 3]), FrameBuilder.ipv4(protocol: 6, [1, 2, 3]),
      FrameBuilder.ipv4(protocol: 17, fragment: 0x2000, [1, 2, 3, 4, 5, 6, 7, 8]),
      FrameBuilder.ipv4(protocol: 4, inner),
    ] {
      #expect(dissector.see(datagram, .raw).first.payloadLength == 0)
    }
    #expect(
      dissector.see(FrameBuilder.ipv4(protocol: 50, [UInt8](repeating: 7, count: 11)), .raw).first.payloadLength == 3)
  }

  @Test("UDP: the length field rules, and a longer one is an error")
  func udp() {
    var dissector = FrameDissector()
    let shorter = FrameBuilder.udp(1, 2, length: 10, FrameBuilder.text("abcdef"))
    #expect(dissector.see(FrameBuilder.ipv4(protocol: 17, shorter), .raw).lastPayload == "ab")
    func event(_ segment: [UInt8], _ event: DecoderEvent) {
      #expect(dissector.see(FrameBuilder.ipv4(protocol: 17, segment), .raw).last.events.contains(event))
    }
    event(FrameBuilder.udp(1, 2, length: 100, []), .udpPacketTooSmall)
    event(FrameBuilder.udp(1, 2, length: 7, [1]), .udpLengthInvalid)
    event([0, 1, 0, 2, 0, 8, 0], .udpHeaderLengthTooSmall)
  }

  /// Eleven wrong ones in a hundred give doubt, eight do not; IPv4 headers and what tunnels carry do not count.
  @Test("checksums are not looked at when a network card was to compute them, but for what a tunnel carries")
  func doubtedChecksums() {
    let right = FrameBuilder.ipv4(protocol: 6, FrameBuilder.tcp(1, 2, sequence: 3, flags: 2))
    var wrong = right
    wrong[36] ^= 1
    let carried = FrameBuilder.ethernet(FrameBuilder.ipv4(protocol: 4, wrong))
    var wrongHeader = right
    wrongHeader[10] ^= 1
    func flaws(after sample: [(Int, [UInt8])]) -> (DecodedPacket.Flaws, DecodedPacket.Flaws) {
      var dissector = FrameDissector(doubtsChecksums: true)
      for (count, frame) in sample {
        for _ in 0..<count { _ = dissector.see(frame) }
      }
      return (dissector.see(FrameBuilder.ethernet(wrong)).last.flaws, dissector.see(carried).last.flaws)
    }
    let frames = (right: FrameBuilder.ethernet(right), wrong: FrameBuilder.ethernet(wrong))
    #expect(flaws(after: [(890, frames.right), (110, frames.wrong)]) == ([], .transportChecksum))
    #expect(flaws(after: [(920, frames.right), (80, frames.wrong)]) == (.transportChecksum, .transportChecksum))
    #expect(flaws(after: [(1000, carried)]) == (.transportChecksum, .transportChecksum))
    #expect(flaws(after: [(1000, FrameBuilder.ethernet(wrongHeader))]) == (.transportChecksum, .transportChecksum))
    #expect(flaws(after: [(999, frames.wrong)]) == (.transportChecksum, .transportChecksum))
  }

  @Test("UDP and ICMP checksums are there for who asks")
  func onDemand() {
    let payload = FrameBuilder.text("ab")
    var segment = FrameBuilder.udp(1, 2, payload)
    let pseudo: [UInt8] = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 10]
    segment.replaceSubrange(6..<8, with: FrameBuilder.bytes(FrameBuilder.checksum(pseudo + segment)))
    var dissector = FrameDissector()
    for (change, valid) in [(UInt8(0), true), (1, false)] {
      segment[9] ^= change
      let frame = FrameBuilder.ipv4(protocol: 17, segment)
      let packet = dissector.see(frame, .raw).last
      let isValid = unsafe Checksum.transportIsValid(packet, in: frame.span.bytes)
      #expect(isValid == valid)
    }
    let withoutChecksum = FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(1, 2, payload))
    let packet = dissector.see(withoutChecksum, .raw).last
    let isValid = unsafe Checksum.transportIsValid(packet, in: withoutChecksum.span.bytes)
    #expect(isValid)
  }

  @Test("ICMP: types, codes, identifiers and quotations")
  func icmp() {
    var dissector = FrameDissector()
    let echo = dissector.see(FrameBuilder.ipv4(protocol: 1, [8, 0, 0, 0, 0x12, 0x34, 0, 9, 65]), .raw)
    #expect(echo.last.transport == .icmpv4)
    #expect(echo.last.icmp.type == 8 && echo.last.icmp.identifier == 0x1234 && echo.last.icmp.sequence == 9)
    #expect(echo.lastPayload == "A")

    let quoted = FrameBuilder.ipv4(2, 1, protocol: 17, FrameBuilder.udp(53, 1000, []))
    let error = dissector.see(FrameBuilder.ipv4(protocol: 1, [3, 3, 0, 0, 0, 0, 0, 0] + quoted), .raw)
    #expect(error.last.icmp.hasQuotation)
    #expect(error.last.icmp.quotedSource == IPAddress(v4: 0x0A00_0002))
    #expect(error.last.icmp.quotedSourcePort == 53 && error.last.icmp.quotedDestinationPort == 1000)

    func event(_ message: [UInt8], _ event: DecoderEvent) {
      #expect(dissector.see(FrameBuilder.ipv4(protocol: 1, message), .raw).last.events.contains(event))
    }
    event([8, 0, 0], .icmpv4PacketTooSmall)
    event([8, 1, 0, 0, 0, 0, 0, 0], .icmpv4UnknownCode)
    event([99, 0, 0, 0, 0, 0, 0, 0], .icmpv4UnknownType)
    event([3, 1, 0, 0, 0, 0, 0, 0, 0x45], .icmpv4IPv4TruncatedPacket)
    event([3, 1, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0x65, count: 20), .icmpv4IPv4UnknownVersion)
    func event6(_ message: [UInt8], _ event: DecoderEvent) {
      #expect(dissector.see(FrameBuilder.ipv6(next: 58, message), .raw).last.events.contains(event))
    }
    event6([128, 1, 0, 0, 0, 0, 0, 0], .icmpv6UnknownCode)
    event6([131, 0, 0, 0, 0, 0, 0, 0], .icmpv6MLDMessageWithInvalidHopLimit)
    event6([50, 0, 0, 0, 0, 0, 0, 0], .icmpv6UnassignedType)
    event6([100, 0, 0, 0, 0, 0, 0, 0], .icmpv6ExperimentationType)
    event6([1, 0, 0, 0, 0, 0, 0, 0, 1], .icmpv6IPv6TruncatedPacket)
    #expect(
      dissector.see(FrameBuilder.ipv4(protocol: 58, [128, 0, 0, 0, 0, 0, 0, 0]), .raw).last.events.contains(.ipv4ICMPv6)
    )
  }

  @Test("SCTP: ports and chunks")
  func sctp() {
    var dissector = FrameDissector()
    let seen = dissector.see(
      FrameBuilder.ipv4(protocol: 132, [0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0] + FrameBuilder.text("chunk")), .raw)
    #expect(seen.last.transport == .sctp && seen.last.sourcePort == 7 && seen.last.destinationPort == 9)
    #expect(seen.lastPayload == "chunk")
  }
}

@Suite("Decode: packets in packets")
struct DecodeTunnelTests {
  let inner = FrameBuilder.ipv4(3, 4, protocol: 17, FrameBuilder.udp(1000, 53, FrameBuilder.text("inner")))
  var inner6: [UInt8] { FrameBuilder.ipv6(3, 4, next: 17, FrameBuilder.udp(1000, 53, FrameBuilder.text("inner"))) }

  private func expectInner(
    _ outer: [UInt8], _ origin: DecodedPacket.Origin, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    var dissector = FrameDissector()
    let seen = dissector.see(outer, .raw)
    #expect(seen.packets.count == 2, sourceLocation: sourceLocation)
    #expect(seen.first.carriesPacket, sourceLocation: sourceLocation)
    #expect(seen.first.origin == .wire, sourceLocation: sourceLocation)
    #expect(seen.last.origin == origin, sourceLocation: sourceLocation)
    #expect(seen.last.depth == 1, sourceLocation: sourceLocation)
    #expect(seen.lastPayload == "inner", sourceLocation: sourceLocation)
  }

  @Test("IP in IP, both versions both ways")
  func ipInIP() {
    expectInner(FrameBuilder.ipv4(protocol: 4, inner), .ipv4)
    expectInner(FrameBuilder.ipv4(protocol: 41, inner6), .ipv4)
    expectInner(FrameBuilder.ipv6(next: 4, inner), .ipv6)
    expectInner(FrameBuilder.ipv6(next: 41, inner6), .ipv6)
  }

  @Test("GRE with and without its optional fields, PPTP, and ERSPAN")
  func gre() {
    expectInner(FrameBuilder.ipv4(protocol: 47, [0, 0, 0x08, 0] + inner), .gre)
    expectInner(
      FrameBuilder.ipv4(protocol: 47, [0xB0, 0, 0x86, 0xDD] + [UInt8](repeating: 1, count: 12) + inner6), .gre)
    expectInner(FrameBuilder.ipv4(protocol: 47, [0, 0, 0x65, 0x58] + FrameBuilder.ethernet(inner)), .gre)
    expectInner(
      FrameBuilder.ipv4(protocol: 47, [0x20, 1, 0x88, 0x0B, 0, 0, 0, 0, 0xFF, 0x03, 0, 0x21] + inner), .gre)
    expectInner(
      FrameBuilder.ipv4(
        protocol: 47, [0x10, 0, 0x88, 0xBE, 0, 0, 0, 1, 0x10, 5, 0, 0, 0, 0, 0, 0] + FrameBuilder.ethernet(inner)), .gre
    )
    var dissector = FrameDissector()
    func event(_ header: [UInt8], _ event: DecoderEvent) {
      let seen = dissector.see(FrameBuilder.ipv4(protocol: 47, header), .raw)
      #expect(seen.last.events.contains(event))
      #expect(seen.packets.count == 1)
    }
    event([0, 0, 8], .grePacketTooSmall)
    event([0, 2, 8, 0], .greWrongVersion)
    event([1, 0, 8, 0], .greVersion0Recursion)
    event([0xB0, 0, 8, 0], .greVersion0HeaderTooBig)
    event([0x40, 0, 8, 0, 0, 0, 0, 0, 1], .greVersion0MalformedSREHeader)
    event([0, 1, 0x88, 0x0B], .greVersion1NoKey)
    event([0x20, 1, 0x08, 0], .greVersion1WrongProtocol)
  }

  @Test("tunnels over UDP: VXLAN, Geneve, Teredo")
  func udpTunnels() {
    let vxlan: [UInt8] = [8, 0, 0, 0, 0, 0, 1, 0]
    expectInner(
      FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(9, 4789, vxlan + FrameBuilder.ethernet(inner))), .vxlan)
    let geneve: [UInt8] = [1, 0, 0x65, 0x58, 0, 0, 1, 0, 9, 9, 9, 9]
    expectInner(
      FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(9, 6081, geneve + FrameBuilder.ethernet(inner))), .geneve)
    expectInner(FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(9, 3544, inner6)), .teredo)
    let origin: [UInt8] = [0, 0, 1, 2, 3, 4, 5, 6]
    expectInner(FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(3544, 9, origin + inner6)), .teredo)
    var dissector = FrameDissector()
    let address = dissector.see(
      FrameBuilder.ipv4(
        protocol: 17, FrameBuilder.udp(9, 4789, vxlan + FrameBuilder.ethernet(0x0806, [UInt8](repeating: 0, count: 28)))
      ),
      .raw)
    #expect(address.packets.count == 1 && address.first.payloadLength == 50)
    let plain = dissector.see(
      FrameBuilder.ipv4(protocol: 17, FrameBuilder.udp(9, 3544, FrameBuilder.text("plain"))), .raw)
    #expect(plain.packets.count == 1 && !plain.first.carriesPacket)
  }

  @Test("nesting ends where it has to")
  func depth() {
    var datagram = inner
    for _ in 0..<100 { datagram = FrameBuilder.ipv4(protocol: 4, datagram) }
    var dissector = FrameDissector()
    let seen = dissector.see(datagram, .raw)
    #expect(seen.packets.count <= FrameDissector.maximumPackets)
    #expect(seen.packets.count == Int(PacketDecoder.maximumLayers))
  }

  @Test("an inner packet keeps the VLAN of the frame")
  func vlan() {
    var dissector = FrameDissector()
    let seen = dissector.see(
      FrameBuilder.ethernet(0x8100, FrameBuilder.vlan(42, FrameBuilder.ipv4(protocol: 4, inner))))
    #expect(seen.last.vlans.0 == 42 && seen.last.depth == 1)
  }
}

@Suite("Decode: anything may come")
struct DecodeRobustnessTests {
  static let frames: [[UInt8]] = [
    FrameBuilder.ethernet(
      FrameBuilder.ipv4(protocol: 6, FrameBuilder.tcp(1, 2, sequence: 1, flags: 2, options: [2, 4, 5, 180]))),
    FrameBuilder.ethernet(
      FrameBuilder.ipv4(protocol: 17, options: [7, 7, 4, 0, 0, 0, 0, 0], FrameBuilder.udp(1, 2, [1, 2]))),
    FrameBuilder.ethernet(
      0x86DD,
      FrameBuilder.ipv6(
        next: 0, [44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 1, 58, 0, 1, 4, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0])),
    FrameBuilder.ethernet(
      0x8100,
      FrameBuilder.vlan(
        3, 0x8847,
        [0, 1, 1, 64]
          + FrameBuilder.ipv4(
            protocol: 47, [0x40, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0] + FrameBuilder.ipv4(protocol: 4, [])))),
    FrameBuilder.ethernet(0x8863, [0x11, 9, 0, 0, 0, 8, 1, 1, 0, 4, 1, 2, 3, 4]),
    FrameBuilder.ethernet(
      FrameBuilder.ipv4(
        protocol: 17,
        FrameBuilder.udp(
          5, 4789,
          [8, 0, 0, 0, 0, 0, 1, 0]
            + FrameBuilder.ethernet(
              FrameBuilder.ipv4(protocol: 1, [3, 3, 0, 0, 0, 0, 0, 0] + FrameBuilder.ipv4(protocol: 6, [0, 1, 0, 2])))))
    ),
  ]

  @Test("a frame cut at any length", arguments: frames)
  func cut(_ frame: [UInt8]) {
    var dissector = FrameDissector()
    for length in 0...frame.count {
      for linkType in [LinkType.ethernet, .raw, .null, .linuxSLL, .linuxSLL2, .ciscoHDLC] {
        #expect(dissector.see(Array(frame.prefix(length)), linkType).packets.count >= 1)
      }
    }
  }

  @Test("random bytes, and good frames with some bytes changed", arguments: 0..<8)
  func random(_ round: UInt64) {
    let seed = 0xA11C_E000 + round
    var generator = SeededGenerator(seed: seed)
    var dissector = FrameDissector(cap: 1 << 17)
    for step in 0..<600 {
      var frame =
        step % 4 == 0
        ? (0..<Int.random(in: 0...200, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        : Self.frames.randomElement(using: &generator)!
      if !frame.isEmpty {
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
          frame[Int.random(in: 0..<frame.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
      }
      let seen = dissector.see(frame, seconds: Double(step))
      #expect(seen.packets.count >= 1, "seed \(seed), step \(step)")
    }
  }
}
