/// Which of two copies of the same bytes an operating system keeps, fragments of a datagram or segments of a stream.
///
/// After the target-based models of Shankar and Paxson ("Active Mapping", 2003) and Novak ("Target-Based Fragmentation
/// Reassembly", 2005), where the names come from.
enum OverlapPolicy: UInt8, BitwiseCopyable, Sendable, CaseIterable {
  case first, last, bsd, bsdRight, linux, windows, solaris
  /// Of segments, where a system treats them otherwise than fragments.
  case segmentsLinux, segmentsOldLinux, segmentsSolaris

  /// - Parameters:
  ///   - existing: the whole range of the piece that arrived before.
  ///   - new: the whole range of the one that arrives now.
  /// - Returns: whether the earlier piece keeps the bytes both have.
  func existingWins(existing: Range<Int>, new: Range<Int>) -> Bool {
    switch self {
    case .first: true
    case .last: false
    case .bsd: existing.lowerBound <= new.lowerBound
    case .bsdRight: existing.lowerBound > new.lowerBound
    case .linux: existing.lowerBound < new.lowerBound
    case .windows: !(new.lowerBound < existing.lowerBound && new.upperBound > existing.upperBound)
    case .solaris: !(new.lowerBound < existing.lowerBound && new.upperBound >= existing.upperBound)
    case .segmentsLinux:
      existing.lowerBound < new.lowerBound
        || existing.lowerBound == new.lowerBound && new.upperBound <= existing.upperBound
    case .segmentsOldLinux:
      existing.lowerBound < new.lowerBound
        || existing.lowerBound == new.lowerBound && new.upperBound < existing.upperBound
    case .segmentsSolaris:
      new.upperBound < existing.upperBound
        || new.upperBound == existing.upperBound && new.lowerBound > existing.lowerBound
    }
  }
}
