/// ``ASN1Match``, flat.
struct ASN1Step: BitwiseCopyable, Sendable {
  var bitStringOverflow: Bool
  var doubleOverflow: Bool
  /// 2³² and more for none.
  var longest: UInt64
  var isRelative: Bool
  var offset: Int32
  /// Objects within each other, and one behind the other, at most (`asn1-max-frames`).
  var mostObjects: UInt16

  init(_ match: ASN1Match, mostObjects: UInt16) {
    bitStringOverflow = match.bitStringOverflow
    doubleOverflow = match.doubleOverflow
    longest = match.longest.map(UInt64.init) ?? .max
    isRelative = match.isRelative
    offset = match.offset
    self.mostObjects = mostObjects
  }

  /// Whether one of the objects behind the offset has the fault. What cannot be decoded ends the search; too many objects are as good
  /// as none.
  func matches(_ bytes: ByteView, cursor: Int) -> Bool {
    let start = (isRelative ? cursor : 0) + Int(offset)
    guard start >= 0, start <= bytes.count else { return false }
    var place = start
    var objects: UInt16 = 0
    var isFaulty = false
    while place < bytes.count {
      if objects == mostObjects { return false }
      var hasFault = false
      guard let next = object(at: place, limit: bytes.count, depth: 0, in: bytes, &hasFault) else { break }
      isFaulty = isFaulty || hasFault
      objects &+= 1
      place = next
    }
    return isFaulty
  }

  /// Decodes an object and those within it.
  ///
  /// - Returns: where the next one begins; nil when it cannot be decoded.
  private func object(at start: Int, limit: Int, depth: UInt16, in bytes: ByteView, _ hasFault: inout Bool) -> Int? {
    guard depth < mostObjects, let header = ASN1Header(at: start, limit: limit, in: bytes) else { return nil }
    guard let length = header.length else {
      // X.690 §8.1.3.6: up to the end-of-contents object.
      guard header.holdsObjects else { return nil }
      var place = header.content
      while true {
        guard place < limit else { return nil }
        if place + 1 < limit, bytes[place] == 0, bytes[place + 1] == 0 { return place + 2 }
        guard let next = object(at: place, limit: limit, depth: depth + 1, in: bytes, &hasFault) else { return nil }
        place = next
      }
    }
    let end = header.content + length
    if UInt64(length) > longest { hasFault = true }
    if header.holdsObjects {
      var place = header.content
      while place < end {
        guard let next = object(at: place, limit: end, depth: depth + 1, in: bytes, &hasFault) else { return nil }
        place = next
      }
      return end
    }
    guard header.isUniversal else { return end }
    guard ASN1Content.isValid(header, bytes.slice(header.content..<end)) else { return nil }
    if header.isConstructed { return end }
    switch header.tag {
    case ASN1Tag.bitString:
      if bitStringOverflow && Int(bytes[header.content]) > length << 3 { hasFault = true }
    case ASN1Tag.real:
      // X.690 §8.5.8: decimal encoding.
      if doubleOverflow && length > 256 && bytes[header.content] & 0xC0 == 0 { hasFault = true }
    default: break
    }
    return end
  }
}

/// Numbers of universal types (X.680 §8.6).
private enum ASN1Tag {
  static let boolean: UInt64 = 1
  static let bitString: UInt64 = 3
  static let null: UInt64 = 5
  static let objectDescriptor: UInt64 = 7
  static let real: UInt64 = 9
  static let utf8String: UInt64 = 12
  static let sequence: UInt64 = 16
  static let set: UInt64 = 17
  static let numericString: UInt64 = 18
  static let printableString: UInt64 = 19
  static let ia5String: UInt64 = 22
  static let utcTime: UInt64 = 23
  static let generalizedTime: UInt64 = 24
  static let generalString: UInt64 = 27
  static let bmpString: UInt64 = 30
}

/// What stands in front of an object's content (X.690 §8.1.2, §8.1.3).
private struct ASN1Header {
  var isUniversal: Bool
  var isConstructed: Bool
  var tag: UInt64
  /// Where the content begins.
  var content: Int
  /// Of the content, which is there; nil for the indefinite form.
  var length: Int?

  /// Whether other objects are all that is in it, as far as Suricata looks.
  var holdsObjects: Bool { isUniversal && isConstructed && (tag == ASN1Tag.sequence || tag == ASN1Tag.set) }

  init?(at start: Int, limit: Int, in bytes: ByteView) {
    guard start < limit else { return nil }
    var place = start + 1
    isUniversal = bytes[start] & 0xC0 == 0
    isConstructed = bytes[start] & 0x20 != 0
    tag = UInt64(bytes[start] & 0x1F)
    if tag == 0x1F {
      tag = 0
      repeat {
        guard place < limit, tag < 1 << 25 else { return nil }
        tag = tag << 7 | UInt64(bytes[place] & 0x7F)
        place += 1
      } while bytes[place - 1] & 0x80 != 0
    }
    guard place < limit else { return nil }
    let first = bytes[place]
    place += 1
    content = place
    if first == 0x80 {
      length = nil
      return
    }
    var count = Int(first)
    if first > 0x80 {
      let digits = Int(first & 0x7F)
      guard first != 0xFF, digits <= limit - place else { return nil }
      count = 0
      for index in 0..<digits {
        guard count < 1 << 40 else { return nil }
        count = count << 8 | Int(bytes[place + index])
      }
      content = place + digits
    }
    guard count <= limit - content else { return nil }
    length = count
  }
}

/// What the content of universal types has to be; what is not is no object.
private enum ASN1Content {
  static func isValid(_ header: ASN1Header, _ content: ByteView) -> Bool {
    switch header.tag {
    case ASN1Tag.boolean: content.count == 1 && !header.isConstructed
    case ASN1Tag.null: content.count == 0 || header.isConstructed == false
    case ASN1Tag.bitString: content.count > 0 && !header.isConstructed
    case ASN1Tag.sequence, ASN1Tag.set: header.isConstructed
    case ASN1Tag.bmpString: !header.isConstructed && content.count % 2 == 0
    case ASN1Tag.numericString: isText(header, content) { $0 == 0x20 || $0 &- 0x30 < 10 }
    case ASN1Tag.printableString: isText(header, content, isPrintable)
    case ASN1Tag.utcTime: isTime(header, content, yearDigits: 2)
    case ASN1Tag.generalizedTime: isTime(header, content, yearDigits: 4)
    case ASN1Tag.objectDescriptor, ASN1Tag.utf8String:
      !header.isConstructed && String(validating: (0..<content.count).map { content[$0] }, as: UTF8.self) != nil
    case ASN1Tag.printableString...ASN1Tag.ia5String, ASN1Tag.generalizedTime...ASN1Tag.generalString:
      isText(header, content) { $0 < 0x80 }
    default: true
    }
  }

  private static func isText(_ header: ASN1Header, _ content: ByteView, _ isAllowed: (UInt8) -> Bool) -> Bool {
    !header.isConstructed && (0..<content.count).allSatisfy { isAllowed(content[$0]) }
  }

  /// X.680 §41.4.
  private static func isPrintable(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x20, 0x27...0x29, 0x2B...0x2F, 0x3A, 0x3D, 0x3F: true
    default: false
    }
  }

  /// X.680 §46, §47: date and time in digits; of UTC time the seconds may be left out, and `Z` stands behind it.
  private static func isTime(_ header: ASN1Header, _ content: ByteView, yearDigits: Int) -> Bool {
    var digits = 0
    while digits < content.count, content[digits] &- 0x30 < 10 { digits += 1 }
    func number(_ index: Int) -> Int { Int(content[index] - 0x30) * 10 + Int(content[index + 1] - 0x30) }
    guard !header.isConstructed, digits == yearDigits + 10 || yearDigits == 2 && digits == 10 else { return false }
    guard 1...12 ~= number(yearDigits), 1...31 ~= number(yearDigits + 2), number(yearDigits + 4) < 24,
      number(yearDigits + 6) < 60, digits == yearDigits + 8 || number(yearDigits + 8) < 60
    else { return false }
    if yearDigits == 2 { return content.count == digits + 1 && content[digits] == UInt8(ascii: "Z") }
    if digits == content.count { return true }
    return content[digits] == UInt8(ascii: "Z") ? content.count == digits + 1 : content[digits] == UInt8(ascii: ".")
  }
}
