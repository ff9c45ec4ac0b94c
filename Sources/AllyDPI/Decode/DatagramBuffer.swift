import AllyPacket

/// Room for one reassembled datagram.
@safe
struct DatagramBuffer: ~Copyable {
  /// The longest datagram (65,535 bytes after an IPv6 header) and its header.
  static var capacity: Int { 40 + 65_535 }

  private let base: UnsafeMutableRawPointer
  private(set) var count = 0

  init() {
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: Self.capacity, alignment: 16)
  }

  deinit { unsafe base.deallocate() }

  mutating func removeAll() { count = 0 }

  /// - Returns: false, and nothing changed, when the bytes do not fit.
  mutating func append(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount <= Self.capacity - count else { return false }
    let target = unsafe base + count
    // The room behind `count` was checked.
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress, source.count > 0 else { return }
      unsafe target.copyMemory(from: start, byteCount: source.count)
    }
    count += bytes.byteCount
    return true
  }

  /// Overwrites two bytes, the more significant first.
  mutating func store(_ value: UInt16, at offset: Int) {
    store(UInt8(value >> 8), at: offset)
    store(UInt8(truncatingIfNeeded: value), at: offset + 1)
  }

  mutating func store(_ value: UInt8, at offset: Int) {
    precondition(offset >= 0 && offset < count)
    unsafe base.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
  }

  var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }
}
