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
      (one + ["guest:two"], "guest:two"),
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
}
