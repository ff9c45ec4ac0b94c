import AllyPacket
import Testing

@testable import AllyDPI

/// Examples of the Community ID specification's baseline.
@Suite struct CommunityIDTests {
  private func flow(_ client: UInt32, _ clientPort: UInt16, _ server: UInt32, _ serverPort: UInt16, _ ipProtocol: UInt8)
    -> Flow
  {
    Flow(
      identifier: 1, client: IPAddress(v4: client), server: IPAddress(v4: server), clientPort: clientPort,
      serverPort: serverPort, ipProtocol: ipProtocol, vlan: 0, firstTime: 0, lastTime: 0)
  }

  private func text(_ flow: Flow) -> String { String(decoding: CommunityID.text(of: flow, seed: 0), as: UTF8.self) }

  @Test func bothDirectionsHaveOne() {
    // 128.232.110.120:34855 and 66.35.250.204:80 over TCP.
    let id = "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    #expect(text(flow(0x80E8_6E78, 34855, 0x4223_FACC, 80, 6)) == id)
    #expect(text(flow(0x4223_FACC, 80, 0x80E8_6E78, 34855, 6)) == id)
  }

  @Test func datagrams() {
    // 192.168.1.52:54585 and 8.8.8.8:53 over UDP.
    #expect(text(flow(0xC0A8_0134, 54585, 0x0808_0808, 53, 17)) == "1:d/FP5EW3wiY1vCndhwleRRKHowQ=")
  }

  /// As Suricata 7.0.10 has it: which port comes first is told by their low bytes.
  @Test func aHostThatTalksToItself() {
    for (client, server) in [(55813, 8000), (8000, 55813)] as [(UInt16, UInt16)] {
      #expect(text(flow(0x7F00_0001, client, 0x7F00_0001, server, 6)) == "1:ozSDO1VGhwLXbwYBhdD+9aJx8Z4=")
    }
  }

  /// As Suricata 7.0.10 has it: 190.0.0.1 and 190.0.0.2 over ESP, SPI 321.
  @Test func securityAssociations() {
    var flow = flow(0xBE00_0001, 0, 0xBE00_0002, 0, 50)
    flow.securityParametersIndex = 321
    #expect(text(flow) == "1:H409JDqaSAQ0qubkO2Y3GfaJUW0=")
  }
}
