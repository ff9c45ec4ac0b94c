import AllyFirewall
import AllyPacket
import AllyRings
import AllyTools
import Foundation
import Testing

/// What senders hear of the frames that an appliance rejects, in a run of a capture through the simulated machine.
@Suite struct RejectTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A TCP segment with SYN from 192.0.2.1 to port 23 of 198.51.100.2.
  private static let syn: [UInt8] =
    [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]
    + [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]
    + [200, 0, 0, 23, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 16, 0, 0, 0, 0, 0]

  private func capture() throws -> String {
    var capture = CaptureBytes()
    capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 1))
    capture.addFrame(Self.syn)
    capture.addFrame(CaptureBytes.udpFrame(payload: "goodbye", flow: 2))
    capture.addFrame(CaptureBytes.udpFrame(payload: "hello", flow: 3))
    return try folder.write("in.pcap", capture.bytes)
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func aFirewallTellsSenders(protection: PacketProtection) throws {
    let policy = try FirewallPolicy(
      """
      table inet t {
        chain input {
          type filter hook input priority 0; policy accept;
          tcp dport 23 reject with tcp reset
          udp sport 1026 reject with icmp type host-unreachable
        }
      }
      """, file: "policy")
    var firewall = FirewallInspector(policy: policy)
    let sent = Sent()
    var run = InterceptedRun(protection: protection)
    run.sent = { bytes in
      sent.frames.append((0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) })
    }
    var reader = try CaptureReader(path: try capture())
    var delivered = 0
    let summary = try run.inspect(&reader, inspecting: &firewall) { _ throws(CommandFailure) in delivered += 1 }
    #expect(summary.counts.accepted == 2 && summary.counts.rejected == 2 && summary.delivered == 2 && delivered == 2)
    #expect(summary.interception?.answers == 2)
    try #require(sent.frames.count == 2)
    let (reset, error) = (sent.frames[0], sent.frames[1])
    // From the port that was asked, to who asked: RST and ACK of the SYN.
    #expect(reset.prefix(12) == [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
    #expect(reset[26..<48] == [198, 51, 100, 2, 192, 0, 2, 1, 0, 23, 200, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0x50, 0x14])
    // ICMP, destination unreachable, host; behind it the datagram's headers.
    #expect(error[23] == 1 && error[34] == 3 && error[35] == 1)
    #expect(error[30..<34] == [192, 0, 2, 1])
    #expect(error[42..<46] == [0x45, 0, 0, 35], "the rejected datagram's header")
  }

  /// `ids` tells whom its rules name: each rule that a packet matches.
  @Test(
    arguments: [
      (["reject"], 2), (["rejectsrc"], 2), (["rejectdst"], 1), (["rejectboth"], 3), (["reject", "rejectdst"], 3),
    ])
  func idsTellsWhomItsRulesName(actions: [String], answers: Int) throws {
    let rules = try folder.write(
      "reject.rules",
      actions.enumerated().map { index, action in
        """
        \(action) tcp any any -> any 23 (msg:"Telnet"; flags:S; sid:\(2 * index + 1);)
        \(action) udp any any -> any 53 (msg:"goodbye"; content:"goodbye"; sid:\(2 * index + 2);)

        """
      }.joined())
    let result = try CommandRun.run(
      "ids", ["-r", try capture(), "-S", rules, "-l", folder.path, "--inline"], in: folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains(" 2  rejected\n"), "\(result.output)")
    #expect(result.output.contains(" \(answers)  frames of the appliance's own\n"), "\(result.output)")
    #expect(result.output.contains(" 2  frames delivered to the OS driver\n"), "\(result.output)")
    let passive = try CommandRun.run("ids", ["-r", try capture(), "-S", rules, "-l", folder.path], in: folder)
    #expect(!passive.output.contains("appliance's own"))
  }
}

private final class Sent {
  var frames: [[UInt8]] = []
}
