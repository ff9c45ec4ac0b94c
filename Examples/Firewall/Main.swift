internal import AllyTools
internal import ArgumentParser

/// `firewall`: a stateful packet filter as an appliance. The frames of a capture go over the wire into a simulated NIC,
/// complete in the DPI queue, are judged by a policy, and only what it accepts reaches the operating system's driver.
@main
struct Firewall: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "firewall",
    abstract: "Filters a capture by a policy in a subset of nftables' language.",
    discussion: """
      Prints the rules with their counters, as nft list ruleset does, and a summary. The language and its differences \
      to nft: Docs/FirewallPolicy.md. Exit statuses: Docs/ExitStatus.md.
      """)

  @OptionGroup var options: FirewallOptions
  @OptionGroup var interception: InterceptionOptions

  func run() throws {
    try Command.run("firewall") { () throws(CommandFailure) in
      try FirewallCommand(options: options).perform(through: interception.run)
    }
  }
}
