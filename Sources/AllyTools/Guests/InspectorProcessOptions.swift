internal import AllyHost
public import ArgumentParser

/// Whether the inspector of guests' frames is in a process of its own, and what happens without it.
public struct InspectorProcessOptions: ParsableArguments {
  @Flag(
    name: .customLong("inspector-process"),
    help: "Inspect in a process of its own, which sees frames alone and is started again when it ends.")
  public var isWanted = false

  @Option(
    name: .customLong("inspector-failure"),
    help: "With --inspector-process: what becomes of frames while there is no inspector, open (they pass) or closed.")
  var failure: Failure?

  /// `--inspector-failure`.
  enum Failure: String, ExpressibleByArgument, CaseIterable {
    case open, closed

    var mode: InspectorFailure {
      switch self {
      case .open: .open
      case .closed: .closed
      }
    }
  }

  public init() {}

  /// Whether anything was said at all.
  public var areSaid: Bool { isWanted || failure != nil }

  public func validate() throws {
    guard isWanted == (failure != nil) else {
      throw ValidationError("--inspector-process and --inspector-failure open|closed: expected both, or neither")
    }
  }
}
