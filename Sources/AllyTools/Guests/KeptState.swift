internal import AllyHost

/// What an appliance knows that is to outlive a worker, and an executable: memory, zeros at first, that all of a keeper's workers
/// share, and sockets.
@safe
public final class KeptState {
  private let memory: InheritedMemory
  private let starter: WorkerStarter

  init(length: Int, layout: String, in starter: WorkerStarter) throws(CommandFailure) {
    self.starter = starter
    do {
      memory = try InheritedMemory(length: length, layout: layout, in: starter)
    } catch {
      throw CommandFailure(.systemFault, error.message)
    }
  }

  /// The bytes, aligned to a page; they stay valid as long as this object exists.
  @unsafe
  public var bytes: UnsafeMutableRawBufferPointer { unsafe memory.bytes }

  /// Random, and the same in every worker and every executable: for tables whose places depend on it.
  public var seed: UInt64 { memory.seed }

  /// Whether files that this executable writes are another's, which writes them still.
  public var isSuccessor: Bool { starter.isSuccessor }

  /// Makes a socket to listen at, unless it is there already.
  public func listener(at path: String) throws(CommandFailure) -> LocalListener {
    if let number = starter.leftDescriptor(Self.name(path)) { return LocalListener(at: path, inheriting: number) }
    let listener = try LocalListener(at: path)
    starter.leave(listener.number, as: Self.name(path))
    return listener
  }

  private static func name(_ path: String) -> String { "socket \(path)" }
}

extension GuestRun {
  /// Memory that outlives a worker; nil of a run without a keeper.
  ///
  /// - Parameters:
  ///   - length: bytes.
  ///   - layout: what is in them; another executable that has another word for it does not get them.
  public func keptState(length: Int, layout: String) throws(CommandFailure) -> KeptState? {
    guard let starter else { return nil }
    return try KeptState(length: length, layout: layout, in: starter)
  }
}
