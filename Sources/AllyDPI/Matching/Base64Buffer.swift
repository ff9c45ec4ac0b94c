/// Where one core decodes base64 (RFC 4648 §4): fixed memory, so that a hostile payload cannot make it grow.
@safe
final class Base64Buffer {
  /// Decoded bytes at most.
  private static let capacity = 65_536
  private let bytes: UnsafeMutablePointer<UInt8>
  private(set) var count = 0

  init() {
    unsafe bytes = .allocate(capacity: Base64Buffer.capacity)
    unsafe bytes.initialize(repeating: 0, count: Base64Buffer.capacity)
  }

  deinit { unsafe bytes.deallocate() }

  /// The decoded bytes, until the next ``decode(_:)``.
  var view: ByteView { unsafe ByteView(base: bytes, count: count) }

  /// Decodes up to the first byte that is no digit of base64. A last group without all its digits counts as far as its
  /// digits go.
  func decode(_ text: ByteView) {
    count = 0
    var group: UInt32 = 0
    var digits = 0
    for index in 0..<text.count {
      guard let digit = Base64Buffer.digit(text[index]) else { break }
      group = group &<< 6 | UInt32(digit)
      digits += 1
      if digits == 4 {
        append(group, bytes: 3)
        group = 0
        digits = 0
      }
    }
    if digits > 1 { append(group &<< UInt32(6 * (4 - digits)), bytes: digits - 1) }
  }

  /// The upper `bytes` of 24 bits.
  private func append(_ group: UInt32, bytes wanted: Int) {
    for place in 0..<wanted where count < Base64Buffer.capacity {
      // `count` was just compared with the capacity.
      unsafe bytes[count] = UInt8(truncatingIfNeeded: group &>> UInt32(16 - 8 * place))
      count += 1
    }
  }

  /// The value of a digit; nil for other bytes.
  static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x41...0x5A: byte - 0x41
    case 0x61...0x7A: byte - 0x61 + 26
    case 0x30...0x39: byte - 0x30 + 52
    case 0x2B: 62
    case 0x2F: 63
    default: nil
    }
  }

  /// Decodes text as a whole; nil when it is not base64.
  static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var group: UInt32 = 0
    var digits = 0
    var isPadded = false
    for byte in text {
      if byte == 0x3D {
        isPadded = true
        continue
      }
      guard !isPadded, let digit = digit(byte) else { return nil }
      group = group << 6 | UInt32(digit)
      digits += 1
      if digits == 4 {
        for place in 0..<3 { result.append(UInt8(truncatingIfNeeded: group >> UInt32(16 - 8 * place))) }
        group = 0
        digits = 0
      }
    }
    if digits == 1 { return nil }
    if digits > 1 {
      group <<= UInt32(6 * (4 - digits))
      for place in 0..<digits - 1 { result.append(UInt8(truncatingIfNeeded: group >> UInt32(16 - 8 * place))) }
    }
    return result
  }
}
