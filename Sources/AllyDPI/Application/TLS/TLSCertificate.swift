/// What rules and records ask of a certificate (RFC 5280 §4.1), read once. Nothing is verified.
struct TLSCertificate {
  var serial: [UInt8]
  var issuer: [UInt8]
  var subject: [UInt8]
  /// Seconds since 1970.
  var notBefore: Int64
  var notAfter: Int64

  /// - Throws: what is wrong with it, as an event.
  init(_ der: ArraySlice<UInt8>) throws(TLSCertificateProblem) {
    var outer = DERReader(der)
    guard var certificate = outer.enter(DERTag.sequence) else {
      throw TLSCertificateProblem(event: DERReader.isCut(der) ? .certificateInvalidLength : .certificateInvalidDER)
    }
    guard var fields = certificate.enter(DERTag.sequence) else {
      let isCut = DERReader.isCut(certificate.rest)
      throw TLSCertificateProblem(event: isCut ? .certificateInvalidLength : .certificateInvalidDER)
    }
    if var version = fields.enter(DERTag.context(0)) {
      guard let number = version.integer(), number >= 0, number <= 2 else {
        throw TLSCertificateProblem(event: .certificateInvalidVersion)
      }
    }
    guard let serial = fields.next(DERTag.integer) else {
      throw TLSCertificateProblem(event: .certificateInvalidSerial)
    }
    self.serial = TLSCertificate.digits(serial.content, isUppercase: true)
    guard fields.next(DERTag.sequence) != nil else {
      throw TLSCertificateProblem(event: .certificateInvalidAlgorithmIdentifier)
    }
    guard let issuer = fields.next(DERTag.sequence), let issuerName = DistinguishedName.text(issuer.content) else {
      throw TLSCertificateProblem(event: .certificateInvalidX509Name)
    }
    self.issuer = issuerName
    guard var validity = fields.enter(DERTag.sequence), let from = validity.next(), let to = validity.next(),
      let notBefore = CertificateTime.seconds(from), let notAfter = CertificateTime.seconds(to)
    else { throw TLSCertificateProblem(event: .certificateInvalidDate) }
    self.notBefore = notBefore
    self.notAfter = notAfter
    guard let subject = fields.next(DERTag.sequence), let subjectName = DistinguishedName.text(subject.content) else {
      throw TLSCertificateProblem(event: .certificateInvalidX509Name)
    }
    self.subject = subjectName
  }

  /// Pairs of hexadecimal digits with colons between them.
  static func digits(_ bytes: some Collection<UInt8>, isUppercase: Bool) -> [UInt8] {
    var text: [UInt8] = []
    for byte in bytes {
      if !text.isEmpty { text.append(UInt8(ascii: ":")) }
      for digit in [hexadecimalDigit(byte >> 4), hexadecimalDigit(byte & 15)] {
        text.append(isUppercase && digit >= 0x61 ? digit & 0xDF : digit)
      }
    }
    return text
  }
}

/// Why a certificate could not be read.
struct TLSCertificateProblem: Error { var event: TLSEvent }

/// Times in certificates (RFC 5280 §4.1.2.5).
enum CertificateTime {
  static func seconds(_ value: DERReader.Value) -> Int64? {
    var digits = value.content
    guard digits.popLast() == UInt8(ascii: "Z") else { return nil }
    let yearDigits: Int
    switch value.tag {
    case DERTag.utcTime: yearDigits = 2
    case DERTag.generalizedTime: yearDigits = 4
    default: return nil
    }
    guard digits.count == yearDigits + 10 || digits.count == yearDigits + 8, digits.allSatisfy(\.isDecimalDigit) else {
      return nil
    }
    func number(_ count: Int) -> Int {
      let value = digits.prefix(count).reduce(0) { $0 * 10 + Int($1 &- 0x30) }
      digits = digits.dropFirst(count)
      return value
    }
    var year = number(yearDigits)
    if yearDigits == 2 { year += year < 50 ? 2000 : 1900 }
    let (month, day, hour, minute, second) = (number(2), number(2), number(2), number(2), number(2))
    guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60 else { return nil }
    return Int64(CivilDate.days(year, month, day)) * 86_400 + Int64(hour * 3_600 + minute * 60 + second)
  }
}
