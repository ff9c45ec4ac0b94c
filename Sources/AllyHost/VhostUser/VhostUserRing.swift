internal import AllyRings
internal import Glibc

/// A ring as the front end has set it up so far.
struct VhostUserRing {
  var size: UInt32 = 0
  var addresses = VhostUserRingAddresses(descriptors: 0, used: 0, available: 0)
  /// Where the next start begins.
  var position = VirtqueuePosition(available: 0, used: 0)
  /// Whether the front end has said where it begins, and it has not begun since.
  var isNew = false
  var kick: KickDescriptor?
  var call: EventDescriptor?
  var error: EventDescriptor?
  /// Started by the front end's first kick descriptor, stopped by its question for the base.
  var isStarted = false
  var isEnabled = false
  /// Whether the guest is to be interrupted, and no descriptor was there.
  var isCallWaiting = false

  /// Takes the base that the front end gives: a place in a split ring, or both places of a packed one.
  mutating func setBase(_ base: UInt32, isPacked: Bool) {
    isNew = true
    let available = UInt16(truncatingIfNeeded: base)
    position = VirtqueuePosition(
      available: available, used: isPacked ? UInt16(truncatingIfNeeded: base >> 16) : available)
  }

  /// The base as the front end wants it. Buffers that were taken and did not go back are taken again.
  func base(isPacked: Bool) -> UInt32 {
    UInt32(position.used) | (isPacked ? UInt32(position.used) << 16 : 0)
  }

  /// Interrupts the guest.
  mutating func raiseCall() {
    isCallWaiting = call == nil
    call?.raise()
  }
}

/// An eventfd by which the guest says that a ring has new buffers; closed when nobody refers to this object any more.
final class KickDescriptor {
  let number: Int32

  init(_ number: Int32) {
    self.number = number
    // Whatever the front end gave: it must not make us wait.
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
  }

  deinit { close(number) }

  /// Forgets kicks; the pass that follows looks at the ring.
  func clear() {
    var count: UInt64 = 0
    _ = unsafe read(number, &count, 8)
  }
}
