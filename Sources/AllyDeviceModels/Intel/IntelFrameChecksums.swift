import AllyHW

/// Frame checksums, which no NIC has: the "slightly enhanced NIC hardware" of the paper (§4.3).
///
/// Once switched on, descriptors have 32 bytes: the controller's own 16, then eight of checksum and eight of flags. In a receive
/// descriptor that ends a frame the controller puts the checksum of the frame's bytes as they lie in the buffers, and bit 0 of
/// the flags. In a transmit descriptor that ends a frame software does the same; the controller compares with what it has
/// fetched, and a frame whose bytes are others it does not send: it sets bit 1 of the flags and writes the descriptor back,
/// asked or not.
struct IntelFrameChecksums {
  /// Where the registers are, in a controller that has this.
  enum Register {
    static let control: UInt32 = 0xF000
    static let key: UInt32 = 0xF010
    static let end: UInt32 = 0xF020
  }

  static let present: UInt32 = 1 << 31

  /// The key: 16 bytes, the first in bits 7–0 of the first word.
  let key: (UInt64, UInt64)
  var isEnabled = false

  /// A read of one of the registers.
  func read(_ offset: UInt32) -> UInt32 {
    switch offset {
    case Register.control: Self.present | (isEnabled ? 1 : 0)
    case Register.key: UInt32(truncatingIfNeeded: key.0)
    case Register.key + 4: UInt32(truncatingIfNeeded: key.0 >> 32)
    case Register.key + 8: UInt32(truncatingIfNeeded: key.1)
    case Register.key + 12: UInt32(truncatingIfNeeded: key.1 >> 32)
    default: 0
    }
  }

  mutating func write(_ offset: UInt32, _ value: UInt32) {
    if offset == Register.control { isEnabled = value & 1 == 1 }
  }

  /// SipHash-2-4 of the bytes.
  func checksum(_ bytes: Span<UInt8>) -> UInt64 {
    var v: (UInt64, UInt64, UInt64, UInt64) = (
      key.0 ^ 0x736F_6D65_7073_6575, key.1 ^ 0x646F_7261_6E64_6F6D, key.0 ^ 0x6C79_6765_6E65_7261,
      key.1 ^ 0x7465_6462_7974_6573
    )
    var word: UInt64 = 0
    for index in bytes.indices {
      word |= UInt64(bytes[index]) << UInt64(8 * (index % 8))
      guard index % 8 == 7 else { continue }
      Self.absorb(word, &v)
      word = 0
    }
    Self.absorb(word | UInt64(bytes.count & 0xFF) << 56, &v)
    v.2 ^= 0xFF
    for _ in 0..<4 { Self.round(&v) }
    return v.0 ^ v.1 ^ v.2 ^ v.3
  }

  private static func absorb(_ word: UInt64, _ v: inout (UInt64, UInt64, UInt64, UInt64)) {
    v.3 ^= word
    round(&v)
    round(&v)
    v.0 ^= word
  }

  private static func round(_ v: inout (UInt64, UInt64, UInt64, UInt64)) {
    func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    v.0 &+= v.1
    v.1 = rotate(v.1, 13) ^ v.0
    v.0 = rotate(v.0, 32)
    v.2 &+= v.3
    v.3 = rotate(v.3, 16) ^ v.2
    v.0 &+= v.3
    v.3 = rotate(v.3, 21) ^ v.0
    v.2 &+= v.1
    v.1 = rotate(v.1, 17) ^ v.2
    v.2 = rotate(v.2, 32)
  }
}

extension IntelController {
  /// The bytes of a descriptor.
  var descriptorLength: UInt64 { checksums?.isEnabled == true ? 32 : 16 }

  /// Puts the checksum of a received frame's bytes into the descriptor at `address`; nothing while there are none.
  ///
  /// - Returns: false when the bus refused.
  func publishChecksum<Bus: DMABus & ~Copyable>(
    of bytes: Span<UInt8>, at address: BusAddress, on bus: inout Bus
  ) -> Bool {
    guard let checksums, checksums.isEnabled else { return true }
    return bus.publish(
      checksums.checksum(bytes), at: BusAddress(address.rawValue &+ 16), requester: requester)
      && bus.publish(1, at: BusAddress(address.rawValue &+ 24), requester: requester)
  }

  /// Whether the frame that a queue has gathered may be sent, whose last descriptor is at `address`. One that may not is marked
  /// there, and counted.
  mutating func verifyChecksum<Bus: DMABus & ~Copyable>(
    queue: Int, descriptor address: BusAddress, on bus: inout Bus
  ) -> Bool {
    guard let checksums, checksums.isEnabled else { return true }
    let place = BusAddress(address.rawValue &+ 16)
    guard let (checksum, flags) = readDescriptor(place, on: &bus), flags & 1 == 1 else { return true }
    let data = transmissions[queue].data
    guard checksums.checksum(data.span.extracting(0..<transmissions[queue].count)) != checksum else { return true }
    faults.checksumMismatches &+= 1
    _ = bus.publish(flags | 2, at: BusAddress(address.rawValue &+ 24), requester: requester)
    return false
  }
}
