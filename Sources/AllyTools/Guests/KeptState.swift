internal import AllyHost

/// Memory for what an appliance knows that is to outlive a worker: zeros at first, shared by all of a keeper's workers.
@safe
public final class KeptState {
  private let memory: InheritedMemory

  init(length: Int) throws(CommandFailure) {
    do {
      memory = try InheritedMemory(length: length)
    } catch {
      throw CommandFailure(.systemFault, error.message)
    }
  }

  /// The bytes, aligned to a page; they stay valid as long as this object exists.
  @unsafe
  public var bytes: UnsafeMutableRawBufferPointer { unsafe memory.bytes }
}

extension GuestRun {
  /// Memory that outlives a worker; nil of a run without a keeper.
  public func keptState(length: Int) throws(CommandFailure) -> KeptState? {
    outlivesWorkers ? try KeptState(length: length) : nil
  }
}
