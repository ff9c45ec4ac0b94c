/// The signatures to evaluate for one packet: one bit each, read in the order of rank.
///
/// A summary bit for each word of 64 keeps reading cheap with tens of thousands of signatures.
@safe
struct CandidateSet: ~Copyable {
  private let words: UnsafeMutablePointer<UInt64>
  private let summary: UnsafeMutablePointer<UInt64>
  private let wordCount: Int
  private let summaryCount: Int

  init(capacity: Int) {
    wordCount = max(1, (capacity + 63) / 64)
    summaryCount = (wordCount + 63) / 64
    unsafe words = .allocate(capacity: wordCount)
    unsafe words.initialize(repeating: 0, count: wordCount)
    unsafe summary = .allocate(capacity: summaryCount)
    unsafe summary.initialize(repeating: 0, count: summaryCount)
  }

  deinit {
    unsafe words.deallocate()
    unsafe summary.deallocate()
  }

  @inline(__always)
  mutating func insert(_ candidate: UInt32) {
    let word = Int(candidate &>> 6)
    precondition(word < wordCount)
    unsafe words[word] |= 1 &<< UInt64(candidate & 63)
    unsafe summary[word &>> 6] |= 1 &<< UInt64(word & 63)
  }

  /// Takes the first candidate out; nil when none is left.
  @inline(__always)
  mutating func popFirst() -> UInt32? {
    for block in 0..<summaryCount {
      let bits = unsafe summary[block]
      if bits == 0 { continue }
      let word = block &* 64 &+ bits.trailingZeroBitCount
      // A summary bit is set only for a word that has a bit.
      let rest = unsafe words[word]
      let bit = rest.trailingZeroBitCount
      unsafe words[word] = rest & (rest &- 1)
      if rest & (rest &- 1) == 0 { unsafe summary[block] = bits & (bits &- 1) }
      return UInt32(word &* 64 &+ bit)
    }
    return nil
  }
}
