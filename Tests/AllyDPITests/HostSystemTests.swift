import AllyPacket
import Testing

@testable import AllyDPI

/// `host-os-policy`: whose copy of twice-sent data counts is up to the system that receives it.
@Suite struct HostSystemTests {
  @Test func theLongestPrefixCounts() {
    var hosts = HostSystems()
    let networks: [(String, HostSystems.System)] = [
      ("0.0.0.0/0", .windows), ("10.0.0.0/8", .linux), ("10.1.2.3", .solaris), ("2001:db8::/32", .macos),
    ]
    for (network, system) in networks {
      let isOne = hosts.add(network, system)
      #expect(isOne, "\(network)")
    }
    func system(_ text: String) -> HostSystems.System {
      hosts.system(of: IPAddressText.address(Array(text.utf8)[...])!)
    }
    #expect(system("192.0.2.1") == .windows)
    #expect(system("10.9.9.9") == .linux)
    #expect(system("10.1.2.3") == .solaris)
    #expect(system("2001:db8:1::1") == .macos)
    #expect(system("2001:db9::1") == .bsd, "nothing is said of it")
  }

  @Test(arguments: [
    "", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8/8", "2001:db8::/129", "host", "10.0.0.0/-1", "10.0.0.0/",
  ])
  func whatIsNoNetwork(_ text: String) {
    var hosts = HostSystems()
    let isOne = hosts.add(text, .linux)
    #expect(!isOne)
    #expect(hosts.isEmpty)
  }

  /// Four bytes and the same four again, as others, before the receiver acknowledges them.
  private func alerts(_ system: HostSystems.System?, server: String = "10.0.0.0/8") throws -> [Int] {
    var engine = try TestEngine(
      """
      alert tcp-stream any any -> any any (content:"GOOD"; sid:1;)
      alert tcp-stream any any -> any any (content:"EVIL"; sid:2;)
      """
    ) {
      $0.streamInline = nil
      if let system { _ = $0.hostSystems.add(server, system) }
    }
    var connection = Connection()
    connection.open(&engine)
    var again = connection.clientFrame("EVIL")
    again.flags = 0x18
    connection.client("GOOD", &engine)
    engine.send(again)
    connection.server("", &engine)
    connection.client("", &engine)
    engine.finish()
    return engine.alerts
  }

  @Test func segmentsThatComeTwice() throws {
    #expect(try alerts(nil) == [1])
    #expect(try alerts(.linux, server: "0.0.0.0/0") == [1])
    #expect(try alerts(.windows, server: "0.0.0.0/0") == [1])
    #expect(try alerts(.oldLinux, server: "0.0.0.0/0") == [2])
    #expect(try alerts(.solaris, server: "0.0.0.0/0") == [2])
    #expect(try alerts(.oldLinux, server: "203.0.113.0/24") == [1], "of another network")
  }
}
