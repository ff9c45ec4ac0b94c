/// A list with room for a fixed number of elements, allocated once.
@safe
struct FixedList<Element: BitwiseCopyable>: ~Copyable {
  private let base: UnsafeMutablePointer<Element>
  let capacity: Int
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    unsafe base = .allocate(capacity: max(1, capacity))
  }

  deinit { unsafe base.deallocate() }

  /// - Returns: whether there was room.
  @inline(__always)
  mutating func append(_ element: Element) -> Bool {
    guard count < capacity else { return false }
    unsafe (base + count).initialize(to: element)
    count &+= 1
    return true
  }

  @inline(__always)
  mutating func removeAll() { count = 0 }

  /// Sorts in place what is nearly in order.
  mutating func sort(by precedes: (Element, Element) -> Bool) {
    var index = 1
    while index < count {
      let element = self[index]
      var place = index
      while place > 0, precedes(element, self[place &- 1]) {
        unsafe base[place] = self[place &- 1]
        place &-= 1
      }
      unsafe base[place] = element
      index &+= 1
    }
  }

  @inline(__always)
  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count)
    return unsafe base[index]
  }
}
