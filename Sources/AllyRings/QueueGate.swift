import Synchronization

/// What the core that handles registers and the core that works on a queue pair share besides its rings: who has the pair, and
/// the tails that the OS has written.
///
/// Of this process alone: a worker that takes over finds what it needs in DPI memory.
@safe
@usableFromInline
struct QueueGate: ~Copyable {
  private enum Mark {
    static let worker: UInt32 = 1
    static let control: UInt32 = 2
  }

  private let holders = Atomic<UInt32>(0)
  /// How often a direction was stopped or started anew; what a pass before that did to it is void.
  private let receiveRestarts = Atomic<UInt64>(0)
  private let transmitRestarts = Atomic<UInt64>(0)
  private let receiveTail = Atomic<UInt64>(0)
  private let transmitTail = Atomic<UInt64>(0)

  /// In a tail's word: it has not been taken.
  private static var isNew: UInt64 { 1 << 32 }

  // MARK: The core that handles registers

  /// Has the pair to itself: waits for the end of the worker's pass, which is bounded, and keeps the next from beginning.
  borrowing func close(isTransmit: Bool) {
    _ = holders.bitwiseOr(Mark.control, ordering: .acquiringAndReleasing)
    while holders.load(ordering: .acquiring) & Mark.worker != 0 {}
    // The other direction goes on where it is.
    if isTransmit {
      _ = transmitRestarts.wrappingAdd(1, ordering: .acquiringAndReleasing)
      transmitTail.store(0, ordering: .releasing)
    } else {
      _ = receiveRestarts.wrappingAdd(1, ordering: .acquiringAndReleasing)
      receiveTail.store(0, ordering: .releasing)
    }
  }

  borrowing func open() { _ = holders.bitwiseAnd(~Mark.control, ordering: .acquiringAndReleasing) }

  borrowing func generation(isTransmit: Bool) -> UInt64 {
    isTransmit ? transmitRestarts.load(ordering: .acquiring) : receiveRestarts.load(ordering: .acquiring)
  }

  borrowing func post(tail: UInt32, isTransmit: Bool) {
    let word = UInt64(tail) | Self.isNew
    if isTransmit {
      transmitTail.store(word, ordering: .releasing)
    } else {
      receiveTail.store(word, ordering: .releasing)
    }
  }

  // MARK: The core that works on the pair

  /// Begins a pass; false when the pair is being changed.
  borrowing func enter() -> Bool {
    holders.compareExchange(expected: 0, desired: Mark.worker, ordering: .acquiringAndReleasing).exchanged
  }

  borrowing func leave() { _ = holders.bitwiseAnd(~Mark.worker, ordering: .acquiringAndReleasing) }

  /// The tail that the OS wrote last, once.
  borrowing func takeTail(isTransmit: Bool) -> UInt32? {
    let word =
      isTransmit
      ? transmitTail.exchange(0, ordering: .acquiringAndReleasing)
      : receiveTail.exchange(0, ordering: .acquiringAndReleasing)
    return word & Self.isNew != 0 ? UInt32(truncatingIfNeeded: word) : nil
  }
}
