internal import AllyHost
public import AllyPacket
internal import AllyRings

extension GuestRun {
  /// Serves guests with the inspector in a process of its own (paper §4.4). To be called before anything is opened: it makes two
  /// processes of this one, and returns in both.
  ///
  /// - Parameters:
  ///   - apart: what the operator has said about it.
  ///   - original: what inspects there.
  ///   - report: prints what the interceptor has counted.
  ///   - inspect: the inspector's part, in its process: reads what it needs, inspects, and prints what came of it.
  /// - Returns: the exit status of the process that it returns in.
  public func inspect<Original: PacketInspector & ~Copyable>(
    _ apart: InspectorProcessOptions, by original: Original.Type,
    report: (RunSummary) throws(CommandFailure) -> Void,
    inspect: (InspectorRun) throws(CommandFailure) -> ExitStatus
  ) throws(CommandFailure) -> ExitStatus {
    guard let failure = apart.failure else { throw CommandFailure(.usage, "expected --inspector-failure") }
    guard protection == .copyToDPIMemory else {
      throw CommandFailure(.usage, "--protection in-place with --inspector-process: expected copy")
    }
    guard options.qemu == nil else {
      throw CommandFailure(.usage, "--qemu with --inspector-process: expected one of them")
    }
    guard !Keeper.isSuccessor else {
      throw CommandFailure(
        .usage, "an upgrade with --inspector-process, whose frames nobody else may write: expected another start")
    }
    let name = name
    let role = try Self.attempt { () throws(HostError) in
      try InspectorProcess.split(frameFiles: options.attachments.count, failure: failure.mode) {
        Console.complain("\(name): \(Self.text($0, failure))")
      }
    }
    switch role {
    case .inspector(let seat): return try inspect(InspectorRun(seat, privileges))
    case .interceptor(let link):
      let early = try Self.attempt { () throws(HostError) in try link.begin() }
      // It has told why.
      if let early { return Self.status(early) }
      return try kept(letGo: link.letGo).serve(through: link, by: original, report)
    }
  }

  private func serve<Original: PacketInspector & ~Copyable>(
    through link: InspectorLink, by original: Original.Type, _ report: (RunSummary) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> ExitStatus {
    var run = self
    run.link = link
    var remote = RemoteInspector<Original>(link)
    var summary = RunSummary()
    var failure: CommandFailure?
    do {
      try run.inspect(inspecting: &remote, counting: &summary) {
        $0.look()
        return true
      }
    } catch {
      failure = error
    }
    summary.inspectorProcess = InspectorUse(remote.report)
    do {
      try report(summary)
    } catch {
      failure = failure ?? error
    }
    // Its part of the summary comes after ours.
    let status = link.end()
    if let failure { throw failure }
    return status.map(Self.status) ?? .systemFault
  }

  private static func attempt<Result>(_ body: () throws(HostError) -> Result) throws(CommandFailure) -> Result {
    do {
      return try body()
    } catch {
      throw CommandFailure(.systemFault, error.message)
    }
  }

  /// What an inspector's exit status means for the command.
  private static func status(_ status: Int32) -> ExitStatus { ExitStatus(rawValue: status) ?? .internalFault }

  private static func text(_ event: InspectorLink.Event, _ failure: InspectorProcessOptions.Failure) -> String {
    let meanwhile = failure == .open ? "frames pass uninspected" : "frames are dropped"
    switch event {
    case .ended(let status) where status > 128:
      return "the inspector was ended by signal \(status - 128); \(meanwhile) until there is another"
    case .ended(let status):
      return "the inspector has ended with status \(status); \(meanwhile) until there is another"
    case .stuck: return "the inspector gives no verdicts and is ended; \(meanwhile) until there is another"
    case .misbehaved: return "the inspector writes nonsense and is ended; \(meanwhile) until there is another"
    case .began: return "there is an inspector again"
    }
  }
}

/// The inspector's part of a run in two processes.
public struct InspectorRun {
  private let seat: InspectorSeat
  private let privileges: PrivilegeOptions

  init(_ seat: InspectorSeat, _ privileges: PrivilegeOptions) {
    self.seat = seat
    self.privileges = privileges
  }

  /// Whether another inspector has been here before, and seen the begin of connections.
  public var hasPredecessor: Bool { seat.hasPredecessor }

  /// Gives rights up, and inspects until the interceptor ends it.
  ///
  /// - Parameters:
  ///   - inspector: sees every frame once.
  ///   - ready: called once when all is open and rights are given up: threads that run beside begin here, and have none either.
  ///   - often: called four times a second and at the end, for what must not wait; ends the run when it returns false.
  public func inspect<Inspector: PacketInspector & ~Copyable>(
    inspecting inspector: inout Inspector, ready: () -> Void = {}, often: (inout Inspector) -> Bool
  ) throws(CommandFailure) {
    do throws(HostError) {
      try privileges.drop()
      ready()
      try privileges.enterSandbox()
      try seat.run(inspecting: &inspector, often: often)
    } catch {
      throw CommandFailure(.systemFault, error.message)
    }
  }
}

extension InspectorUse {
  init(_ report: InspectionReport) {
    frames = report.inspected
    batches = report.batches
    inspectorWakeUps = report.inspectorWakeUps
    interceptorWakeUps = report.interceptorWakeUps
    copies = report.copies
    undecided = report.undecided
    restarts = report.restarts
    faults = [
      ("inspectors that ended", report.ended), ("inspectors that gave no verdict in time", report.stuck),
      ("inspectors that wrote nonsense", report.misbehaved),
      ("answers of theirs that could not be carried out", report.refusedAnswers),
      ("frames inspected twice", report.withdrawn),
    ]
  }
}
