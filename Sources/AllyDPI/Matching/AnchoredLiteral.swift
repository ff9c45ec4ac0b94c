/// A few bytes that must be there, at a fixed place or anywhere: how a signature is found whose literals are too common to be
/// searched for together. To look for them costs less than an evaluation that fails.
struct AnchoredLiteral: BitwiseCopyable, Sendable {
  /// Where the bytes stand; from the end, where they end the data.
  private let offset: Int32
  private let place: Place
  /// How many of them are compared: at most 4.
  private let length: UInt8
  private enum Place: UInt8, BitwiseCopyable { case fromStart, fromEnd, anywhere }

  /// The first in the lowest bits; letters without their case where it does not matter.
  private let value: UInt32
  private let mask: UInt32

  /// - Returns: a content of the rule that has one place alone in the data, and where it is looked for; nil when there is none.
  static func best(of rule: Rule, in isPossible: (BufferView) -> Bool) -> (literal: AnchoredLiteral, view: BufferView)?
  {
    for case .content(let content) in rule.options where !content.isNegated && isPossible(content.view) {
      if let place = place(of: content) { return (AnchoredLiteral(content, place), content.view) }
    }
    return nil
  }

  /// - Returns: a literal of the rule's payload that may stand anywhere; nil when it has none.
  static func anywhere(in rule: Rule) -> AnchoredLiteral? {
    for case .content(let content) in rule.options
    where content.view == .payload && !content.isNegated {
      return AnchoredLiteral(content, (0, .anywhere))
    }
    return nil
  }

  private init(_ content: ContentMatch, _ place: (offset: Int, Place)) {
    var value: UInt32 = 0
    var mask: UInt32 = 0
    for (index, byte) in content.bytes.prefix(4).enumerated() {
      let isLetter = (byte | 0x20) &- 0x61 < 26
      let bits: UInt8 = content.isCaseless && isLetter ? 0xDF : 0xFF
      value |= UInt32(byte & bits) << UInt32(8 * index)
      mask |= UInt32(bits) << UInt32(8 * index)
    }
    offset = Int32(clamping: place.offset)
    self.place = place.1
    length = UInt8(min(4, content.bytes.count))
    self.value = value
    self.mask = mask
  }

  private static func place(of content: ContentMatch) -> (offset: Int, Place)? {
    if content.isRelative { return nil }
    if content.endsWith { return (content.bytes.count, .fromEnd) }
    guard case .constant(let depth)? = content.depth, depth == content.bytes.count else { return nil }
    switch content.offset {
    case nil: return (0, .fromStart)
    case .constant(let offset)?: return offset >= 0 ? (offset, .fromStart) : nil
    case .variable?: return nil
    }
  }

  /// Whether one comparison finds it.
  var hasOnePlace: Bool { place != .anywhere }
  /// Whether it stands at the data's end, which a stream has not.
  var needsEnd: Bool { place == .fromEnd }
  /// Whether it counts from the start of the data: of a stream, from its start alone.
  var needsStart: Bool { place == .fromStart }

  /// Whether the bytes are there.
  @inline(__always)
  func isIn(_ bytes: ByteView) -> Bool {
    switch place {
    case .fromStart: stands(at: Int(offset), in: bytes)
    case .fromEnd: stands(at: bytes.count &- Int(offset), in: bytes)
    case .anywhere: isAnywhere(in: bytes)
    }
  }

  @inline(__always)
  private func stands(at start: Int, in bytes: ByteView) -> Bool {
    guard start >= 0, Int(length) <= bytes.count &- start else { return false }
    // The mask leaves out what stands behind a shorter literal.
    if bytes.count &- start >= 4 { return bytes.word(at: start) & mask == value }
    var found: UInt32 = 0
    for place in 0..<Int(length) { found |= UInt32(bytes[start &+ place]) &<< UInt32(8 &* place) }
    return found & mask == value
  }

  private func isAnywhere(in bytes: ByteView) -> Bool {
    guard Int(length) <= bytes.count else { return false }
    let first = UInt8(truncatingIfNeeded: value)
    // Without its case a letter is kept as a capital.
    let isEitherCase = mask & 0xFF == 0xDF
    var places = LiteralSearch.Places(
      first, orElse: isEitherCase ? first | 0x20 : nil, in: bytes, from: 0, through: bytes.count &- Int(length))
    while let place = places.next() {
      if stands(at: place, in: bytes) { return true }
    }
    return false
  }
}
