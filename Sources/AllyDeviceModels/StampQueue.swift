/// The stamps of the frames that a NIC completed, in order: what a DPI core reads beside the descriptors, one for each
/// completed frame and none for a lost one.
///
/// Real NICs with time stamping do this in a register pair or in the descriptor; the 82540EM cannot, so the wire does it.
@frozen
@safe
public struct StampQueue<Stamp: BitwiseCopyable>: ~Copyable {
  /// Invariant: the stamps from `first` on, `count` of them with wrapping, are initialized.
  @usableFromInline let storage: UnsafeMutablePointer<Stamp>
  /// A power of two.
  public let capacity: Int
  @usableFromInline var first: Int
  public private(set) var count: Int

  /// - Parameters:
  ///   - capacity: rounded up to a power of two. The default holds a stamp for each descriptor of the largest ring.
  public init(capacity: Int = 65_536) {
    var size = 1
    while size < capacity { size *= 2 }
    self.capacity = size
    unsafe storage = .allocate(capacity: size)
    first = 0
    count = 0
  }

  deinit { unsafe storage.deallocate() }

  public var isFull: Bool { count == capacity }

  /// Appends a stamp; false when the queue is full.
  public mutating func append(_ stamp: Stamp) -> Bool {
    guard !isFull else { return false }
    unsafe (storage + ((first &+ count) & (capacity &- 1))).initialize(to: stamp)
    count &+= 1
    return true
  }

  /// Takes the oldest stamp out; nil when there is none.
  public mutating func removeFirst() -> Stamp? {
    guard count > 0 else { return nil }
    let stamp = unsafe storage[first]
    first = (first &+ 1) & (capacity &- 1)
    count &-= 1
    return stamp
  }

  /// Forgets all stamps, as when the NIC is reset and its completed frames are gone.
  public mutating func removeAll() {
    first = 0
    count = 0
  }
}
