internal import AllyDPITools
internal import AllyTools
internal import ArgumentParser

/// `ids`: an intrusion detection appliance. The frames of a capture, or those of guests, go over the wire into a NIC, complete
/// in the DPI queue, are inspected by the DPI engine, and only what it accepts reaches the operating system's driver.
@main
struct IDS: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ids",
    abstract: "Inspects a capture, or guests' traffic, behind the rings of a sequestered-core appliance.",
    discussion: """
      Writes eve.json into the log folder and prints a summary. Guests are served until SIGINT or SIGTERM \
      (Docs/AttachGuest.md). Exit statuses: Docs/ExitStatus.md.
      """)

  @OptionGroup var options: DPIOptions
  @OptionGroup var interception: InterceptionOptions
  @OptionGroup var guests: GuestOptions

  func validate() throws {
    guard (options.capture != nil) != guests.isWanted else {
      throw ValidationError("expected a capture (-r FILE) or a guest (--attach vfio-user:PATH --uplink …)")
    }
  }

  func run() throws {
    try Command.run("ids") { () throws(CommandFailure) in
      let command = InspectCommand(name: "ids", options: options)
      if guests.isWanted {
        return try command.perform(on: GuestRun(name: "ids", options: guests, interception: interception))
      }
      return try command.perform(through: interception.run)
    }
  }
}
