internal import AllyHost
public import ArgumentParser

/// Where and how the DPI core of guests runs.
public struct CoreOptions: ParsableArguments {
  @Option(
    name: .customLong("cpu"),
    help: ArgumentHelp(
      "The processor that frames are inspected on; its NUMA node gives the memory.", valueName: "number"),
    transform: OptionValue.number(0...1023))
  var processor: Int?

  @Option(
    name: .customLong("wait"),
    help: "How the core waits: interrupt (sleeps), poll (never), or adaptive (looks a while longer, then sleeps).")
  var waiting: CoreWaiting = .adaptive

  @Option(
    name: .customLong("realtime"),
    help: ArgumentHelp("Real-time priority of the core (SCHED_FIFO), 1 to 99.", valueName: "priority"),
    transform: OptionValue.number(1...99))
  var priority: Int?

  @Flag(name: .customLong("lock-memory"), help: "Keep memory that was touched from being paged out.")
  var locksMemory = false

  public init() {}

  public func validate() throws {
    if waiting == .poll, priority != nil, processor == nil {
      throw ValidationError("--wait poll with --realtime takes a whole processor: expected --cpu")
    }
  }

  /// Whether anything was said at all.
  public var areSaid: Bool { processor != nil || waiting != .adaptive || priority != nil || locksMemory }

  var settings: CoreSettings {
    var settings = CoreSettings()
    settings.processor = processor
    settings.waiting = waiting
    settings.priority = priority
    settings.locksMemory = locksMemory
    return settings
  }
}

extension CoreWaiting: ExpressibleByArgument {}
