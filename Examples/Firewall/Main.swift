internal import AllyTools
internal import ArgumentParser

/// `firewall`: a stateful packet filter as an appliance. The frames of a capture, or those of guests, go over the wire into
/// a NIC, complete in the DPI queue, are judged by a policy, and only what it accepts reaches the operating system's driver.
@main
struct Firewall: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "firewall",
    abstract: "Filters a capture, or guests' traffic, by a policy in a subset of nftables' language.",
    discussion: """
      Guests are served until SIGINT or SIGTERM (Docs/AttachGuest.md). Prints the rules with their counters, as nft list ruleset does, and a summary. The language and its differences \
      to nft: Docs/FirewallPolicy.md. Exit statuses: Docs/ExitStatus.md.
      """)

  @OptionGroup var options: FirewallOptions
  @OptionGroup var interception: InterceptionOptions
  @OptionGroup var guests: GuestOptions
  @OptionGroup var core: CoreOptions
  @OptionGroup var apart: InspectorProcessOptions
  @OptionGroup var privileges: PrivilegeOptions

  func validate() throws {
    guard options.check || (options.read != nil) != guests.isWanted else {
      throw ValidationError(
        "expected a capture (--read FILE), a guest (--attach vfio-user:PATH --uplink …), or --check")
    }
    if core.areSaid, !guests.isWanted {
      throw ValidationError("--cpu, --wait, --realtime and --lock-memory go with --attach")
    }
    if apart.areSaid, !guests.isWanted {
      throw ValidationError("--inspector-process and --inspector-failure go with --attach")
    }
    if privileges.areSaid, !guests.isWanted {
      throw ValidationError("--user and --no-sandbox go with --attach")
    }
    if guests.isWanted, options.write != nil || !options.hosts.isEmpty {
      throw ValidationError(
        "--write and --host go with a capture: a guest gets what is accepted, and is the host itself")
    }
  }

  func run() throws {
    try Command.run("firewall") { () throws(CommandFailure) in
      let command = FirewallCommand(options: options)
      if guests.isWanted {
        return try command.perform(
          on: GuestRun(
            name: "firewall", options: guests, interception: interception, core: core, privileges: privileges),
          apart: apart)
      }
      return try command.perform(through: interception.run)
    }
  }
}
