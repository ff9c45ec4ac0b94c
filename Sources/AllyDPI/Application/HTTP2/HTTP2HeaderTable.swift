/// Header fields of one side as they are compressed (RFC 7541).
struct HTTP2HeaderTable {
  typealias Field = (name: [UInt8], value: [UInt8])

  /// What could not be read.
  enum Problem: Error { case malformed, integerOverflow, updateTooLarge }

  /// The newest first.
  private var entries: [Field] = []
  private var size = 0
  private var capacity = 4096
  /// Sizes that the side said its table has, each with the number of fields before it in the block.
  private(set) var updates: [(place: Int, size: UInt32)] = []

  /// The last block had more fields than are read.
  private(set) var hasMore = false

  private static var largestCapacity: Int { 65_536 }

  /// Reads a header block.
  ///
  /// - Parameters:
  ///   - block: with all that continues it.
  ///   - limits: bytes of a field, and fields.
  mutating func decode(_ block: ArraySlice<UInt8>, limits: ApplicationLimits) throws(Problem) -> [Field] {
    var reader = ByteReader(block)
    var fields: [Field] = []
    updates.removeAll()
    hasMore = false
    while let first = reader.peek(), fields.count < limits.headers {
      if first & 0x80 != 0 {
        fields.append(try field(at: try HTTP2HeaderTable.number(&reader, bits: 7)))
      } else if first & 0xE0 == 0x20 {
        let wanted = try HTTP2HeaderTable.number(&reader, bits: 5)
        updates.append((fields.count, UInt32(clamping: wanted)))
        guard wanted <= HTTP2HeaderTable.largestCapacity else { throw .updateTooLarge }
        capacity = wanted
        evict()
      } else {
        let isIndexed = first & 0x40 != 0
        let index = try HTTP2HeaderTable.number(&reader, bits: isIndexed ? 6 : 4)
        let name = index == 0 ? try HTTP2HeaderTable.text(&reader, limits.field) : try field(at: index).name
        let value = try HTTP2HeaderTable.text(&reader, limits.field)
        fields.append((name, value))
        if isIndexed { insert((name, value)) }
      }
    }
    hasMore = reader.peek() != nil
    return fields
  }

  private func field(at index: Int) throws(Problem) -> Field {
    if index >= 1 && index <= HTTP2HeaderTable.fixed.count { return HTTP2HeaderTable.fixed[index - 1] }
    let place = index - HTTP2HeaderTable.fixed.count - 1
    guard place >= 0, place < entries.count else { throw .malformed }
    return entries[place]
  }

  private mutating func insert(_ field: Field) {
    entries.insert(field, at: 0)
    size += field.name.count + field.value.count + 32
    evict()
  }

  private mutating func evict() {
    while size > capacity, let last = entries.popLast() { size -= last.name.count + last.value.count + 32 }
  }

  /// §5.1.
  private static func number(_ reader: inout ByteReader, bits: UInt8) throws(Problem) -> Int {
    guard let first = reader.u8() else { throw .malformed }
    let mask = UInt8(truncatingIfNeeded: 1 << UInt16(bits) - 1)
    var number = Int(first & mask)
    guard number == Int(mask) else { return number }
    for shift in stride(from: 0, to: 28, by: 7) {
      guard let byte = reader.u8() else { throw .malformed }
      number += Int(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return number }
    }
    throw .integerOverflow
  }

  /// §5.2.
  private static func text(_ reader: inout ByteReader, _ limit: Int) throws(Problem) -> [UInt8] {
    let isCoded = (reader.peek() ?? 0) & 0x80 != 0
    let length = try number(&reader, bits: 7)
    guard length <= limit, let bytes = reader.take(length) else { throw .malformed }
    if !isCoded { return Array(bytes) }
    guard let text = HTTP2Huffman.decode(bytes, limit: limit) else { throw .malformed }
    return text
  }

  // Appendix A.
  private static let fixed: [Field] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""),
    ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""),
    ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
    ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
    ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
    ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
    ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
  ].map { (name: Array($0.0.utf8), value: Array($0.1.utf8)) }
}
