internal import AllyFirewall
internal import AllyPacket
internal import AllyTools

/// Reads a policy, filters a capture or guests' frames by it, and tells what came of it.
struct FirewallCommand {
  private let options: FirewallOptions

  init(options: FirewallOptions) { self.options = options }

  /// - Parameter run: the way of the frames to the firewall.
  /// - Returns: the exit status; damage in the capture is told on standard error.
  func perform(through run: some CaptureRun) throws(CommandFailure) -> ExitStatus {
    let policy = try readPolicy()
    guard let capture = options.read, !options.check else { return try tellOf(policy) }
    if policy.judges(.output), options.hosts.isEmpty {
      Console.complain("firewall: output chains see nothing of this capture: --host would tell what was sent")
    }
    return try filter(capture, by: policy, through: run)
  }

  /// Filters guests' frames until the operator ends it.
  ///
  /// - Parameters:
  ///   - run: the guests.
  ///   - apart: whether policy, connections and log are in a process of their own, which prints its part of the summary itself.
  /// - Returns: the exit status.
  func perform(on run: GuestRun, apart: InspectorProcessOptions) throws(CommandFailure) -> ExitStatus {
    if options.check { return try tellOf(try readPolicy()) }
    guard apart.isWanted else {
      let run = try run.kept()
      let connections = try run.keptState(
        length: FirewallInspector.connectionMemory(configuration), layout: FirewallInspector.connectionLayout)
      return try filter(connections: connections) { firewall, summary, often throws(CommandFailure) in
        try run.inspect(inspecting: &firewall, counting: &summary, takeOver: { $0.takeUpConnections() }) { _ in often()
        }
      }
    }
    return try run.inspect(apart, by: LoggedFirewall.self) { summary throws(CommandFailure) in
      try Console.print(SummarySection.text(summary.sections) + "\n")
    } inspect: { run throws(CommandFailure) in
      try filter(isPart: true) { firewall, _, often throws(CommandFailure) in
        try run.inspect(inspecting: &firewall) { _ in often() }
      }
    }
  }

  /// Filters what `run` hands over, and prints the summary.
  ///
  /// - Parameters:
  ///   - isPart: whether frames are counted elsewhere, and the summary is the firewall's part alone.
  ///   - connections: memory for what it knows of connections, if that is to outlive it.
  private func filter(
    isPart: Bool = false, connections: KeptState? = nil,
    _ run: (inout LoggedFirewall, inout RunSummary, _ often: () -> Bool) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> ExitStatus {
    let policy = try readPolicy()
    let log = try openLog(policy, continues: connections?.isSuccessor == true)
    // They outlive the firewall.
    defer { withExtendedLifetime(connections) {} }
    var configuration = configuration
    // Another worker, or executable, finds them by it.
    if let connections { configuration.tracking.seed = connections.seed }
    var firewall = LoggedFirewall(
      unsafe FirewallInspector(policy: policy, configuration: configuration, connections: connections?.bytes), log: log)
    var summary = RunSummary()
    var failure: CommandFailure?
    do {
      try run(&firewall, &summary) {
        log?.flush()
        return log?.failure == nil
      }
    } catch {
      failure = error
    }
    try log?.close()
    try report(
      policy, isPart ? nil : summary, firewall.counters, firewall.statistics, logged: firewall.logged)
    if let failure { throw failure }
    return .success
  }

  private func tellOf(_ policy: FirewallPolicy) throws(CommandFailure) -> ExitStatus {
    try Console.print("\(options.policy): the policy is good: \(policy.rules.count) rules")
    return .success
  }

  /// - Parameter continues: whether what is there stays.
  private func openLog(_ policy: FirewallPolicy, continues: Bool = false) throws(CommandFailure) -> PacketLog? {
    try options.log.map { path throws(CommandFailure) in
      try PacketLog(path: path, policy: policy, appending: continues)
    }
  }

  private func report(
    _ policy: FirewallPolicy, _ summary: RunSummary?, _ counters: PolicyCounters, _ statistics: FirewallStatistics,
    logged: UInt64
  ) throws(CommandFailure) {
    let sections = (summary?.sections ?? []) + Self.sections(statistics, logged: logged)
    try Console.print(policy.listing(counters: counters) + "\n" + SummarySection.text(sections))
  }

  private func readPolicy() throws(CommandFailure) -> FirewallPolicy {
    let text = try FileSystem.contents(of: options.policy)
    do {
      return try FirewallPolicy(text, file: options.policy)
    } catch {
      throw CommandFailure(.badConfiguration, error.description)
    }
  }

  private func filter(
    _ capture: String, by policy: FirewallPolicy, through run: some CaptureRun
  ) throws(CommandFailure) -> ExitStatus {
    var run = run
    var reader = try CaptureReader.open(capture)
    var accepted = try AcceptedCapture(path: options.write, like: reader)
    let log = try openLog(policy)
    var firewall = LoggedFirewall(
      FirewallInspector(policy: policy, configuration: configuration), log: log, hosts: options.hosts)

    if let log { reader.stop { log.failure != nil } }
    let summary = try run.inspect(&reader, inspecting: &firewall) { packet throws(CommandFailure) in
      try accepted.write(packet)
    }
    try log?.close()
    try accepted.finish()

    try report(policy, summary, firewall.counters, firewall.statistics, logged: firewall.logged)
    for problem in reader.problems { Console.complain("firewall: \(problem)") }
    return reader.problems.first?.status ?? .success
  }

  private var configuration: FirewallConfiguration {
    FirewallConfiguration(
      frameWithoutIP: options.dropsFramesWithoutIP ? .drop : .accept,
      tracking: TrackingConfiguration(
        maximumConnections: options.maximumConnections, picksUpConnections: options.picksUpConnections,
        checksWindows: !options.ignoresWindows))
  }

  private static func sections(_ statistics: FirewallStatistics, logged: UInt64) -> [SummarySection] {
    let lines: [(String, UInt64)] = [
      ("frames without IP packet", statistics.framesWithoutIP), ("malformed frames", statistics.malformed),
      ("packets of no known connection (invalid)", statistics.invalid),
      ("connections begun", statistics.connectionsCreated), ("connections expired", statistics.connectionsExpired),
      ("connections given up for others", statistics.connectionsEvicted),
      ("connections refused, the table being full", statistics.connectionsRefused),
      ("fragments that followed their first", statistics.fragmentsFollowed),
      ("fragments without their first", statistics.fragmentsWithoutFirst),
      ("fragments refused", statistics.fragmentsRefused), ("packets logged", logged),
      ("log lines lost", statistics.logEventsLost),
    ]
    let counted = lines.filter { $0.1 > 0 }.map { SummarySection.Line($0.0, $0.1) }
    return counted.isEmpty ? [] : [SummarySection("Firewall", counted)]
  }
}
