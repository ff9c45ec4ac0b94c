/// A set of interrupt vectors: 256 bits, as IRR and ISR of a local APIC are.
@frozen
public struct VectorSet: Sendable, BitwiseCopyable, Equatable {
  @usableFromInline var words: (UInt64, UInt64, UInt64, UInt64)

  @inlinable
  public init() { words = (0, 0, 0, 0) }

  @inlinable
  public static func == (left: Self, right: Self) -> Bool { left.words == right.words }

  @usableFromInline
  subscript(word index: UInt8) -> UInt64 {
    get {
      switch index & 3 {
      case 0: words.0
      case 1: words.1
      case 2: words.2
      default: words.3
      }
    }
    set {
      switch index & 3 {
      case 0: words.0 = newValue
      case 1: words.1 = newValue
      case 2: words.2 = newValue
      default: words.3 = newValue
      }
    }
  }

  public func contains(_ vector: UInt8) -> Bool { self[word: vector >> 6] >> UInt64(vector & 63) & 1 == 1 }

  /// Adds a vector; false when it was there.
  @discardableResult
  public mutating func insert(_ vector: UInt8) -> Bool {
    defer { self[word: vector >> 6] |= 1 << UInt64(vector & 63) }
    return !contains(vector)
  }

  /// Takes a vector away; false when it was not there.
  @discardableResult
  public mutating func remove(_ vector: UInt8) -> Bool {
    defer { self[word: vector >> 6] &= ~(1 << UInt64(vector & 63)) }
    return contains(vector)
  }

  /// The highest vector, which has the highest priority.
  public var highest: UInt8? {
    for index in (0..<UInt8(4)).reversed() where self[word: index] != 0 {
      return index << 6 | UInt8(63 &- self[word: index].leadingZeroBitCount)
    }
    return nil
  }

  public var isEmpty: Bool { highest == nil }
}
