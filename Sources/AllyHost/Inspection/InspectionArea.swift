internal import AllyPacket
internal import Glibc
internal import Synchronization

/// The memory that interceptor and inspector share: the ring of frames to inspect, their verdicts, and what an inspector answers
/// besides. Frames themselves lie elsewhere.
///
/// A view, not an owner. Each word has one writer. What the inspector writes, the interceptor takes for hostile: it reads each
/// value once and bounds it, and reads back nothing that it wrote itself.
@safe
struct InspectionArea: BitwiseCopyable {
  /// How many frames can be under way; a power of two.
  static var slots: UInt32 { 512 }
  /// The longest frame that can cross.
  static var longestFrame: Int { 1 << 17 }

  /// Whether a counter that wraps around has come to a number.
  static func isReached(_ number: UInt32, by count: UInt32) -> Bool { count &- number < 1 << 31 }

  /// Words of 32 bits, by their place. Those of one writer are apart from the other's, in lines of the cache of their own.
  enum Word: Int {
    // The interceptor's.
    /// How many frames were submitted since the inspector began; counts on past 2^32.
    case submitted = 0
    /// Not 0 while it sleeps, and until which verdict.
    case interceptorSleeps = 64
    case wanted = 68
    /// How many verdicts it has taken, their answers included.
    case taken = 128
    /// Not 0 when the inspector is to end.
    case isOver = 132
    // The inspector's.
    /// How many frames have a verdict.
    case done = 4096
    /// Not 0 while it sleeps. (The interceptor, too, sets it to 0: it is waking the inspector.)
    case inspectorSleeps = 4160
    /// The number of the inspector that is ready.
    case ready = 4224
  }

  private static var lengthsPlace: Int { 1024 }
  private static var submissionsPlace: Int { 8192 }
  private static var submissionStride: Int { 64 }
  private static var verdictsPlace: Int { submissionsPlace + Int(slots) * submissionStride }
  private static var answersPlace: Int { verdictsPlace + Int(slots) * 8 }
  /// Both outboxes full, and a replacement.
  private static var answersLength: Int { 0x6_0000 }
  private static var strayPlace: Int { answersPlace + answersLength }

  /// Bytes of the whole.
  static var length: Int { strayPlace + longestFrame }

  /// Invariant: ``length`` bytes, mapped as long as any copy is used.
  private let base: UnsafeMutableRawPointer

  @unsafe
  init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

  private func atomic(_ word: Word) -> UnsafeMutablePointer<Atomic<UInt32>> {
    unsafe (base + word.rawValue).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  func load(_ word: Word) -> UInt32 { unsafe atomic(word).pointee.load(ordering: .acquiring) }
  func store(_ value: UInt32, _ word: Word) { unsafe atomic(word).pointee.store(value, ordering: .releasing) }
  /// - Returns: what was there.
  func exchange(_ value: UInt32, _ word: Word) -> UInt32 {
    unsafe atomic(word).pointee.exchange(value, ordering: .acquiringAndReleasing)
  }

  /// Between "I sleep" and a last look, and between "there is something" and a look at who sleeps: one of the two sees the other.
  func fence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }

  /// Begins anew, for an inspector that has not begun.
  func reset() {
    for word in [Word.submitted, .interceptorSleeps, .wanted, .taken, .isOver, .done, .inspectorSleeps, .ready] {
      store(0, word)
    }
  }

  /// The bytes of a file of frames.
  func frameFileLength(_ file: Int) -> UInt64 {
    unsafe base.load(fromByteOffset: Self.lengthsPlace + 8 * file, as: UInt64.self)
  }

  func setFrameFileLength(_ length: UInt64, _ file: Int) {
    unsafe base.storeBytes(of: length, toByteOffset: Self.lengthsPlace + 8 * file, as: UInt64.self)
  }

  static var mostFrameFiles: Int { 256 }

  // MARK: - Frames and verdicts

  func submission(_ number: UInt32) -> Submission {
    unsafe base.load(
      fromByteOffset: Self.place(number, Self.submissionsPlace, Self.submissionStride), as: Submission.self)
  }

  func setSubmission(_ submission: Submission, _ number: UInt32) {
    unsafe base.storeBytes(
      of: submission, toByteOffset: Self.place(number, Self.submissionsPlace, Self.submissionStride),
      as: Submission.self)
  }

  /// A verdict: its number in the low byte, and whether there are answers in the next.
  func verdict(_ number: UInt32) -> UInt64 {
    unsafe base.load(fromByteOffset: Self.place(number, Self.verdictsPlace, 8), as: UInt64.self)
  }

  func setVerdict(_ verdict: UInt64, _ number: UInt32) {
    unsafe base.storeBytes(of: verdict, toByteOffset: Self.place(number, Self.verdictsPlace, 8), as: UInt64.self)
  }

  private static func place(_ number: UInt32, _ start: Int, _ stride: Int) -> Int {
    start + Int(number & (slots - 1)) * stride
  }

  // MARK: - Frames that lie nowhere else

  /// Room for one frame that does not lie in a file of frames.
  @unsafe
  var stray: UnsafeMutableRawPointer { unsafe base + Self.strayPlace }

  // MARK: - Answers

  /// What the inspector has made besides its verdict. One verdict's answers are here at a time.
  @unsafe
  var answers: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: base + Self.answersPlace, count: Self.answersLength)
  }
}

/// A frame to be inspected: where it lies, and what is known of it besides its bytes.
struct Submission: BitwiseCopyable {
  var time: UInt64
  var ordinal: UInt64
  /// Where it begins in its file; without meaning for ``stray``.
  var offset: UInt64
  var length: UInt32
  var lengthOnWire: UInt32
  var linkType: UInt32
  /// The file of frames, or ``stray``.
  var file: UInt16
  var queue: UInt16
  var vlan: UInt16
  var segmentSize: UInt16
  var headerLength: UInt16
  var direction: UInt8
  /// Bit 0: there is a VLAN tag; 1 and 2: the checksums of ``FrameOffloads``.
  var flags: UInt8

  /// The frame lies in the area itself.
  static var stray: UInt16 { .max }

  init(_ packet: borrowing Packet, file: UInt16, offset: UInt64) {
    time = packet.stamp.time
    ordinal = packet.stamp.ordinal
    lengthOnWire = packet.stamp.lengthOnWire
    linkType = packet.stamp.linkType.rawValue
    self.offset = offset
    length = UInt32(truncatingIfNeeded: packet.bytes.byteCount)
    self.file = file
    queue = packet.queue
    direction = packet.direction.rawValue
    segmentSize = packet.offloads.segmentSize
    headerLength = packet.offloads.headerLength
    vlan = packet.offloads.vlan ?? 0
    flags = packet.offloads.flags
  }

  var stamp: FrameStamp {
    FrameStamp(time: time, ordinal: ordinal, lengthOnWire: lengthOnWire, linkType: LinkType(rawValue: linkType))
  }

  var offloads: FrameOffloads {
    var offloads = FrameOffloads(flags: flags, vlan: vlan)
    offloads.segmentSize = segmentSize
    offloads.headerLength = headerLength
    return offloads
  }
}

extension FrameOffloads {
  var flags: UInt8 { (vlan == nil ? 0 : 1) | (ipChecksum ? 2 : 0) | (transportChecksum ? 4 : 0) }

  init(flags: UInt8, vlan: UInt16) {
    self.init(vlan: flags & 1 == 0 ? nil : vlan, ipChecksum: flags & 2 != 0, transportChecksum: flags & 4 != 0)
  }
}
