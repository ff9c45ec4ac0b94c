internal import Synchronization

/// What an interceptor's worker notes of its inspector, so that its successor goes on with the same one; a view of a
/// ``KeeperPage``, whose owner outlives it. The inspector has not this memory. One thread uses it.
///
/// Each word is stored before what it tells of is done, so that a successor does it again at the most.
@safe
struct KeptInspection {
  enum State: UInt64 {
    /// None runs, or none was ever noted.
    case absent = 0
    case starting = 1
    case ready = 2
    case ending = 3
  }

  private let place: UnsafeMutableRawPointer

  init(at place: UnsafeMutableRawPointer) { unsafe self.place = place }

  static let byteCount = 512

  private func load(_ word: Int) -> UInt64 { unsafe place.load(fromByteOffset: word, as: UInt64.self) }

  /// After all stores before it, and before all after it.
  private func set(_ word: Int, _ value: UInt64) {
    atomicMemoryFence(ordering: .acquiringAndReleasing)
    unsafe place.storeBytes(of: value, toByteOffset: word, as: UInt64.self)
    atomicMemoryFence(ordering: .acquiringAndReleasing)
  }

  /// The inspector that was started last, and what it does.
  var inspector: (number: UInt32, state: State) {
    get {
      let word = load(0)
      return (UInt32(truncatingIfNeeded: word), State(rawValue: word >> 32) ?? .absent)
    }
    nonmutating set { set(0, UInt64(newValue.number) | newValue.state.rawValue << 32) }
  }

  /// Frames that it can know of, and those whose verdict was taken.
  var submitted: UInt32 {
    get { UInt32(truncatingIfNeeded: load(8)) }
    nonmutating set { set(8, UInt64(newValue)) }
  }
  var taken: UInt32 {
    get { UInt32(truncatingIfNeeded: load(16)) }
    nonmutating set { set(16, UInt64(newValue)) }
  }

  var report: InspectionReport {
    get { unsafe place.loadUnaligned(fromByteOffset: 64, as: InspectionReport.self) }
    nonmutating set { unsafe place.storeBytes(of: newValue, toByteOffset: 64, as: InspectionReport.self) }
  }
}
