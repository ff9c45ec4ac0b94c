import Testing

@testable import AllyDPI

/// `decoder`, `vlan` and link headers that few networks have.
@Suite struct TunnelSettingTests {
  private static let rules = """
    alert udp any any -> any 7000 (content:"inner"; sid:1;)
    alert pkthdr any any -> any any (decode-event:dce.pkt_too_small; sid:2;)
    """

  private static var inner: [UInt8] {
    TestFrame(source: "10.9.9.9", destinationPort: 7000, ipProtocol: 17, payload: Array("inner".utf8)).bytes
  }

  private func alerts(_ frame: [UInt8], _ configure: (inout DPIConfiguration) -> Void = { _ in }) throws -> [Int] {
    var engine = try TestEngine(Self.rules, configure)
    engine.send(frame)
    engine.finish()
    return engine.alerts
  }

  private func carried(_ payload: [UInt8], port: UInt16) -> [UInt8] {
    TestFrame(destinationPort: port, ipProtocol: 17, payload: payload).bytes
  }

  @Test func vxlanHasThePortsThatItIsGiven() throws {
    let vxlan: [UInt8] = [8, 0, 0, 0, 0, 0, 1, 0] + Self.inner
    #expect(try alerts(carried(vxlan, port: 4789)) == [1])
    #expect(try alerts(carried(vxlan, port: 4790)) == [])
    #expect(try alerts(carried(vxlan, port: 4790)) { $0.tunnels.vxlan = TunnelPorts([4789, 4790]) } == [1])
    #expect(try alerts(carried(vxlan, port: 4789)) { $0.tunnels.vxlan = .none } == [])
  }

  @Test func genevesToo() throws {
    let geneve: [UInt8] = [0, 0, 0x65, 0x58, 0, 0, 1, 0] + Self.inner
    #expect(try alerts(carried(geneve, port: 6081)) == [1])
    #expect(try alerts(carried(geneve, port: 6081)) { $0.tunnels.geneve = .none } == [])
  }

  @Test func teredoIsFoundAnywhere() throws {
    let datagram: [UInt8] = [0, 7, 0x1B, 0x58, 0, 13, 0, 0] + Array("inner".utf8)
    let packet: [UInt8] =
      [0x60, 0, 0, 0, 0, 13, 17, 64] + [UInt8](repeating: 0, count: 15) + [1] + [UInt8](repeating: 0, count: 15) + [2]
      + datagram
    #expect(try alerts(carried(packet, port: 5000)) == [1])
    #expect(try alerts(carried(packet, port: 5000)) { $0.tunnels.teredo = TunnelPorts([3544]) } == [])
    #expect(try alerts(carried(packet, port: 3544)) { $0.tunnels.teredo = TunnelPorts([3544]) } == [1])
    var hopless = packet
    hopless[7] = 0
    #expect(try alerts(carried(hopless, port: 5000)) == [])
  }

  @Test func dataCenterEthernetCarriesEthernet() throws {
    let link: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x89, 0x03]
    #expect(try alerts(link + [0, 1] + Self.inner) == [1])
    // Suricata's limit: the tag and a whole Ethernet header.
    #expect(try alerts(link + [UInt8](repeating: 0, count: 15)) == [2])
    #expect(try alerts(link + [UInt8](repeating: 0, count: 16)) == [])
  }

  @Test func vlansKeepFlowsApartUnlessTheyAreNotLookedAt() throws {
    func tagged(_ vlan: UInt8, _ text: String) -> [UInt8] {
      var frame = TestFrame(ipProtocol: 17, payload: Array(text.utf8)).bytes
      frame.insert(contentsOf: [0x81, 0, 0, vlan], at: 12)
      return frame
    }
    let rules = """
      alert udp any any -> any any (content:"first"; flowbits:set,seen; sid:1;)
      alert udp any any -> any any (content:"second"; flowbits:isset,seen; sid:2;)
      """
    for (tracks, expected) in [(true, [1]), (false, [1, 2])] {
      var engine = try TestEngine(rules) { $0.tracksVLANs = tracks }
      engine.send(tagged(1, "first"))
      engine.send(tagged(2, "second"))
      engine.finish()
      #expect(engine.alerts == expected)
    }
  }
}
