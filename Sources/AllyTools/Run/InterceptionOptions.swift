internal import AllyRings
public import ArgumentParser

/// What the operator sets on the interception itself, whatever inspects.
public struct InterceptionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How inspected frames are kept from changing: copy (between OS and DPI memory; a dropped frame leaves no trace) or in-place (no copy; the OS driver sees a dropped frame as a damaged one). Without: copy.",
      valueName: "copy|in-place"))
  var protection: Protection?

  public init() {}

  /// Whether anything was said at all.
  public var areSaid: Bool { protection != nil }

  /// The run that goes with the options.
  public var run: InterceptedRun { InterceptedRun(protection: level) }

  var level: PacketProtection { (protection ?? .copy).level }

  enum Protection: String, ExpressibleByArgument, CaseIterable {
    case copy
    case inPlace = "in-place"

    var level: PacketProtection {
      switch self {
      case .copy: .copyToDPIMemory
      case .inPlace: .inPlace
      }
    }
  }
}
