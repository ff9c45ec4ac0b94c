internal import AllyPacket
internal import AllyTools
internal import ArgumentParser

/// What an operator asks of `firewall`.
struct FirewallOptions: ParsableArguments {
  @Option(
    name: [.short, .customLong("read")], help: ArgumentHelp("The capture, or a folder of captures.", valueName: "file"))
  var read: String?

  @Option(name: [.customShort("f"), .customLong("policy")], help: ArgumentHelp("The rules.", valueName: "file"))
  var policy: String

  @Option(
    name: [.short, .customLong("write")],
    help: ArgumentHelp("Where the accepted frames go, as pcap; appears when it is complete.", valueName: "file"))
  var write: String?

  @Option(
    name: .customLong("log"),
    help: ArgumentHelp("Where log statements write, one line for each packet.", valueName: "file"))
  var log: String?

  @Option(
    name: .customLong("host"), parsing: .singleValue,
    help: ArgumentHelp(
      "An address of the machine that the capture was taken at: frames from it are judged by output chains. "
        + "Without, every frame counts as received.", valueName: "address"),
    transform: OptionValue.read("an IPv4 or IPv6 address") { IPAddress($0) })
  var hosts: [IPAddress] = []

  @Flag(name: .customLong("pick-up"), help: "Track TCP connections that began before the capture.")
  var picksUpConnections = false

  @Flag(
    name: .customLong("ignore-windows"),
    help: "Do not check TCP sequence numbers, for captures that miss frames of a connection.")
  var ignoresWindows = false

  @Flag(name: .customLong("drop-without-ip"), help: "Drop frames that carry no IP packet, ARP included.")
  var dropsFramesWithoutIP = false

  @Option(
    name: .customLong("max-connections"),
    help: ArgumentHelp("The most connections tracked at once.", valueName: "count"),
    transform: OptionValue.number(1...10_000_000))
  var maximumConnections = 65_536

  @Flag(name: [.short, .customLong("check")], help: "Only read the policy, and say what is wrong with it.")
  var check = false
}
