internal import AllyDPITools
internal import AllyTools
internal import ArgumentParser

/// `ids`: an intrusion detection appliance. The frames of a capture, or those of guests, go over the wire into a NIC, complete
/// in the DPI queue, are inspected by the DPI engine, and only what it accepts reaches the operating system's driver. Of
/// interfaces it hears copies.
@main
struct IDS: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ids",
    abstract: "Inspects a capture, or guests' traffic, behind the rings of a sequestered-core appliance; or listens.",
    discussion: """
      Writes eve.json into the log folder and prints a summary. Guests are served, and interfaces listened to, until SIGINT \
      or SIGTERM (Docs/AttachGuest.md, Docs/Interfaces.md). Exit statuses: Docs/ExitStatus.md.
      """)

  @OptionGroup var options: DPIOptions
  @OptionGroup var interception: InterceptionOptions
  @OptionGroup var guests: GuestOptions
  @OptionGroup var core: CoreOptions
  @OptionGroup var apart: InspectorProcessOptions
  @OptionGroup var interfaces: InterfaceOptions
  @OptionGroup var privileges: PrivilegeOptions

  func validate() throws {
    guard [options.capture != nil, guests.isWanted, interfaces.isWanted].count(where: \.self) == 1 else {
      throw ValidationError(
        "expected a capture (-r FILE), a guest (--attach vfio-user:PATH --uplink …) or an interface (--interface NAME)")
    }
    if core.areSaid, !guests.isWanted {
      throw ValidationError("--cpu, --wait, --realtime and --lock-memory go with --attach")
    }
    if apart.areSaid, !guests.isWanted {
      throw ValidationError("--inspector-process and --inspector-failure go with --attach")
    }
    if privileges.areSaid, options.capture != nil {
      throw ValidationError("--user and --no-sandbox go with --attach and --interface")
    }
    if interfaces.isWanted, interception.areSaid {
      throw ValidationError("--protection: whoever listens to an interface has copies; expected a capture or --attach")
    }
    if interfaces.isWanted, options.isInline {
      throw ValidationError("--inline: whoever listens to an interface cannot hold frames back; expected --attach")
    }
  }

  func run() throws {
    try Command.run("ids") { () throws(CommandFailure) in
      let command = InspectCommand(name: "ids", options: options)
      if guests.isWanted {
        return try command.perform(
          on: GuestRun(name: "ids", options: guests, interception: interception, core: core, privileges: privileges),
          apart: apart)
      }
      if interfaces.isWanted {
        return try command.perform(on: InterfaceRun(options: interfaces, privileges: privileges))
      }
      return try command.perform(through: interception.run)
    }
  }
}
