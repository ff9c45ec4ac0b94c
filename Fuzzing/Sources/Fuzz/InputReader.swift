/// Takes an input apart. Behind its end there are zeros, so that every input means something and shorter ones mean less.
struct InputReader {
  private var bytes: ArraySlice<UInt8>

  init(_ input: [UInt8]) { bytes = input[...] }

  var isEmpty: Bool { bytes.isEmpty }

  mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

  /// A little-endian number.
  mutating func number<T: FixedWidthInteger>(_ type: T.Type) -> T {
    var value: T = 0
    for index in 0..<T.bitWidth / 8 { value |= T(truncatingIfNeeded: byte()) << T(truncatingIfNeeded: 8 * index) }
    return value
  }

  /// Up to `count` bytes, in an array of their own.
  mutating func take(_ count: Int) -> [UInt8] {
    let taken = Array(bytes.prefix(count))
    bytes = bytes.dropFirst(count)
    return taken
  }

  /// All that is left.
  mutating func rest() -> [UInt8] { take(bytes.count) }
}
