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
    help: ArgumentHelp(
      "Bytes of each frame that are kept when listening (default: \(defaultLength)).", valueName: "bytes"),
    transform: OptionValue.number(of: "bytes", 64...defaultLength))
  var saidLength: Int?

  @Option(
    name: .customLong("ring-size"),
    help: ArgumentHelp(
      "Memory for frames that wait, for each interface (default: \(defaultMegabytes)).", valueName: "MiB"),
    transform: OptionValue.number(of: "MiB", 2...4096))
  var saidMegabytes: Int?

  @Flag(name: .customLong("no-promiscuous"), help: "Listen only to what is addressed to this machine, or sent by it.")
  var isSelective = false

  private static let defaultLength = 65_557
  private static let defaultMegabytes = 64

  public init() {}

  var longestFrame: Int { saidLength ?? Self.defaultLength }
  var ringMegabytes: Int { saidMegabytes ?? Self.defaultMegabytes }

  /// Whether anything is to be listened to at all.
  public var isWanted: Bool { !interfaces.isEmpty }

  public func validate() throws {
    guard isWanted || (saidLength == nil && saidMegabytes == nil && !isSelective) else {
      throw ValidationError("--snaplen, --ring-size and --no-promiscuous go with --interface")
    }
    guard Set(interfaces).count == interfaces.count else { throw ValidationError("--interface: one was named twice") }
    guard interfaces.allSatisfy({ (1...15).contains($0.utf8.count) && !$0.contains("/") }) else {
      throw ValidationError("--interface: expected an interface's name, of 1 to 15 bytes")
    }
  }
}
