/// Names in certificates (RFC 5280 §4.1.2.4), written as `C=US, O=Example`.
enum DistinguishedName {
  /// - Parameter content: of the sequence of relative names.
  /// - Returns: nil when it is no such sequence.
  static func text(_ content: ArraySlice<UInt8>) -> [UInt8]? {
    var names = DERReader(content)
    var text: [UInt8] = []
    while !names.isEmpty {
      guard var attributes = names.enter(DERTag.set) else { return nil }
      var isFirst = true
      while !attributes.isEmpty {
        guard var attribute = attributes.enter(DERTag.sequence),
          let type = attribute.next(DERTag.objectIdentifier)?.content, let value = attribute.next()
        else { return nil }
        if !isFirst {
          text.append(text: " + ")
        } else if !text.isEmpty {
          text.append(text: ", ")
        }
        isFirst = false
        append(name: type, to: &text)
        text.append(UInt8(ascii: "="))
        text.append(contentsOf: value.content)
      }
    }
    return text
  }

  private static func append(name type: ArraySlice<UInt8>, to text: inout [UInt8]) {
    if let known = names.first(where: { $0.type.elementsEqual(type) }) {
      text.append(text: known.name)
      return
    }
    text.append(text: "OID(")
    appendDotted(type, to: &text)
    text.append(text: ")")
  }

  /// X.690 §8.19.
  static func appendDotted(_ type: ArraySlice<UInt8>, to text: inout [UInt8]) {
    var number: UInt64 = 0
    var isFirst = true
    for byte in type {
      number = (number & 0x00FF_FFFF_FFFF_FFFF) << 7 | UInt64(byte & 0x7F)
      if byte & 0x80 != 0 { continue }
      if isFirst {
        let root = min(number / 40, 2)
        text.appendDecimal(root)
        text.append(UInt8(ascii: "."))
        text.appendDecimal(number - root * 40)
      } else {
        text.append(UInt8(ascii: "."))
        text.appendDecimal(number)
      }
      isFirst = false
      number = 0
    }
  }

  // X.520, RFC 2985, RFC 4519 and the attributes of extended validation.
  private static let names: [(type: [UInt8], name: StaticString)] = [
    ([0x55, 4, 3], "CN"), ([0x55, 4, 6], "C"), ([0x55, 4, 7], "L"), ([0x55, 4, 8], "ST"), ([0x55, 4, 10], "O"),
    ([0x55, 4, 11], "OU"),
    ([0x55, 4, 4], "surname"), ([0x55, 4, 5], "serialNumber"), ([0x55, 4, 9], "street"), ([0x55, 4, 12], "title"),
    ([0x55, 4, 13], "description"), ([0x55, 4, 15], "businessCategory"), ([0x55, 4, 17], "postalCode"),
    ([0x55, 4, 41], "name"), ([0x55, 4, 42], "givenName"), ([0x55, 4, 43], "initials"),
    ([0x55, 4, 44], "generationQualifier"), ([0x55, 4, 46], "dnQualifier"), ([0x55, 4, 65], "pseudonym"),
    ([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1], "Email"),
    ([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 2], "unstructuredName"),
    ([0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25], "DC"),
    ([0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 1], "uid"),
    ([0x2B, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 1], "msJurisdictionLocality"),
    ([0x2B, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 2], "msJurisdictionStateOrProvince"),
    ([0x2B, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3], "msJurisdictionCountry"),
  ]
}
