internal import AllyPacket

/// Cuts one side's stream into records: a header of five bytes (RFC 8446 §5.1), or SSL 2's of two or three, and as many
/// bytes as it says.
struct TLSRecordLayer {
  /// The header so far.
  private var header: [UInt8] = []
  /// A record's header is there, and its bytes are being taken.
  var isOpen = false
  /// Bytes of the record that have not come.
  var remaining = 0
  /// Whether the record's bytes are kept in ``body``.
  var keeps = false
  private(set) var body: [UInt8] = []
  /// Of handshake messages the bytes that have not been read.
  var handshake: [UInt8] = []
  /// Whether this side's records are encrypted from here on.
  var isEncrypted = false
  /// Where records begin is not known any more.
  var isLost = false

  var headerBytes: [UInt8] { header }
  var isSSL2: Bool { (header.first ?? 0) & 0xC0 != 0 }
  var type: UInt8 { header.first ?? 0 }
  var version: UInt16 { header.count > 2 ? UInt16(header[1]) << 8 | UInt16(header[2]) : 0 }

  /// Bytes behind the header.
  var length: Int {
    guard header.count >= headerLength else { return 0 }
    if !isSSL2 { return Int(header[3]) << 8 | Int(header[4]) }
    return Int(header[0] & (header[0] & 0x80 != 0 ? 0x7F : 0x3F)) << 8 | Int(header[1])
  }

  private var headerLength: Int {
    guard let first = header.first, first & 0xC0 != 0 else { return 5 }
    return first & 0x80 != 0 ? 2 : 3
  }

  /// All bytes of a record are there.
  var isComplete: Bool { isOpen && remaining == 0 }

  /// Takes bytes of a header.
  ///
  /// - Returns: whether it is there as a whole.
  mutating func begin(_ data: RawSpan, _ offset: inout Int) -> Bool {
    while offset < data.byteCount, header.isEmpty || header.count < headerLength {
      header.append(data.byte(at: offset))
      offset += 1
    }
    return !header.isEmpty && header.count == headerLength
  }

  /// Takes bytes of the record.
  mutating func take(_ data: RawSpan, _ offset: inout Int) {
    let count = min(remaining, data.byteCount - offset)
    if keeps { body.append(data.extracting(offset..<(offset + count))) }
    remaining -= count
    offset += count
  }

  mutating func skip(_ count: Int) {
    if isOpen && !keeps && count <= remaining {
      remaining -= count
      if remaining == 0 { reset() }
    } else {
      isLost = true
    }
  }

  /// Gets ready for the next record.
  mutating func reset() {
    header.removeAll(keepingCapacity: true)
    body.removeAll(keepingCapacity: true)
    isOpen = false
    remaining = 0
  }
}
