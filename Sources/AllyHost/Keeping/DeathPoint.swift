#if DEBUG
  internal import Synchronization
#endif

/// The steps at which tests let a worker die. What is built for use has none.
enum DeathPoint: CaseIterable {
  /// A frame has left the uplink, and nobody has written down that it did.
  case afterUplinkRead
  /// A frame is written down and not in the NIC.
  case beforeNIC
  /// The NIC's record is written, and does not count; or counts already.
  case beforeCommitOfNIC
  case afterCommitOfNIC
  /// The NIC has worked; the DPI core has not looked.
  case beforePass
  /// What the DPI core has made of it is with the guest; the guest was not told.
  case afterPass
  /// The guest was told; that it was is in no record.
  case afterInterrupt
  /// A message is out of the socket; nothing was done about it.
  case afterMessage
  /// It was carried out; that is in no record.
  case beforeCommit
  /// It is; the answer has not left.
  case beforeAnswer
  case afterAnswer

  #if DEBUG
    /// Called at each step, if it is set: what does not return is dead. For tests that have a process's one kept guest.
    static let hook = Mutex<(@Sendable (DeathPoint) -> Void)?>(nil)

    static func reach(_ point: DeathPoint) {
      let hook = hook.withLock { $0 }
      hook?(point)
    }
  #else
    @inline(__always)
    static func reach(_ point: DeathPoint) {}
  #endif
}
