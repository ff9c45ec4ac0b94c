/// Values that are written once, when rules are compiled, and read by every core.
///
/// A pointer and a count instead of an array, so that the packet path reads it without reference counting. The
/// ``DetectionProgram`` owns the memory and frees it; whoever copies the table keeps the program alive.
@safe
struct ConstantTable<Element: BitwiseCopyable>: @unchecked Sendable {
  // Never written after `init`, therefore safe to share.
  private let base: UnsafeMutablePointer<Element>
  let count: Int

  init(_ elements: [Element]) {
    count = elements.count
    unsafe base = .allocate(capacity: max(1, elements.count))
    for (index, element) in elements.enumerated() { unsafe (base + index).initialize(to: element) }
  }

  @inline(__always)
  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count)
    return unsafe base[index]
  }

  @inline(__always)
  subscript(index: UInt32) -> Element { self[Int(index)] }

  /// Where the elements are, for C functions; valid while the owner lives.
  @unsafe var pointer: UnsafePointer<Element> { unsafe UnsafePointer(base) }

  /// Frees the memory; no copy may be used afterwards.
  @unsafe func deallocate() { unsafe base.deallocate() }
}

/// A run of elements in a ``ConstantTable``.
struct TableRange: BitwiseCopyable, Sendable {
  var start: UInt32
  var count: UInt32

  static var empty: TableRange { TableRange(start: 0, count: 0) }
  var isEmpty: Bool { count == 0 }
  @inline(__always) var indices: Range<Int> { Int(start)..<(Int(start) &+ Int(count)) }
}

extension ConstantTable where Element: Comparable {
  /// The place of the first element that is greater than `value`, among `count` that ascend from `start` on; the place behind them
  /// when none is.
  @inline(__always)
  func firstIndex(above value: Element, from start: Int, count: Int) -> Int {
    var low = start
    var high = start &+ count
    while low < high {
      let middle = (low &+ high) / 2
      if self[middle] <= value { low = middle &+ 1 } else { high = middle }
    }
    return low
  }
}

extension [UInt32] {
  /// Appends `elements`, and says where they are.
  mutating func appendRun(_ elements: some Collection<UInt32>) -> TableRange {
    let range = TableRange(start: UInt32(count), count: UInt32(elements.count))
    append(contentsOf: elements)
    return range
  }
}
