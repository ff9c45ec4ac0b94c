internal import AllyPacket

/// How EVE records write times and addresses.
extension [UInt8] {
  /// Appends `2010-09-23T14:03:58.123456+0000`: microseconds, in UTC.
  ///
  /// - Parameter time: nanoseconds since 1970-01-01T00:00:00Z.
  mutating func appendTimestamp(_ time: UInt64) {
    let seconds = time / 1_000_000_000
    appendDate(seconds: seconds)
    append(UInt8(ascii: "."))
    appendDecimal(time % 1_000_000_000 / 1000, width: 6)
    appendText("+0000")
  }

  /// Appends `2015-02-12T18:07:27`, from seconds since 1970.
  mutating func appendDate(seconds: UInt64) {
    let date = CivilDate(daysSince1970: seconds / 86_400)
    let second = seconds % 86_400
    appendDecimal(date.year, width: 4)
    append(UInt8(ascii: "-"))
    appendDecimal(date.month, width: 2)
    append(UInt8(ascii: "-"))
    appendDecimal(date.day, width: 2)
    append(UInt8(ascii: "T"))
    appendDecimal(second / 3600, width: 2)
    append(UInt8(ascii: ":"))
    appendDecimal(second / 60 % 60, width: 2)
    append(UInt8(ascii: ":"))
    appendDecimal(second % 60, width: 2)
  }

  /// Appends an address: dotted decimal, or all eight groups of four hexadecimal digits as Suricata writes IPv6.
  mutating func appendAddress(_ address: IPAddress) {
    if address.isIPv4 { appendIPv4(address.v4Bits) } else { appendIPv6(address.high, address.low) }
  }

  mutating func appendIPv4(_ bits: UInt32) {
    for shift in stride(from: 24, through: 0, by: -8) {
      appendDecimal(UInt64(bits >> UInt32(shift) & 0xFF))
      if shift != 0 { append(UInt8(ascii: ".")) }
    }
  }

  mutating func appendIPv6(_ high: UInt64, _ low: UInt64) {
    for group in 0..<8 {
      let half = group < 4 ? high : low
      let value = UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (group & 3)))
      if group != 0 { append(UInt8(ascii: ":")) }
      for shift in stride(from: 12, through: 0, by: -4) {
        append(hexadecimalDigit(UInt8(truncatingIfNeeded: value >> UInt16(shift)) & 15))
      }
    }
  }
}

/// A day of the Gregorian calendar.
struct CivilDate: Equatable {
  var year: UInt64
  var month: UInt64
  var day: UInt64

  /// Counts in years that begin in March, so that the leap day is the last one, and in the calendar's cycles of 400
  /// years, 146,097 days each.
  init(daysSince1970 days: UInt64) {
    let shifted = days + 719_468  // 0000-03-01 to 1970-01-01
    let cycle = shifted / 146_097
    let dayOfCycle = shifted % 146_097
    let yearOfCycle = (dayOfCycle - dayOfCycle / 1460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
    let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days from 1970 to a date; years are counted from March.
  static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month > 2 ? year : year - 1
    let monthFromMarch = (month + 9) % 12
    return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (monthFromMarch * 153 + 2) / 5 + day - 719_469
  }
}

extension [UInt8] {
  /// Appends the name of an IP protocol (IANA's, as Suricata spells them); its number when it has none here.
  mutating func appendProtocol(_ number: UInt8) {
    switch number {
    case 0: appendText("HOPOPT")
    case 1: appendText("ICMP")
    case 2: appendText("IGMP")
    case 3: appendText("GGP")
    case 4: appendText("IP-in-IP")
    case 5: appendText("ST")
    case 6: appendText("TCP")
    case 8: appendText("EGP")
    case 9: appendText("IGP")
    case 17: appendText("UDP")
    case 33: appendText("DCCP")
    case 41: appendText("IPv6")
    case 43: appendText("IPv6-Route")
    case 44: appendText("IPv6-Frag")
    case 46: appendText("RSVP")
    case 47: appendText("GRE")
    case 50: appendText("ESP")
    case 51: appendText("AH")
    case 58: appendText("IPv6-ICMP")
    case 59: appendText("IPv6-NoNxt")
    case 60: appendText("IPv6-Opts")
    case 88: appendText("EIGRP")
    case 89: appendText("OSPFIGP")
    case 103: appendText("PIM")
    case 112: appendText("VRRP")
    case 115: appendText("L2TP")
    case 132: appendText("SCTP")
    case 136: appendText("UDPLite")
    default: appendDecimal(UInt64(number), width: 3)
    }
  }
}
