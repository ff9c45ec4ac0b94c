internal import AllyDPITools
internal import AllyTools
internal import ArgumentParser

/// `ids`: an intrusion detection appliance. The frames of a capture go over the wire into a simulated NIC, complete in the
/// DPI queue, are inspected by the DPI engine, and only what it accepts reaches the operating system's driver.
@main
struct IDS: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ids",
    abstract: "Inspects a capture on its way through a simulated NIC and the rings of a sequestered-core appliance.",
    discussion: "Writes eve.json into the log folder and prints a summary. Exit statuses: Docs/ExitStatus.md.")

  @OptionGroup var options: DPIOptions
  @OptionGroup var interception: InterceptionOptions

  func run() throws {
    try Command.run("ids") { () throws(CommandFailure) in
      try InspectCommand(name: "ids", options: options).perform(through: interception.run)
    }
  }
}
