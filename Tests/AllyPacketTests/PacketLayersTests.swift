import AllyPacket
import Testing

@Suite struct PacketLayersTests {
  private func layers(_ name: String) throws -> PacketLayers {
    let sample = try #require(SampleFrames.all.first { $0.name == name })
    return PacketLayers(of: sample.bytes, linkType: sample.linkType)
  }

  @Test func `A TCP segment's addresses, ports, flags and offsets are read`() throws {
    let tcp = try layers("tcp")
    #expect(tcp.defect == nil)
    #expect(tcp.network == .ipv4)
    #expect(tcp.source == IPAddress("192.0.2.1"))
    #expect(tcp.destination == IPAddress("198.51.100.7"))
    #expect(tcp.ipProtocol == .tcp)
    #expect(tcp.timeToLive == 64)
    #expect(tcp.sourcePort == 40_000)
    #expect(tcp.destinationPort == 443)
    #expect(tcp.tcpFlags == [.syn, .ack])
    #expect([tcp.networkOffset, tcp.transportOffset, tcp.payloadOffset, tcp.endOffset] == [14, 34, 54, 57])
    #expect(tcp.networkLength == 43)
    #expect(!tcp.fragment.isFragment)
  }

  @Test func `Options move what follows them`() throws {
    let tcp = try layers("tcp with options")
    #expect([tcp.transportOffset, tcp.payloadOffset] == [38, 62])
    #expect(tcp.destinationPort == 443)
  }

  @Test func `VLAN tags are stepped over and told`() throws {
    #expect(try layers("vlan").vlan == 0x64)
    #expect(try layers("vlan").destinationPort == 53)
    let two = try layers("two tags")
    #expect(two.vlan == 6 << 16 | 5)
    #expect(two.icmpType == 128)
    #expect(two.networkOffset == 22)
  }

  @Test func `Four tags are stepped over, a fifth is a defect`() {
    let tag: (UInt16, UInt16) = (0x8100, 1)
    let packet = SampleFrames.ipv4(17, SampleFrames.udp())
    let four = SampleFrames.ethernet(0x0800, tags: [tag, tag, tag, tag], packet)
    #expect(PacketLayers(of: four, linkType: .ethernet).destinationPort == 53)
    let five = SampleFrames.ethernet(0x0800, tags: [tag, tag, tag, tag, tag], packet)
    let layers = PacketLayers(of: five, linkType: .ethernet)
    #expect(layers.defect == .tooManyVLANTags)
    #expect(layers.network == .other)
  }

  @Test func `IPv6 extension headers are stepped over`() throws {
    let layers = try layers("extension headers")
    #expect(layers.defect == nil)
    #expect(layers.headerProtocol == .hopByHop)
    #expect(layers.ipProtocol == .tcp)
    #expect(layers.destinationPort == 443)
    #expect(layers.transportOffset == 14 + 40 + 8 + 16 + 8 + 12 + 8)
    #expect(!layers.fragment.isFragment)
  }

  @Test func `Eight extension headers are stepped over, a ninth is a defect`() {
    func chain(_ count: Int) -> [UInt8] {
      var payload: [UInt8] = []
      for index in 0..<count { payload += [index == count - 1 ? 17 : 60, 0, 1, 4, 0, 0, 0, 0] }
      return SampleFrames.ipv6(60, payload + SampleFrames.udp())
    }
    #expect(PacketLayers(of: chain(8), linkType: .raw).destinationPort == 53)
    #expect(PacketLayers(of: chain(9), linkType: .raw).defect == .badExtensionHeader)
  }

  @Test func `A first fragment has ports, a later one has none`() throws {
    let first = try layers("first fragment")
    #expect(first.fragment.moreFollow)
    #expect(first.fragment.identification == 0x1234)
    #expect(first.destinationPort == 53)
    let later = try layers("later fragment")
    #expect(later.fragment.isLater)
    #expect(later.fragment.offset == 16)
    #expect(later.fragment.pieceOffset == 34)
    #expect(!later.hasTransport)
    #expect(later.ipProtocol == .udp)
    let six = try layers("later fragment, IPv6")
    #expect(six.fragment.offset == 16)
    #expect(six.fragment.identification == 0x10002)
    #expect(!six.hasTransport)
    #expect(six.defect == nil)
  }

  @Test func `Every link layer leads to the same packet`() throws {
    for name in ["raw", "null, little-endian", "cooked", "hdlc"] {
      #expect(try layers(name).source == IPAddress("192.0.2.1"), "\(name)")
      #expect(try layers(name).hasTransport, "\(name)")
    }
    for name in ["raw, IPv6", "null, big-endian", "cooked 2"] {
      #expect(try layers(name).source == IPAddress("2001:db8::1"), "\(name)")
      #expect(try layers(name).hasTransport, "\(name)")
    }
    let unknown = PacketLayers(of: SampleFrames.all[0].bytes, linkType: LinkType(rawValue: 127))
    #expect(unknown.defect == .unknownLinkType)
  }

  @Test func `What is no IP packet has no network layer and no defect`() throws {
    let arp = try layers("arp")
    #expect(arp.network == .other)
    #expect(arp.etherType == .arp)
    #expect(arp.defect == nil)
  }

  @Test func `Ethernet padding is no payload`() {
    let frame = SampleFrames.ethernet(0x0800, SampleFrames.ipv4(17, SampleFrames.udp([1])) + [0, 0, 0, 0, 0])
    let layers = PacketLayers(of: frame, linkType: .ethernet)
    #expect(layers.endOffset - layers.payloadOffset == 1)
  }

  @Test func `A header that the padding would complete is not whole`() {
    let short = SampleFrames.ipv4(17, totalLength: 24, SampleFrames.udp())
    let layers = PacketLayers(of: SampleFrames.ethernet(0x0800, short), linkType: .ethernet)
    #expect(layers.defect == .badTransportHeader)
    #expect(!layers.hasTransport)
  }

  @Test func `A total length of zero reaches to the end, as in a frame to be segmented`() {
    let four = SampleFrames.ipv4(6, totalLength: 0, SampleFrames.tcp([1, 2, 3]))
    #expect(PacketLayers(of: four, linkType: .raw).networkLength == 43)
    let six = SampleFrames.ipv6(6, payloadLength: 0, SampleFrames.tcp([1, 2, 3]))
    #expect(PacketLayers(of: six, linkType: .raw).networkLength == 63)
  }

  @Test func `A packet longer than its frame is a defect, unless the capture cut it`() {
    let packet = SampleFrames.ipv4(6, totalLength: 90, SampleFrames.tcp([1, 2, 3]))
    #expect(PacketLayers(of: packet, linkType: .raw).defect == .lengthBeyondFrame)
    let cut = PacketLayers(of: packet, linkType: .raw, lengthOnWire: 90)
    #expect(cut.defect == nil)
    #expect(cut.networkLength == 90)
    #expect(cut.endOffset == 43)
  }

  @Test(arguments: [
    (0, UInt8(0x55), PacketDefect.badNetworkHeader), (0, 0x44, .badNetworkHeader), (3, 19, .badNetworkHeader),
    (0, 0x4F, .badNetworkHeader), (32, 0x40, .badTransportHeader), (32, 0xF0, .badTransportHeader),
  ])
  func `A header that contradicts itself is a defect`(offset: Int, value: UInt8, defect: PacketDefect) {
    var packet = SampleFrames.ipv4(6, SampleFrames.tcp())
    #expect(PacketLayers(of: packet, linkType: .ipv4).defect == nil)
    packet[offset] = value
    #expect(PacketLayers(of: packet, linkType: .ipv4).defect == defect)
  }

  @Test func `An IPv6 packet between IPv4-mapped addresses is an IPv6 packet`() {
    var packet = SampleFrames.ipv6(17, SampleFrames.udp())
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]
    packet.replaceSubrange(8..<24, with: mapped)
    let layers = PacketLayers(of: packet, linkType: .raw)
    #expect(layers.source.isIPv4)
    #expect(layers.network == .ipv6)
  }

  @Test func `ICMP within IPv6 and ICMPv6 within IPv4 are not read as their own`() {
    let six = SampleFrames.ipv6(1, SampleFrames.icmp(type: 8))
    #expect(!PacketLayers(of: six, linkType: .raw).hasTransport)
    let four = SampleFrames.ipv4(58, SampleFrames.icmp(type: 128))
    #expect(!PacketLayers(of: four, linkType: .raw).hasTransport)
  }

  @Test func `A quoted packet gives its ports from eight bytes`() {
    let quoted = Array(SampleFrames.ipv4(6, SampleFrames.tcp([1, 2, 3])).prefix(28))
    let layers = PacketLayers(ofNetworkPacket: quoted, cut: true)
    #expect(layers.defect == nil)
    #expect(layers.sourcePort == 40_000)
    #expect(!layers.hasTransport)
    #expect(PacketLayers(ofNetworkPacket: quoted).defect == .lengthBeyondFrame)
  }

  // MARK: Any input

  /// What holds whatever the bytes are.
  private func checkBounds(_ layers: PacketLayers, _ count: Int, _ context: @autoclosure () -> String) {
    let count = UInt32(count)
    #expect(layers.networkOffset <= count, "\(context())")
    if layers.network == .other || layers.defect?.isBelowTransport == true {
      #expect(!layers.hasTransport, "\(context())")
    } else {
      #expect(
        layers.networkOffset <= layers.transportOffset && layers.payloadOffset >= layers.transportOffset
          && layers.endOffset <= count, "\(context())")
      if layers.defect == nil { #expect(layers.payloadOffset <= layers.endOffset, "\(context())") }
    }
    if layers.hasTransport { #expect(layers.defect == nil && !layers.fragment.isLater, "\(context())") }
  }

  @Test func `A frame cut anywhere is either whole or has a defect`() {
    for sample in SampleFrames.all {
      let whole = PacketLayers(of: sample.bytes, linkType: sample.linkType)
      #expect(whole.defect == nil, "\(sample.name)")
      for length in 0..<sample.bytes.count {
        let cut = Array(sample.bytes.prefix(length))
        let onWire = PacketLayers(of: cut, linkType: sample.linkType)
        checkBounds(onWire, length, "\(sample.name) cut to \(length)")
        if whole.network != .other {
          #expect(onWire.defect != nil, "\(sample.name) cut to \(length)")
        }
        let captured = PacketLayers(
          of: cut, linkType: sample.linkType, lengthOnWire: sample.bytes.count)
        checkBounds(captured, length, "\(sample.name) captured to \(length)")
        // What the capture kept is read as if nothing were missing.
        let headersEnd = whole.network == .other ? whole.networkOffset : whole.payloadOffset
        #expect((captured.defect == nil) == (length >= Int(headersEnd)), "\(sample.name) captured to \(length)")
        if captured.defect == nil {
          #expect(captured.destinationPort == whole.destinationPort)
          #expect(captured.networkLength == whole.networkLength)
          #expect(captured.endOffset == min(whole.endOffset, UInt32(length)) || whole.network == .other)
        }
      }
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `Random and damaged frames keep every offset in bounds`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let linkTypes: [LinkType] = [.ethernet, .raw, .null, .linuxSLL, .linuxSLL2, .ciscoHDLC, .ipv4, .ipv6]
    for round in 0..<30_000 {
      var bytes: [UInt8]
      let linkType: LinkType
      if round % 3 == 0 {
        bytes = (0..<Int.random(in: 0...120, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        linkType = linkTypes.randomElement(using: &random) ?? .ethernet
      } else {
        let sample = SampleFrames.all[Int.random(in: 0..<SampleFrames.all.count, using: &random)]
        bytes = sample.bytes
        linkType = sample.linkType
        for _ in 0..<Int.random(in: 1...6, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        bytes.removeLast(Int.random(in: 0...8, using: &random))
      }
      let lengthOnWire = Bool.random(using: &random) ? 0 : Int.random(in: 0...70_000, using: &random)
      let layers = PacketLayers(of: bytes, linkType: linkType, lengthOnWire: lengthOnWire)
      checkBounds(layers, bytes.count, "seed \(seed), round \(round)")
      _ = PacketLayers(ofNetworkPacket: bytes, cut: true)
    }
  }
}
