/// Receive-side scaling (82574 datasheet §7.1.11; 82576 datasheet §7.1.2.8): a hash of addresses and ports that selects a
/// queue, so that a connection's frames stay in one.
struct IntelRSS {
  /// Which headers were hashed; the numbers are those of the descriptor's RSS type field.
  enum HashType: UInt32 {
    case none = 0
    case tcpIPv4 = 1
    case ipv4 = 2
    case tcpIPv6 = 3
    case ipv6 = 5
    case udpIPv4 = 7
    case udpIPv6 = 8
  }

  var type: HashType = .none
  var hash: UInt32 = 0

  /// The bits of MRQC that say which headers are hashed.
  private enum Field {
    static let tcpIPv4: UInt32 = 1 << 16
    static let ipv4: UInt32 = 1 << 17
    /// Two bits, for what is with and without extension headers.
    static let tcpIPv6: UInt32 = 1 << 18 | 1 << 21
    static let ipv6: UInt32 = 1 << 19 | 1 << 20
    static let udpIPv4: UInt32 = 1 << 22
    static let udpIPv6: UInt32 = 1 << 23
  }

  init() {}

  /// - Parameters:
  ///   - fields: MRQC; bits 31–16 select what is hashed.
  ///   - key: reads a register of the 40-byte key, by its number from 0 to 9.
  init(_ frame: Span<UInt8>, _ layers: IntelFrameLayers?, fields: UInt32, key: (UInt32) -> UInt32) {
    guard let layers else { return }
    if layers.isTCP, fields & (layers.isIPv4 ? Field.tcpIPv4 : Field.tcpIPv6) != 0 {
      type = layers.isIPv4 ? .tcpIPv4 : .tcpIPv6
    } else if layers.isUDP, fields & (layers.isIPv4 ? Field.udpIPv4 : Field.udpIPv6) != 0 {
      type = layers.isIPv4 ? .udpIPv4 : .udpIPv6
    } else if fields & (layers.isIPv4 ? Field.ipv4 : Field.ipv6) != 0 {
      type = layers.isIPv4 ? .ipv4 : .ipv6
    } else {
      return
    }
    var toeplitz = Toeplitz(key: key)
    let addresses = layers.isIPv4 ? (layers.ip + 12)..<(layers.ip + 20) : (layers.ip + 8)..<(layers.ip + 40)
    for index in addresses { toeplitz.add(frame[index]) }
    if type != .ipv4, type != .ipv6 {
      for index in layers.transport..<(layers.transport + 4) { toeplitz.add(frame[index]) }
    }
    hash = toeplitz.hash
  }

  /// The entry of the redirection table of 128 bytes that the hash selects.
  func redirection(table: (UInt32) -> UInt32) -> UInt32 {
    let index = hash & 127
    return table(index >> 2) >> (8 * (index & 3)) & 0xFF
  }

  /// The Toeplitz hash: for each bit of the input that is set, 32 bits of the key from there on.
  private struct Toeplitz {
    private(set) var hash: UInt32 = 0
    /// The key from the present bit on.
    private var window: UInt64
    private var place: UInt32 = 8
    private let key: InlineArray<40, UInt8>

    init(key register: (UInt32) -> UInt32) {
      var bytes = InlineArray<40, UInt8>(repeating: 0)
      for index in 0..<40 {
        bytes[index] = UInt8(truncatingIfNeeded: register(UInt32(index) >> 2) >> (8 * (UInt32(index) & 3)))
      }
      key = bytes
      var first: UInt64 = 0
      for index in 0..<8 { first = first << 8 | UInt64(bytes[index]) }
      window = first
    }

    mutating func add(_ byte: UInt8) {
      for bit in (0..<8).reversed() {
        if byte >> UInt8(bit) & 1 == 1 { hash ^= UInt32(truncatingIfNeeded: window >> 32) }
        window <<= 1
      }
      // Eight bits have gone out of the window: the next eight come in.
      if place < 40 { window |= UInt64(key[Int(place)]) }
      place += 1
    }
  }
}
