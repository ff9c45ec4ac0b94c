internal import AllyPacket

/// MD5 (RFC 1321), SHA-1 and SHA-256 (FIPS 180-4) over bytes that come in pieces: for `to_md5` and its siblings, for the
/// digests of files, and for JA3.
struct Digest {
  enum Function { case md5, sha1, sha256 }

  private let function: Function
  /// The chaining value: 4, 5 or 8 words.
  private var state: [UInt32]
  /// Bytes of a block that is not full yet.
  private var pending: [UInt8] = []
  /// The words of the block in hand, expanded.
  private var schedule: [UInt32]
  private var byteCount: UInt64 = 0

  init(_ function: Function) {
    self.function = function
    let start: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]
    switch function {
    case .md5:
      state = start
      schedule = Array(repeating: 0, count: 16)
    case .sha1:
      state = start + [0xC3D2_E1F0]
      schedule = Array(repeating: 0, count: 80)
    case .sha256:
      state = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
      ]
      schedule = Array(repeating: 0, count: 64)
    }
    pending.reserveCapacity(64)
  }

  /// The digest of bytes that are all there.
  static func of(_ bytes: Span<UInt8>, _ function: Function) -> [UInt8] {
    var digest = Digest(function)
    digest.update(bytes)
    return digest.finish()
  }

  /// Takes the bytes that come next.
  mutating func update(_ bytes: Span<UInt8>) {
    // Any byte may be read as raw memory.
    unsafe update(bytes.bytes)
  }

  /// Takes the bytes that come next.
  mutating func update(_ data: RawSpan) {
    byteCount &+= UInt64(data.byteCount)
    var offset = 0
    if !pending.isEmpty {
      offset = min(64 - pending.count, data.byteCount)
      pending.append(data.extracting(0..<offset))
      if pending.count == 64 { processPending() }
    }
    while let block = Window<64>(data, at: offset) {
      process(block)
      offset += 64
    }
    pending.append(data.extracting(offset...))
  }

  /// The digest's 16, 20 or 32 bytes. The value must not be used afterwards.
  mutating func finish() -> [UInt8] {
    let bits = byteCount &* 8
    pending.append(0x80)
    while pending.count != 56 {
      if pending.count == 64 { processPending() } else { pending.append(0) }
    }
    for place in 0..<8 {
      pending.append(UInt8(truncatingIfNeeded: bits >> UInt64(function == .md5 ? place * 8 : 56 - place * 8)))
    }
    processPending()
    return state.flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(function == .md5 ? $0 * 8 : 24 - $0 * 8)) }
    }
  }

  /// A block has come in pieces.
  private mutating func processPending() {
    let full = pending
    pending.removeAll(keepingCapacity: true)
    if let block = Window<64>(full.rawBytes, at: 0) { process(block) }
  }

  private mutating func process(_ block: borrowing Window<64>) {
    for word in 0..<16 {
      let value = block.u32(word * 4)
      schedule[word] = function == .md5 ? value.byteSwapped : value
    }
    switch function {
    case .md5: processMD5()
    case .sha1: processSHA1()
    case .sha256: processSHA256()
    }
  }

  private mutating func processMD5() {
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    for step in 0..<64 {
      let mixed: UInt32
      let word: Int
      switch step / 16 {
      case 0: (mixed, word) = (b & c | ~b & d, step)
      case 1: (mixed, word) = (b & d | c & ~d, (5 * step + 1) % 16)
      case 2: (mixed, word) = (b ^ c ^ d, (3 * step + 5) % 16)
      default: (mixed, word) = (c ^ (b | ~d), 7 * step % 16)
      }
      let sum = a &+ mixed &+ schedule[word] &+ Self.md5Sines[step]
      (a, d, c, b) = (d, c, b, b &+ sum.rotated(left: Self.md5Shifts[step / 16 * 4 + step % 4]))
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
  }

  private mutating func processSHA1() {
    for index in 16..<80 {
      schedule[index] =
        (schedule[index - 3] ^ schedule[index - 8] ^ schedule[index - 14] ^ schedule[index - 16]).rotated(left: 1)
    }
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for step in 0..<80 {
      let mixed: UInt32
      let constant: UInt32
      switch step / 20 {
      case 0: (mixed, constant) = (b & c | ~b & d, 0x5A82_7999)
      case 1: (mixed, constant) = (b ^ c ^ d, 0x6ED9_EBA1)
      case 2: (mixed, constant) = (b & c | b & d | c & d, 0x8F1B_BCDC)
      default: (mixed, constant) = (b ^ c ^ d, 0xCA62_C1D6)
      }
      let sum = a.rotated(left: 5) &+ mixed &+ e &+ constant &+ schedule[step]
      (e, d, c, b, a) = (d, c, b.rotated(left: 30), a, sum)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
  }

  private mutating func processSHA256() {
    for index in 16..<64 {
      let near = schedule[index - 2]
      let far = schedule[index - 15]
      schedule[index] =
        schedule[index - 16] &+ (far.rotated(left: 25) ^ far.rotated(left: 14) ^ far >> 3) &+ schedule[index - 7]
        &+ (near.rotated(left: 15) ^ near.rotated(left: 13) ^ near >> 10)
    }
    var words = state
    for step in 0..<64 {
      let e = words[4]
      let a = words[0]
      let choice = e & words[5] ^ ~e & words[6]
      let majority = a & words[1] ^ a & words[2] ^ words[1] & words[2]
      let first =
        words[7] &+ (e.rotated(left: 26) ^ e.rotated(left: 21) ^ e.rotated(left: 7)) &+ choice
        &+ Self.sha256Roots[step] &+ schedule[step]
      let second = (a.rotated(left: 30) ^ a.rotated(left: 19) ^ a.rotated(left: 10)) &+ majority
      for place in stride(from: 7, to: 0, by: -1) { words[place] = words[place - 1] }
      words[4] &+= first
      words[0] = first &+ second
    }
    for place in 0..<8 { state[place] &+= words[place] }
  }

  // RFC 1321 §3.4: how far each step of the four rounds turns.
  private static let md5Shifts: [UInt32] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]

  // RFC 1321 §3.4: 2^32 times the sine of 1 … 64.
  private static let md5Sines: [UInt32] = [
    0xD76A_A478, 0xE8C7_B756, 0x2420_70DB, 0xC1BD_CEEE, 0xF57C_0FAF, 0x4787_C62A, 0xA830_4613, 0xFD46_9501,
    0x6980_98D8, 0x8B44_F7AF, 0xFFFF_5BB1, 0x895C_D7BE, 0x6B90_1122, 0xFD98_7193, 0xA679_438E, 0x49B4_0821,
    0xF61E_2562, 0xC040_B340, 0x265E_5A51, 0xE9B6_C7AA, 0xD62F_105D, 0x0244_1453, 0xD8A1_E681, 0xE7D3_FBC8,
    0x21E1_CDE6, 0xC337_07D6, 0xF4D5_0D87, 0x455A_14ED, 0xA9E3_E905, 0xFCEF_A3F8, 0x676F_02D9, 0x8D2A_4C8A,
    0xFFFA_3942, 0x8771_F681, 0x6D9D_6122, 0xFDE5_380C, 0xA4BE_EA44, 0x4BDE_CFA9, 0xF6BB_4B60, 0xBEBF_BC70,
    0x289B_7EC6, 0xEAA1_27FA, 0xD4EF_3085, 0x0488_1D05, 0xD9D4_D039, 0xE6DB_99E5, 0x1FA2_7CF8, 0xC4AC_5665,
    0xF429_2244, 0x432A_FF97, 0xAB94_23A7, 0xFC93_A039, 0x655B_59C3, 0x8F0C_CC92, 0xFFEF_F47D, 0x8584_5DD1,
    0x6FA8_7E4F, 0xFE2C_E6E0, 0xA301_4314, 0x4E08_11A1, 0xF753_7E82, 0xBD3A_F235, 0x2AD7_D2BB, 0xEB86_D391,
  ]

  // FIPS 180-4 §4.2.2: of the cube roots of the first 64 primes the first 32 bits behind the point.
  private static let sha256Roots: [UInt32] = [
    0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4, 0xAB1C_5ED5,
    0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174,
    0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA,
    0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147, 0x06CA_6351, 0x1429_2967,
    0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85,
    0xA2BF_E8A1, 0xA81A_664B, 0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070,
    0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F, 0x682E_6FF3,
    0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208, 0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
  ]
}

extension UInt32 {
  fileprivate func rotated(left count: UInt32) -> UInt32 { self << count | self >> (32 - count) }
}
