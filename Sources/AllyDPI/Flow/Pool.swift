/// A fixed number of records of one type, named by their place.
///
/// Places are handed out and taken back in constant time, without asking the system for memory; memory that was never used is
/// never touched.
@safe
struct Pool<Element: BitwiseCopyable>: ~Copyable {
  private let elements: UnsafeMutablePointer<Element>
  /// For a free place the next free one.
  private let links: UnsafeMutablePointer<UInt32>
  private var free: UInt32 = .max
  /// Places from here on were never used.
  private(set) var untouched: UInt32 = 0
  private(set) var count = 0
  let capacity: Int

  init(capacity: Int) {
    self.capacity = max(1, min(capacity, Int(UInt32.max) - 1))
    unsafe elements = UnsafeMutablePointer<Element>.allocate(capacity: self.capacity)
    unsafe links = UnsafeMutablePointer<UInt32>.allocate(capacity: self.capacity)
  }

  deinit {
    unsafe elements.deallocate()
    unsafe links.deallocate()
  }

  /// - Returns: the new record's place; nil when all are in use.
  mutating func insert(_ element: Element) -> UInt32? {
    let place: UInt32
    if free != .max {
      place = free
      unsafe free = links[Int(place)]
    } else {
      guard Int(untouched) < capacity else { return nil }
      place = untouched
      untouched += 1
    }
    count += 1
    unsafe elements[Int(place)] = element
    return place
  }

  /// Takes a record out. Its place may be handed out again at once.
  mutating func remove(_ place: UInt32) {
    precondition(place < untouched)
    unsafe links[Int(place)] = free
    free = place
    count -= 1
  }

  /// The record at a place that was handed out. A place that was taken back since gives the record that is there now: never
  /// other memory.
  subscript(place: UInt32) -> Element {
    @inline(__always)
    unsafeAddress {
      precondition(place < untouched)
      return unsafe UnsafePointer(elements + Int(place))
    }
    @inline(__always)
    unsafeMutableAddress {
      precondition(place < untouched)
      return unsafe elements + Int(place)
    }
  }
}
