public import AllyPacket
internal import CAllyLinux
internal import Glibc

/// Listens to interfaces, on one thread.
public final class InterfaceListener {
  private final class Place {
    var ring: PacketRing

    init(_ ring: consuming PacketRing) { self.ring = ring }
  }

  private var places: [Place] = []
  /// Frames that were given out so far, over all interfaces.
  private var ordinal: UInt64 = 0
  /// The most blocks of one interface before every other has its turn.
  private static let blocksAtOnce = 16

  public init() {}

  /// Begins to hear an interface; its frames wait until ``run(until:often:inspect:)``.
  public func listen(to interface: String, settings: PacketRing.Settings) throws(HostError) {
    places.append(Place(try PacketRing(interface, settings: settings)))
  }

  /// What each interface's ring counted.
  public var counts: [(interface: String, counts: PacketRing.Counts)] {
    places.map { ($0.ring.interface, $0.ring.counts()) }
  }

  /// Works until a descriptor is readable, and then through what was heard until that moment.
  ///
  /// - Parameters:
  ///   - stop: what ends it.
  ///   - often: called every quarter of a second and at the end; ends the work when it returns false.
  ///   - inspect: gets each frame.
  /// - Throws: when an interface is gone; what was heard until then was given out. One that is down may come up again.
  public func run(
    until stop: Int32, often: () -> Bool, inspect: (borrowing Packet) -> Void
  ) throws(HostError) {
    var next: UInt64 = 0
    while true {
      let now = MonotonicTime.now
      if now >= next {
        next = now + GuestServer.period
        guard often() else { return }
      }
      let isToStop: Bool
      do throws(HostError) {
        isToStop = try wait(for: stop, until: next)
      } catch {
        finish(often, inspect)
        throw error
      }
      takeBlocks(inspect)
      if isToStop { return finish(often, inspect) }
    }
  }

  private func takeBlocks(_ inspect: (borrowing Packet) -> Void) {
    for place in places {
      var left = Self.blocksAtOnce
      while left > 0, place.ring.takeBlock(ordinal: &ordinal, inspect) { left -= 1 }
    }
  }

  /// What the kernel has not handed over yet is complete when the oldest block is.
  private func finish(_ often: () -> Bool, _ inspect: (borrowing Packet) -> Void) {
    var entries = places.map { pollfd(fd: $0.ring.descriptor, events: Int16(POLLIN), revents: 0) }
    // Twice as long as a block stays open. New frames must not keep it from ending.
    let end = MonotonicTime.now + 20_000_000
    repeat {
      let now = MonotonicTime.now
      _ = unsafe ally_wait(&entries, entries.count, end > now ? end - now : 0)
      takeBlocks(inspect)
    } while MonotonicTime.now < end
    _ = often()
  }

  /// - Returns: whether it is to stop.
  private func wait(for stop: Int32, until deadline: UInt64) throws(HostError) -> Bool {
    var entries = [pollfd(fd: stop, events: Int16(POLLIN), revents: 0)]
    entries += places.map { pollfd(fd: $0.ring.descriptor, events: Int16(POLLIN), revents: 0) }
    let now = MonotonicTime.now
    let count = unsafe ally_wait(&entries, entries.count, deadline > now ? deadline - now : 0)
    if count < 0, errno != EINTR { throw HostError("cannot wait for frames", code: errno) }
    for (entry, place) in zip(entries.dropFirst(), places) where entry.revents & Int16(POLLERR) != 0 {
      // Down: nothing passes until it is up again.
      guard place.ring.isThere() else { throw HostError("the interface \(place.ring.interface) is gone") }
    }
    return count > 0 && entries[0].revents != 0
  }
}
