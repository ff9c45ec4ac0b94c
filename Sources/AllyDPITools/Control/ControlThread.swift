internal import AllyDPI
internal import AllyTools
internal import Foundation
internal import Glibc
internal import Synchronization

/// Listens to the operator while an engine inspects: to SIGUSR2, and to a socket that `suricatasc` and `ally control` speak to.
///
/// The dialogue is one JSON object a line: the client says `{"version": "0.2"}`, then `{"command": …}`; each is answered by
/// `{"return": "OK" or "NOK", "message": …}`.
///
/// It is made while there are rights, for its socket, and begins without: a thread has its capabilities from the one that
/// begins it, for good (capabilities(7)).
final class ControlThread: Sendable {
  private let reload: RuleReload
  private let mailbox: EngineMailbox
  private let started = ContinuousClock.now
  private let name: String
  private let socket: String?
  private let listener: ListenerBox?
  /// Milliseconds for an engine that sees no frames, and for a client that does not say who it is.
  private static let patience: Int32 = 2000

  /// Takes the signal, and makes the socket unless it is nil.
  ///
  /// - Parameter kept: has the socket, when it outlives this process.
  /// - Throws: ``ExitStatus/cannotCreate`` when the socket cannot be made.
  init(
    name: String, reload: RuleReload, mailbox: EngineMailbox, socket: String?, keeping kept: KeptState? = nil
  ) throws(CommandFailure) {
    try ReloadSignal.install()
    listener = try socket.map { path throws(CommandFailure) in
      if let kept { return ListenerBox(try kept.listener(at: path)) }
      return ListenerBox(try LocalListener(at: path))
    }
    self.socket = socket
    self.name = name
    self.reload = reload
    self.mailbox = mailbox
  }

  /// Begins to listen: to the signal, and at the socket.
  func begin() {
    Self.withoutSignals { Thread.detachNewThread { self.run() } }
  }

  /// Threads that begin meanwhile are never interrupted: signals stay with the threads that wait for them.
  private static func withoutSignals(_ body: () -> Void) {
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    body()
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
  }

  /// The process ends: nobody finds the socket any more.
  func close() {
    if let socket { unsafe unlink(socket) }
  }

  /// What a closure can hold.
  private final class ListenerBox: @unchecked Sendable {
    // Only the control thread looks at it, once it runs.
    let listener: LocalListener
    init(_ listener: consuming LocalListener) { self.listener = consume listener }
  }

  private final class ClientBox: @unchecked Sendable {
    // Only the client's thread looks at it.
    var client: LocalSocket?
    init(_ client: consuming LocalSocket) { self.client = consume client }
  }

  private let clients = Atomic(0)
  private static let mostClients = 8

  private func run() {
    // A negative number is passed over by poll.
    let socket = listener?.listener.number ?? -1
    while true {
      var entries = [
        pollfd(fd: ReloadSignal.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
      ]
      guard unsafe poll(&entries, 2, -1) >= 0 || errno == EINTR else { return }
      if entries[0].revents != 0, ReloadSignal.take() {
        do {
          try reload.reload()
          Console.complain("\(name): the rules were read again: \(reload.summary.loaded) loaded")
        } catch {
          Console.complain("\(name): the rules before stay in effect: \(error.message)")
        }
      }
      if entries[1].revents != 0, let client = listener?.listener.accept() { serve(client) }
    }
  }

  /// A client may keep its connection: each has a thread of its own.
  private func serve(_ client: consuming LocalSocket) {
    guard clients.wrappingAdd(1, ordering: .relaxed).newValue <= Self.mostClients else {
      clients.wrappingSubtract(1, ordering: .relaxed)
      return
    }
    let box = ClientBox(client)
    Thread.detachNewThread {
      if var client = box.client.take() { self.converse(&client) }
      self.clients.wrappingSubtract(1, ordering: .relaxed)
    }
  }

  private func converse(_ client: inout LocalSocket) {
    guard let greeting = client.readLine(milliseconds: Self.patience), Self.object(greeting)?["version"] != nil,
      client.writeLine(Self.answer(true))
    else { return }
    while let line = client.readLine(milliseconds: -1) {
      guard client.writeLine(perform(Self.object(line)?["command"] as? String)) else { return }
    }
  }

  private static let commands = [
    "command-list", "dump-counters", "reload-rules", "ruleset-failed-rules", "ruleset-reload-rules", "ruleset-stats",
    "rules-top", "running-mode", "uptime", "version",
  ]

  private func perform(_ command: String?) -> String {
    switch command {
    case "command-list":
      return Self.answer(true, ["count": Self.commands.count, "commands": Self.commands])
    case "version": return Self.answer(true, "ally")
    case "running-mode": return Self.answer(true, "single")
    case "uptime": return Self.answer(true, Int((ContinuousClock.now - started) / .seconds(1)))
    case "reload-rules", "ruleset-reload-rules":
      do {
        try reload.reload()
        return Self.answer(true, "done")
      } catch {
        return Self.answer(false, error.message)
      }
    case "ruleset-stats":
      let summary = reload.summary
      return Self.answer(
        true,
        [["id": 0, "rules_loaded": summary.loaded, "rules_failed": summary.problems.count, "rules_skipped": 0]])
    case "ruleset-failed-rules":
      return Self.answer(
        true,
        reload.summary.problems.map { problem in
          [
            "filename": problem.location.file, "line": problem.location.line, "sid": Int(problem.sid),
            "error": problem.reason,
          ] as [String: Any]
        })
    case "rules-top":
      guard let costs = ask({ $0.ruleCosts }) else { return Self.silence }
      return Self.answer(true, costs.prefix(100).map(RuleCostTable.object))
    case "dump-counters":
      guard let statistics = ask({ $0.statistics }) else { return Self.silence }
      return Self.answer(
        true,
        [
          "decoder": ["pkts": Int(clamping: statistics.packets), "bytes": Int(clamping: statistics.bytes)],
          "flow": ["total": Int(clamping: statistics.flows), "evicted": Int(clamping: statistics.flowEvictions)],
          "detect": ["alert": Int(clamping: statistics.alerts)],
        ])
    default: return Self.answer(false, "Unknown command")
    }
  }

  private static let silence = answer(false, "no frame came by within \(patience / 1000) seconds")

  /// Has the engine's core answer; nil when it sees no frames.
  private func ask<Answer: Sendable>(_ question: @escaping @Sendable (borrowing DPIEngine) -> Answer) -> Answer? {
    let answer = AnswerBox<Answer>()
    mailbox.leave { engine in answer.put(question(engine)) }
    return answer.wait(milliseconds: Int(Self.patience))
  }

  private static func object(_ line: String) -> [String: Any]? {
    try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
  }

  private static func answer(_ isOK: Bool, _ message: Any? = nil) -> String {
    var object: [String: Any] = ["return": isOK ? "OK" : "NOK"]
    if let message { object["message"] = message }
    guard let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) else {
      return "{\"return\": \"NOK\"}"
    }
    return String(decoding: data, as: UTF8.self)
  }
}
