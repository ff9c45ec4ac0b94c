public import ArgumentParser

/// Which interfaces are listened to, and how.
public struct InterfaceOptions: ParsableArguments {
  @Option(
    name: [.customShort("i"), .customLong("interface")], parsing: .singleValue,
    help: ArgumentHelp(
      "Listen to a network interface until SIGINT or SIGTERM; repeatable (Docs/Interfaces.md).", valueName: "name"))
  var interfaces: [String] = []

  @Option(
    name: .customLong("snaplen"),
    help: ArgumentHelp("Bytes of each frame that are kept when listening.", valueName: "bytes"))
  var longestFrame = 65_557

  @Option(
    name: .customLong("ring-size"),
    help: ArgumentHelp("Memory for frames that wait, for each interface.", valueName: "MiB"))
  var ringMegabytes = 64

  @Flag(name: .customLong("no-promiscuous"), help: "Listen only to what is addressed to this machine, or sent by it.")
  var isSelective = false

  public init() {}

  /// Whether anything is to be listened to at all.
  public var isWanted: Bool { !interfaces.isEmpty }

  public func validate() throws {
    guard Set(interfaces).count == interfaces.count else { throw ValidationError("--interface: one was named twice") }
    guard interfaces.allSatisfy({ (1...15).contains($0.utf8.count) && !$0.contains("/") }) else {
      throw ValidationError("--interface: expected an interface's name, of 1 to 15 bytes")
    }
    guard (64...65_557).contains(longestFrame) else {
      throw ValidationError("--snaplen: expected a number of bytes from 64 to 65557")
    }
    guard (2...4096).contains(ringMegabytes) else {
      throw ValidationError("--ring-size: expected a number of MiB from 2 to 4096")
    }
  }
}
