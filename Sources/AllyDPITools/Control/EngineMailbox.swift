internal import AllyDPI
internal import Synchronization

/// What others ask of an engine: it looks between two frames whether there is anything, which costs it one load.
final class EngineMailbox: Sendable {
  /// Something to be done on the engine's core.
  typealias Request = @Sendable (inout DPIEngine) -> Void

  private let isWaiting = Atomic(false)
  private let requests = Mutex<[Request]>([])
  /// Rules to go on with; later ones take their place, so that no more than one set waits.
  private let reload = Mutex<Request?>(nil)

  /// Leaves a request; the engine comes to it before the next frame.
  func leave(_ request: @escaping Request) {
    requests.withLock { $0.append(request) }
    isWaiting.store(true, ordering: .releasing)
  }

  /// Leaves rules for the engine; those that it has not taken yet are forgotten.
  func leaveReload(_ request: @escaping Request) {
    reload.withLock { $0 = request }
    isWaiting.store(true, ordering: .releasing)
  }

  /// Does what was asked for.
  @inline(__always)
  func serve(_ engine: inout DPIEngine) {
    if isWaiting.load(ordering: .relaxed) { serveAll(&engine) }
  }

  private func serveAll(_ engine: inout DPIEngine) {
    _ = isWaiting.exchange(false, ordering: .acquiringAndReleasing)
    let waiting = requests.withLock { requests in
      defer { requests = [] }
      return requests
    }
    let reload = reload.withLock { $0.take() }
    reload?(&engine)
    for request in waiting { request(&engine) }
  }
}
