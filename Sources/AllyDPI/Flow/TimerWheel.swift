/// Wakes records up at a second: one bucket a second, in a ring.
///
/// A record that is used again is not moved; when its bucket comes, its owner looks whether its time is really over and schedules it
/// anew otherwise. So a packet costs nothing here, and a record one step per time-out.
@safe
struct TimerWheel: ~Copyable {
  /// Seconds ahead that can be told apart; later ones come early and are scheduled anew.
  static var span: UInt64 { 1024 }

  private struct Links: BitwiseCopyable {
    var next: UInt32
    var previous: UInt32
    var bucket: UInt32
  }

  private let heads: UnsafeMutablePointer<UInt32>
  private let links: UnsafeMutablePointer<Links>
  /// All buckets before this second are empty.
  private var current: UInt64 = 0

  /// - Parameter capacity: records, named by places below it.
  init(capacity: Int) {
    unsafe heads = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(Self.span))
    unsafe heads.initialize(repeating: .max, count: Int(Self.span))
    unsafe links = UnsafeMutablePointer<Links>.allocate(capacity: capacity)
  }

  deinit {
    unsafe heads.deallocate()
    unsafe links.deallocate()
  }

  /// Sets a record that is not scheduled to wake up at `second`.
  mutating func schedule(_ place: UInt32, at second: UInt64, now: UInt64) {
    current = current == 0 ? now : current
    let bucket = UInt32(min(max(second, current), current + Self.span - 1) % Self.span)
    let next = unsafe heads[Int(bucket)]
    unsafe links[Int(place)] = Links(next: next, previous: .max, bucket: bucket)
    if next != .max { unsafe links[Int(next)].previous = place }
    unsafe heads[Int(bucket)] = place
  }

  /// Takes a scheduled record out.
  mutating func cancel(_ place: UInt32) {
    let own = unsafe links[Int(place)]
    if own.previous == .max {
      unsafe heads[Int(own.bucket)] = own.next
    } else {
      unsafe links[Int(own.previous)].next = own.next
    }
    if own.next != .max { unsafe links[Int(own.next)].previous = own.previous }
  }

  /// Takes out a record whose second is over.
  ///
  /// - Returns: nil when there is none, or when `steps` buckets were empty: the rest is for the next call.
  mutating func next(before second: UInt64, steps: inout Int) -> UInt32? {
    if current == 0 || second > current + Self.span { current = current == 0 ? second : second - Self.span }
    while current < second && steps > 0 {
      let head = unsafe heads[Int(current % Self.span)]
      if head != .max {
        cancel(head)
        return head
      }
      current += 1
      steps -= 1
    }
    return nil
  }
}
