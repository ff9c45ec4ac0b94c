internal import AllyPacket

/// A DNS message (RFC 1035 §4), read once.
struct DNSMessage {
  struct Question {
    var name: DNSName
    var type: UInt16
  }

  struct Record {
    var name: DNSName
    var type: UInt16
    var timeToLive: UInt32
    var data: Data
  }

  enum Data {
    /// An address, as text.
    case address(IPAddress)
    case name(DNSName)
    /// Text, one entry for each string.
    case text([[UInt8]])
    case startOfAuthority(
      primary: DNSName, mailbox: DNSName, serial: UInt32, refresh: UInt32, retry: UInt32, expire: UInt32,
      minimum: UInt32)
    case service(priority: UInt16, weight: UInt16, port: UInt16, name: DNSName)
    case fingerprint(algorithm: UInt8, kind: UInt8, digest: [UInt8])
    /// Bytes of a type that records do not show.
    case other
  }

  var identifier: UInt16 = 0
  var flags: UInt16 = 0
  private(set) var questions: [Question] = []
  private(set) var answers: [Record] = []
  private(set) var authorities: [Record] = []
  /// The message is cut, or not what its header says.
  private(set) var isMalformed = false

  var isResponse: Bool { flags & 0x8000 != 0 }
  var operationCode: UInt8 { UInt8(flags >> 11 & 15) }
  var responseCode: UInt8 { UInt8(flags & 15) }

  /// What was odd about names in it.
  private(set) var nameFaults: DNSName.Faults = []

  /// Records of one section that are read at most, and bytes of all names: pointers make much of little.
  private static var maximumRecords: Int { 4096 }
  private static var maximumNames: Int { 4 << 20 }
  private var nameBytes = 0

  /// - Returns: nil when there is not even a header.
  init?(_ bytes: RawSpan) {
    guard let header = Window<12>(bytes, at: 0) else { return nil }
    identifier = header.u16(0)
    flags = header.u16(2)
    var offset = 12
    for _ in 0..<min(Int(header.u16(4)), DNSMessage.maximumRecords) {
      guard let name = name(in: bytes, at: &offset), let fixed = Window<4>(bytes, at: offset) else {
        isMalformed = true
        return
      }
      questions.append(Question(name: name, type: fixed.u16(0)))
      offset += 4
    }
    readRecords(bytes, count: Int(header.u16(6)), at: &offset, into: \.answers)
    readRecords(bytes, count: Int(header.u16(8)), at: &offset, into: \.authorities)
  }

  private mutating func readRecords(
    _ bytes: RawSpan, count: Int, at offset: inout Int, into section: WritableKeyPath<DNSMessage, [Record]>
  ) {
    for _ in 0..<min(count, DNSMessage.maximumRecords) {
      guard !isMalformed, let name = name(in: bytes, at: &offset), let fixed = Window<10>(bytes, at: offset),
        offset + 10 + Int(fixed.u16(8)) <= bytes.byteCount
      else {
        isMalformed = true
        return
      }
      let range = (offset + 10)..<(offset + 10 + Int(fixed.u16(8)))
      offset = range.upperBound
      self[keyPath: section].append(
        Record(
          name: name, type: fixed.u16(0), timeToLive: fixed.u32(4),
          data: data(bytes, range, type: fixed.u16(0))))
    }
  }

  /// Reads a name; nil when it is cut, or there were too many.
  private mutating func name(in bytes: RawSpan, at offset: inout Int) -> DNSName? {
    guard nameBytes < DNSMessage.maximumNames else { return nil }
    let name = DNSName(bytes, at: &offset, &nameFaults)
    nameBytes += name?.text.count ?? 0
    return name
  }

  private mutating func data(_ bytes: RawSpan, _ range: Range<Int>, type: UInt16) -> Data {
    var offset = range.lowerBound
    switch DNSType(rawValue: type) {
    case .a:
      guard range.count == 4, let window = Window<4>(bytes, at: offset) else { return .other }
      return .address(IPAddress(v4: window.u32(0)))
    case .aaaa:
      guard range.count == 16, let window = Window<16>(bytes, at: offset) else { return .other }
      return .address(IPAddress(high: window.u64(0), low: window.u64(8)))
    case .cname, .ns, .ptr:
      return name(in: bytes, at: &offset).map { .name($0) } ?? .other
    case .mx:
      offset += 2
      return name(in: bytes, at: &offset).map { .name($0) } ?? .other
    case .txt:
      var strings: [[UInt8]] = []
      while offset < range.upperBound {
        let end = min(offset + 1 + Int(bytes.byte(at: offset)), range.upperBound)
        var string: [UInt8] = []
        string.append(bytes.extracting((offset + 1)..<end))
        strings.append(string)
        offset = end
      }
      return .text(strings)
    case .null:
      var string: [UInt8] = []
      string.append(bytes.extracting(range))
      return .text([string])
    case .soa:
      guard let primary = name(in: bytes, at: &offset), let mailbox = name(in: bytes, at: &offset),
        let window = Window<20>(bytes, at: offset)
      else { return .other }
      return .startOfAuthority(
        primary: primary, mailbox: mailbox, serial: window.u32(0), refresh: window.u32(4), retry: window.u32(8),
        expire: window.u32(12), minimum: window.u32(16))
    case .srv:
      guard let window = Window<6>(bytes, at: offset) else { return .other }
      offset += 6
      guard let name = name(in: bytes, at: &offset) else { return .other }
      return .service(priority: window.u16(0), weight: window.u16(2), port: window.u16(4), name: name)
    case .sshfp:
      guard range.count > 2 else { return .other }
      var digest: [UInt8] = []
      digest.append(bytes.extracting((offset + 2)..<range.upperBound))
      return .fingerprint(
        algorithm: bytes.byte(at: offset), kind: bytes.byte(at: offset + 1), digest: digest)
    default: return .other
    }
  }
}

/// A name in a message (RFC 1035 §4.1.4): its labels with dots between.
struct DNSName {
  private(set) var text: [UInt8] = []
  /// The name is longer than this.
  private(set) var isCut = false

  /// What is odd about a name.
  struct Faults: OptionSet {
    let rawValue: UInt8
    static let tooLong = Faults(rawValue: 1)
    /// A pointer that points to itself.
    static let loop = Faults(rawValue: 2)
    static let tooManyLabels = Faults(rawValue: 4)
  }

  /// Bytes of a name in text; longer ones are cut there.
  private static var limit: Int { 1025 }
  /// Labels and pointers; pointers may form a loop.
  private static var maximumSteps: Int { 255 }

  /// Reads a name, and moves `offset` behind it.
  ///
  /// - Returns: nil when the name is cut or its pointers lead nowhere.
  init?(_ bytes: RawSpan, at offset: inout Int, _ faults: inout Faults) {
    var place = offset
    /// Behind the first pointer.
    var end: Int? = nil
    var steps = 0
    while place < bytes.byteCount {
      let length = Int(bytes.byte(at: place))
      if length == 0 {
        place += 1
        break
      }
      switch length & 0xC0 {
      case 0:
        guard place + 1 + length <= bytes.byteCount else { return nil }
        if !isCut {
          if !text.isEmpty { text.append(UInt8(ascii: ".")) }
          text.append(bytes.extracting((place + 1)..<(place + 1 + length)))
        }
        place += 1 + length
      case 0xC0:
        guard place + 1 < bytes.byteCount else { return nil }
        let target = (length & 0x3F) << 8 | Int(bytes.byte(at: place + 1))
        guard target <= bytes.byteCount else { return nil }
        if target == place {
          faults.insert(.loop)
          offset = end ?? place + 2
          return
        }
        if end == nil { end = place + 2 }
        place = target
      default: return nil
      }
      steps += 1
      if steps > DNSName.maximumSteps {
        faults.insert(.tooManyLabels)
        guard end != nil else { return nil }
        break
      }
      if text.count > DNSName.limit {
        text.removeLast(text.count - DNSName.limit)
        isCut = true
        faults.insert(.tooLong)
        if end != nil { break }
      }
    }
    offset = end ?? place
  }
}

/// Types of records (IANA, DNS parameters).
enum DNSType: UInt16 {
  case a = 1
  case ns, md, mf, cname, soa, mb, mg, mr, null, wks, ptr, hinfo, minfo, mx, txt, rp, afsdb, x25, isdn, rt, nsap
  case nsapptr = 23
  case sig, key, px, gpos, aaaa, loc, nxt
  case srv = 33
  case atma = 34
  case naptr, kx, cert, a6, dname
  case opt = 41
  case apl, ds, sshfp, ipseckey, rrsig, nsec, dnskey, dhcid, nsec3, nsec3param, tlsa
  case hip = 55
  case cds = 59
  case cdnskey = 60
  case https = 65
  case spf = 99
  case tkey = 249
  case tsig = 250
  case maila = 254
  case any = 255
  case uri = 256

  /// As records name it.
  var name: String { "\(self)".uppercased() }
}
