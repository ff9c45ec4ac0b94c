/// AES with a key of 128 bits, one block at a time (FIPS 197), and its Galois/Counter mode (SP 800-38D). QUIC's first
/// packets are sealed with keys that everybody can derive (RFC 9001 §5.2); nothing here has to keep a secret, so nothing
/// is done about timing.
struct AES128 {
  /// Eleven round keys of 16 bytes.
  private let roundKeys: [UInt8]

  /// - Parameter key: 16 bytes.
  init(key: [UInt8]) {
    var words = Array(key.prefix(16)) + [UInt8](repeating: 0, count: max(0, 16 - key.count))
    var constant: UInt8 = 1
    for round in 1...10 {
      let last = words.count - 4
      var word = [words[last + 1], words[last + 2], words[last + 3], words[last]].map(Self.substitute)
      word[0] ^= constant
      constant = Self.double(constant)
      for column in 0..<4 {
        let start = (round - 1) * 16 + column * 4
        for place in 0..<4 { word[place] ^= words[start + place] }
        words.append(contentsOf: word)
      }
    }
    roundKeys = words
  }

  /// Enciphers a block of 16 bytes.
  func encrypt(_ block: [UInt8]) -> [UInt8] {
    var state = block
    addRoundKey(0, to: &state)
    for round in 1...10 {
      state = Self.shiftRows(state.map(Self.substitute))
      if round < 10 { Self.mixColumns(&state) }
      addRoundKey(round, to: &state)
    }
    return state
  }

  /// Opens what was sealed: the tag is the last 16 bytes.
  ///
  /// - Returns: nil when the tag is wrong.
  func open(_ sealed: ArraySlice<UInt8>, nonce: [UInt8], authenticating header: [UInt8]) -> [UInt8]? {
    guard sealed.count >= 16, nonce.count == 12 else { return nil }
    let text = sealed.dropLast(16)
    var counter = nonce + [0, 0, 0, 1]
    let mask = encrypt(counter)
    var hash = GaloisHash(key: encrypt([UInt8](repeating: 0, count: 16)))
    hash.update(header[...])
    hash.update(text)
    let tag = hash.finish(headerBits: UInt64(header.count) * 8, textBits: UInt64(text.count) * 8)
    guard zip(zip(tag, mask), sealed.suffix(16)).allSatisfy({ $0.0 ^ $0.1 == $1 }) else { return nil }
    var plain: [UInt8] = []
    plain.reserveCapacity(text.count)
    var rest = text
    var number: UInt32 = 1
    while !rest.isEmpty {
      number &+= 1
      for place in 0..<4 { counter[12 + place] = UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * place)) }
      for (byte, key) in zip(rest.prefix(16), encrypt(counter)) { plain.append(byte ^ key) }
      rest = rest.dropFirst(16)
    }
    return plain
  }

  private func addRoundKey(_ round: Int, to state: inout [UInt8]) {
    for place in 0..<16 { state[place] ^= roundKeys[round * 16 + place] }
  }

  private static func shiftRows(_ state: [UInt8]) -> [UInt8] {
    (0..<16).map { state[($0 + 4 * ($0 % 4)) % 16] }
  }

  private static func mixColumns(_ state: inout [UInt8]) {
    for column in stride(from: 0, to: 16, by: 4) {
      let (a, b, c, d) = (state[column], state[column + 1], state[column + 2], state[column + 3])
      let all = a ^ b ^ c ^ d
      state[column] = a ^ all ^ double(a ^ b)
      state[column + 1] = b ^ all ^ double(b ^ c)
      state[column + 2] = c ^ all ^ double(c ^ d)
      state[column + 3] = d ^ all ^ double(d ^ a)
    }
  }

  /// Times x in the field of 256 elements.
  private static func double(_ value: UInt8) -> UInt8 { value << 1 ^ (value & 0x80 != 0 ? 0x1B : 0) }

  private static func substitute(_ value: UInt8) -> UInt8 { box[Int(value)] }

  /// FIPS 197 §5.1.1: the inverse in the field, then an affine map. Powers of 3 run through the whole field.
  private static let box: [UInt8] = {
    var box = [UInt8](repeating: 0x63, count: 256)
    var value: UInt8 = 1
    var inverse: UInt8 = 1
    repeat {
      value = value ^ double(value)
      // Divided by 3.
      inverse ^= inverse << 1
      inverse ^= inverse << 2
      inverse ^= inverse << 4
      if inverse & 0x80 != 0 { inverse ^= 0x09 }
      let turned =
        inverse ^ (inverse << 1 | inverse >> 7) ^ (inverse << 2 | inverse >> 6) ^ (inverse << 3 | inverse >> 5)
        ^ (inverse << 4 | inverse >> 4)
      box[Int(value)] = turned ^ 0x63
    } while value != 1
    return box
  }()
}

/// GHASH (SP 800-38D §6.4).
private struct GaloisHash {
  private let key: (high: UInt64, low: UInt64)
  private var state: (high: UInt64, low: UInt64) = (0, 0)

  init(key: [UInt8]) { self.key = GaloisHash.words(key[...]) }

  /// Takes bytes, filled up with zeros to whole blocks.
  mutating func update(_ bytes: ArraySlice<UInt8>) {
    var rest = bytes
    while !rest.isEmpty {
      multiply(GaloisHash.words(rest.prefix(16)))
      rest = rest.dropFirst(16)
    }
  }

  mutating func finish(headerBits: UInt64, textBits: UInt64) -> [UInt8] {
    multiply((headerBits, textBits))
    return [state.high, state.low].flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
    }
  }

  private mutating func multiply(_ block: (high: UInt64, low: UInt64)) {
    let value = (high: state.high ^ block.high, low: state.low ^ block.low)
    var product: (high: UInt64, low: UInt64) = (0, 0)
    var term = key
    for bit in 0..<128 {
      let word = bit < 64 ? value.high : value.low
      if word >> UInt64(63 - bit % 64) & 1 != 0 {
        product.high ^= term.high
        product.low ^= term.low
      }
      let carry = term.low & 1
      term.low = term.low >> 1 | term.high << 63
      term.high >>= 1
      if carry != 0 { term.high ^= 0xE1 << 56 }
    }
    state = product
  }

  private static func words(_ bytes: ArraySlice<UInt8>) -> (high: UInt64, low: UInt64) {
    var words: (high: UInt64, low: UInt64) = (0, 0)
    for (place, byte) in bytes.enumerated() {
      if place < 8 {
        words.high |= UInt64(byte) << UInt64(56 - 8 * place)
      } else {
        words.low |= UInt64(byte) << UInt64(120 - 8 * place)
      }
    }
    return words
  }
}
