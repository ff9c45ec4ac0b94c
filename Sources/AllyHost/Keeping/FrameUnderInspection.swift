public import AllyPacket
internal import Synchronization

/// Which frame a worker inspects at the time: so that its successor knows what it died of. A view of a ``KeeperPage``, whose
/// owner outlives it. One thread uses it.
///
/// A worker may die of anything while it inspects. A frame during whose inspection two in a row died is taken for the reason.
@safe
public struct FrameUnderInspection {
  private let place: UnsafeMutableRawPointer
  private let page: KeeperPage
  /// The frame that is not to be inspected again; 0 for none.
  private var suspect: UInt64 = 0

  init(at place: UnsafeMutableRawPointer, of page: KeeperPage) {
    unsafe self.place = place
    self.page = page
  }

  // Two words of the page: the frame now, and the one before which a worker died.
  private var current: UInt64 {
    get { unsafe place.load(as: UInt64.self) }
    nonmutating set {
      atomicMemoryFence(ordering: .acquiringAndReleasing)
      unsafe place.storeBytes(of: newValue, as: UInt64.self)
      atomicMemoryFence(ordering: .acquiringAndReleasing)
    }
  }

  private var fatal: UInt64 {
    get { unsafe place.load(fromByteOffset: 8, as: UInt64.self) }
    nonmutating set { unsafe place.storeBytes(of: newValue, toByteOffset: 8, as: UInt64.self) }
  }

  /// Looks at what a predecessor died of.
  public mutating func begin() {
    let last = current
    if last != 0, last == fatal { suspect = last }
    fatal = last
    current = 0
  }

  /// Whether a frame is to be inspected; if it is, this worker says so.
  ///
  /// - Returns: false of the one frame that two workers died of.
  public mutating func mayBegin(_ packet: borrowing Packet) -> Bool {
    let mark = Self.mark(packet)
    if mark == suspect {
      suspect = 0
      page.setAside += 1
      return false
    }
    current = mark
    return true
  }

  /// The frame was inspected.
  public func end() { current = 0 }

  /// Tells frames apart by direction, length and their first 64 bytes; never 0.
  private static func mark(_ packet: borrowing Packet) -> UInt64 {
    let bytes = packet.bytes
    var mark = UInt64(bytes.byteCount) << 1 | (packet.direction == .transmit ? 1 : 0)
    var place = 0
    while place + 8 <= min(bytes.byteCount, 64) {
      // Eight bytes from `place` on are there.
      let word = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self)
      mark = (mark ^ word) &* 0x9E37_79B9_7F4A_7C15
      mark ^= mark >> 29
      place += 8
    }
    return mark | 1
  }
}
