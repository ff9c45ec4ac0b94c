internal import Glibc

/// What the two sides say of themselves first: the protocol's version, and capabilities as JSON.
struct VFIOUserVersion: Equatable {
  /// Bytes that a read or write of a region may have.
  static let longestTransfer = 1 << 20

  var minor: UInt16
  /// Whether the client may send several writes in one message.
  var writesMultiple: Bool

  /// Reads the client's words.
  init(_ payload: ArraySlice<UInt8>) throws(VFIOUserRefusal) {
    var reader = LittleEndianReader(payload)
    guard let major = reader.take(UInt16.self), let minor = reader.take(UInt16.self) else {
      throw VFIOUserRefusal(EINVAL)
    }
    guard major == 0 else {
      throw VFIOUserRefusal(EINVAL, "the client speaks version \(major).\(minor) of vfio-user; expected 0")
    }
    self.minor = minor
    let text = reader.rest.prefix { $0 != 0 }
    var capabilities = JSONScanner(text)
    writesMultiple = false
    // A client without capabilities sends none at all.
    if text.isEmpty { return }
    let isGood = capabilities.scan { path, value in
      if path == ["capabilities", "write_multiple"] { writesMultiple = value == "true" }
    }
    guard isGood else { throw VFIOUserRefusal(EINVAL, "the client's capabilities are no JSON object") }
  }

  /// Our words: our own version, and of the capabilities those that both sides have.
  func reply(maximumMaps: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 0 as UInt16)
    bytes.append(littleEndian: min(minor, 1))
    var words =
      #""max_msg_fds":16,"max_data_xfer_size":\#(Self.longestTransfer),"max_dma_maps":\#(maximumMaps),"pgsizes":4096"#
    if writesMultiple { words += #","write_multiple":true"# }
    bytes += Array("{\"capabilities\":{\(words)}}".utf8)
    bytes.append(0)
    return bytes
  }
}

/// Walks over a JSON object (RFC 8259) and tells the scalar members. Nothing is built, depth is bounded.
struct JSONScanner {
  private let bytes: ArraySlice<UInt8>
  private var place: Int
  private static let deepest = 16

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    place = bytes.startIndex
  }

  /// - Parameter member: called for each member of the object, and of objects in it, that is no object or array: the names
  ///   that lead to it, and the value as it is written.
  /// - Returns: whether it is an object, and nothing else.
  mutating func scan(_ member: ([String], String) -> Void) -> Bool {
    skipSpace()
    guard peek == UInt8(ascii: "{"), value([], member) else { return false }
    skipSpace()
    return peek == nil
  }

  private var peek: UInt8? { place < bytes.endIndex ? bytes[place] : nil }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { place += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard peek == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  private mutating func value(_ path: [String], _ member: ([String], String) -> Void) -> Bool {
    guard path.count < Self.deepest else { return false }
    skipSpace()
    switch peek {
    case UInt8(ascii: "{"): return list(path, end: "}", hasNames: true, member)
    case UInt8(ascii: "["): return list(path, end: "]", hasNames: false, member)
    case UInt8(ascii: "\""):
      guard let text = string() else { return false }
      member(path, text)
      return true
    default:
      let start = place
      while let byte = peek, byte != UInt8(ascii: ","), byte != UInt8(ascii: "}"), byte != UInt8(ascii: "]"),
        byte > 0x20
      {
        place += 1
      }
      guard place > start else { return false }
      member(path, String(decoding: bytes[start..<place], as: UTF8.self))
      return true
    }
  }

  private mutating func list(
    _ path: [String], end: Unicode.Scalar, hasNames: Bool, _ member: ([String], String) -> Void
  ) -> Bool {
    place += 1
    if take(end) { return true }
    repeat {
      var name = ""
      if hasNames {
        skipSpace()
        guard let text = string(), take(":") else { return false }
        name = text
      }
      guard value(path + [name], member) else { return false }
    } while take(",")
    return take(end)
  }

  /// A string, with its escapes as they are written: no name that matters has one.
  private mutating func string() -> String? {
    guard peek == UInt8(ascii: "\"") else { return nil }
    place += 1
    let start = place
    while let byte = peek, byte != UInt8(ascii: "\"") { place += byte == UInt8(ascii: "\\") ? 2 : 1 }
    guard peek != nil else {
      place = bytes.endIndex
      return nil
    }
    defer { place += 1 }
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }
}
