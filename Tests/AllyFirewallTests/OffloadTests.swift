import AllyFirewall
import AllyPacket
import Testing

/// Frames of an OS that leaves work to its NIC: checksums that are not there yet, and frames that are cut into segments on
/// the way to the wire, whose length field the NIC writes.
@Suite struct OffloadTests {
  private static let policy = """
    table ip filter {
      chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established accept
        tcp dport 443 ct state new accept
        tcp sport 443 ct state new reject with tcp reset
      }
    }
    """

  /// The IP header's length field of a frame with an Ethernet header.
  private func withLength(_ length: UInt16, _ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    bytes[16] = UInt8(length >> 8)
    bytes[17] = UInt8(length & 255)
    return bytes
  }

  private func judge(
    _ firewall: inout FirewallInspector, _ bytes: [UInt8], _ direction: Direction, _ offloads: FrameOffloads = .none
  ) -> Verdict {
    let stamp = FrameStamp(time: 1_700_000_000_000_000_000, ordinal: 1, lengthOnWire: UInt32(bytes.count))
    // The span is of plain bytes, all of which are initialized.
    let packet = unsafe Packet(bytes: bytes.span.bytes, stamp: stamp, direction: direction, offloads: offloads)
    return firewall.inspect(packet)
  }

  /// What the field says is not what is sent: 0 of stock drivers, and whatever a driver that means harm writes.
  @Test(arguments: [0, 40, 41, 1500, 20_040, 65_535] as [UInt16])
  func `A frame to be segmented is as long as it is, whatever its IP header says`(length: UInt16) throws {
    var firewall = FirewallInspector(policy: try FirewallPolicy(Self.policy))
    let open = TestPacket().with { $0.transport = .tcp(.syn, sequence: 999) }
    #expect(judge(&firewall, open.bytes, .transmit) == .accept)
    let answer = open.reply.with { $0.transport = .tcp([.syn, .ack], sequence: 4_999, acknowledgment: 1_000) }
    #expect(judge(&firewall, answer.bytes, .receive) == .accept)

    let data = open.with {
      $0.transport = .tcp(.ack, sequence: 1_000, acknowledgment: 5_000)
      $0.payload = Array(repeating: 7, count: 20_000)
    }
    let offloads = FrameOffloads(
      ipChecksum: true, transportChecksum: true, segmentSize: 1_460, headerLength: 54)
    #expect(judge(&firewall, withLength(length, data.bytes), .transmit, offloads) == .accept)

    // All of it was sent, and may be acknowledged; one byte more may not.
    let beyond = answer.with { $0.transport = .tcp(.ack, sequence: 5_000, acknowledgment: 21_001) }
    #expect(judge(&firewall, beyond.bytes, .receive) != .accept)
    let whole = answer.with { $0.transport = .tcp(.ack, sequence: 5_000, acknowledgment: 21_000) }
    #expect(judge(&firewall, whole.bytes, .receive) == .accept)
    #expect(firewall.statistics.malformed == 0)
  }

  @Test func `The same frame without segmentation is malformed when its length lies`() throws {
    var firewall = FirewallInspector(policy: try FirewallPolicy(Self.policy))
    let open = TestPacket().with { $0.transport = .tcp(.syn, sequence: 999) }
    #expect(judge(&firewall, withLength(1_500, open.bytes), .transmit) == .drop)
    #expect(firewall.statistics.malformed == 1)
  }

  @Test func `The segments' length is the receiver's own business`() throws {
    // A received frame is never to be segmented, whatever its offloads say.
    let open = TestPacket().with { $0.payload = [1, 2, 3] }
    let bytes = withLength(40, open.bytes)
    // The span is of plain bytes, all of which are initialized.
    let packet = unsafe Packet(
      bytes: bytes.span.bytes, stamp: FrameStamp(lengthOnWire: UInt32(bytes.count)), direction: .receive,
      offloads: FrameOffloads(segmentSize: 1_460))
    #expect(PacketLayers(of: packet).networkLength == 40)
  }
}
