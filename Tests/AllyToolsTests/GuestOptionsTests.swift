import AllyHost
import ArgumentParser
import Testing

@testable import AllyTools

@Suite struct GuestOptionsTests {
  private static let one = ["--attach", "vfio-user:one", "--uplink"]
  private static let two = ["--attach", "vfio-user:two", "--uplink"]

  @Test func twoGuestsShareACable() throws {
    let options = try GuestOptions.parse(Self.one + ["guest"] + Self.two + ["guest", "--qemu", "qemu", "--nic", "igb"])
    #expect(options.uplinks.map(\.kind) == [.guest, .guest])
    #expect(options.qemu == "qemu")
  }

  @Test(
    arguments: [
      (one + ["guest"], "1 --uplink guest: expected two for each pair of guests"),
      (one + ["guest"] + two + ["tap:ally0"], "1 --uplink guest: expected two for each pair of guests"),
      (one + ["guest:two"], "'guest:two' is invalid for '--uplink"),
      (one + ["tap:"], "expected tap:NAME or packet:NAME, a name of 1 to 15 bytes; unix:LOCAL,REMOTE"),
      (["--attach", "vfio:one", "--uplink", "guest"], "expected vfio-user:PATH or vhost-user:PATH"),
      (["--attach", "vfio-user:", "--uplink", "guest"], "expected vfio-user:PATH or vhost-user:PATH"),
      (["--nic", "igb"], "--nic goes with --attach"),
      (one + ["tap:ally0", "--keep", "fail-open", "--control", ""], "expected a path of 1 to 107 bytes"),
      (one + ["tap:ally0", "--keep", "fail-open", "--record", "out.pcap"], "--record with --keep"),
      (["--qemu", "qemu"], "--qemu goes with --attach"),
      (one + ["tap:ally0", "--qemu", "qemu", "--keep", "fail-open"], "--qemu with --keep"),
      (
        ["--attach", "vhost-user:one", "--uplink", "tap:ally0", "--nic", "virtio-net", "--qemu", "qemu"],
        "--qemu with --nic virtio-net"
      ),
    ] as [([String], String)])
  func whatDoesNotGoTogetherIsAUsageError(_ arguments: [String], _ reason: String) {
    let error = #expect(throws: (any Error).self) { _ = try GuestOptions.parse(arguments) }
    #expect(error.map { GuestOptions.exitCode(for: $0).rawValue } == 64)
    #expect(error.map { GuestOptions.fullMessage(for: $0).contains(reason) } == true)
  }

  @Test(
    arguments: [
      (["--cpu", "many"], "expected a number from 0 to 1023"), (["--cpu", "1024"], "expected a number from 0 to 1023"),
      (["--realtime", "0"], "expected a number from 1 to 99"),
    ] as [([String], String)])
  func numbersHaveARange(_ arguments: [String], _ reason: String) {
    let error = #expect(throws: (any Error).self) { _ = try CoreOptions.parse(arguments) }
    #expect(error.map { CoreOptions.exitCode(for: $0).rawValue } == 64)
    #expect(error.map { CoreOptions.fullMessage(for: $0).contains(reason) } == true)
  }

  @Test(
    arguments: [
      (["-i", "lo", "--snaplen", "63"], "expected a number of bytes from 64 to 65557"),
      (["-i", "lo", "--ring-size", "99999999999999999999"], "expected a number of MiB from 2 to 4096"),
      (["--snaplen", "64"], "go with --interface"), (["--no-promiscuous"], "go with --interface"),
    ] as [([String], String)])
  func listeningHasLimits(_ arguments: [String], _ reason: String) {
    let error = #expect(throws: (any Error).self) { _ = try InterfaceOptions.parse(arguments) }
    #expect(error.map { InterfaceOptions.fullMessage(for: $0).contains(reason) } == true)
  }

  @Test func listeningTakesWholeFramesUnlessItIsTold() throws {
    let options = try InterfaceOptions.parse(["-i", "lo"])
    #expect(options.longestFrame == 65_557 && options.ringMegabytes == 64)
    #expect(try InterfaceOptions.parse(["-i", "lo", "--snaplen", "64"]).longestFrame == 64)
  }
}
