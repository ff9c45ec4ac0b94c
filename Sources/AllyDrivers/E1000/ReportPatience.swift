/// Whether the report of a few sent frames may wait for that of received ones.
///
/// An OS that receives in bulk answers each burst with one or two acknowledgements. To interrupt it for these alone doubles its
/// interrupts, each of which has it access several registers: messages to us, and the dearest that there is for a guest. While
/// it receives so, and lets the NIC delay such reports at all (TIDV, SDM 13.4.41), they go with the next frames that it
/// receives, or alone after ``longestDelay``. The OS may have stopped its queue until it hears of what it sent (Linux's byte
/// queue limits), which is why nothing waits that it sends otherwise.
struct ReportPatience: Sendable, BitwiseCopyable {
  /// As many frames with one interrupt are a bulk.
  private static let bulk: UInt32 = 8
  /// As many descriptors with one interrupt are acknowledgements.
  private static let few: UInt32 = 4
  /// How long a report waits at most, in nanoseconds: longer than an OS in an emulated processor takes for a burst of 64 KiB.
  private static let longestDelay: UInt64 = 10_000_000

  /// Whether the OS lets the NIC delay reports.
  var isAllowed = false
  /// Descriptors since the last interrupt.
  private var received: UInt32 = 0
  private var sent: UInt32 = 0
  /// Whether the last interrupt was for a bulk of received frames.
  private var isInBulk = false

  mutating func noteReceived(_ descriptors: UInt32) { received &+= descriptors }

  mutating func noteSent(_ descriptors: UInt32) { sent &+= descriptors }

  mutating func noteInterrupt() {
    isInBulk = received >= Self.bulk
    received = 0
    sent = 0
  }

  /// How long a report may wait now, in nanoseconds.
  var delay: UInt64 { isAllowed && isInBulk && sent <= Self.few ? Self.longestDelay : 0 }
}
