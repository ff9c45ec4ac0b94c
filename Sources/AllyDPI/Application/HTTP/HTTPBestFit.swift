/// The ASCII characters that stand for others where a server's character set has not more: what becomes of `%u0107`, and of
/// UTF-8, in a path. After Microsoft's best fit for code page 1252.
enum HTTPBestFit {
  /// The character that is nearest in shape; `?` when there is none.
  static func character(nearest value: UInt32) -> UInt8 {
    switch value {
    case 0...0xFF: UInt8(value)
    // Full-width forms.
    case 0xFF01...0xFF5E: UInt8(value - 0xFF01 + 0x21)
    case 0x2000...0x2006, 0x3000: UInt8(ascii: " ")
    case 0x1C3: UInt8(ascii: "!")
    case 0x2BA, 0x30E: UInt8(ascii: "\"")
    case 0x66A: UInt8(ascii: "%")
    case 0x2B9, 0x2BC, 0x2C8, 0x2032: UInt8(ascii: "'")
    case 0x2320: UInt8(ascii: "(")
    case 0x2321: UInt8(ascii: ")")
    case 0x2217: UInt8(ascii: "*")
    case 0x250C, 0x2510, 0x2514, 0x2518, 0x251C, 0x253C, 0x2552...0x255D, 0x256A...0x256C: UInt8(ascii: "+")
    case 0x2010...0x2011, 0x2212, 0x2500, 0x252C, 0x2534, 0x2550, 0x2564...0x2569: UInt8(ascii: "-")
    case 0x2044, 0x2215: UInt8(ascii: "/")
    case 0x2080: UInt8(ascii: "0")
    case 0x2081: UInt8(ascii: "1")
    case 0x2082: UInt8(ascii: "2")
    case 0x2083: UInt8(ascii: "3")
    case 0x2074, 0x2084: UInt8(ascii: "4")
    case 0x2075, 0x2085: UInt8(ascii: "5")
    case 0x2076, 0x2086: UInt8(ascii: "6")
    case 0x2077, 0x2087: UInt8(ascii: "7")
    case 0x2078, 0x2088, 0x221E: UInt8(ascii: "8")
    case 0x2089: UInt8(ascii: "9")
    case 0x589, 0x2236: UInt8(ascii: ":")
    case 0x37E: UInt8(ascii: ";")
    case 0x2329, 0x3008: UInt8(ascii: "<")
    case 0x2017, 0x2261, 0x2264...0x2265: UInt8(ascii: "=")
    case 0x232A, 0x3009: UInt8(ascii: ">")
    case 0x100, 0x102, 0x104, 0x1CD, 0x1DE: UInt8(ascii: "A")
    case 0x212C: UInt8(ascii: "B")
    case 0x106, 0x108, 0x10A, 0x10C, 0x2102, 0x212D: UInt8(ascii: "C")
    case 0x10E: UInt8(ascii: "D")
    case 0x112, 0x114, 0x116, 0x118, 0x11A, 0x2107, 0x2130: UInt8(ascii: "E")
    case 0x3A6, 0x2131: UInt8(ascii: "F")
    case 0x11C, 0x11E, 0x120, 0x122, 0x1E4, 0x1E6, 0x393: UInt8(ascii: "G")
    case 0x124, 0x126, 0x210B...0x210D: UInt8(ascii: "H")
    case 0x128, 0x12A, 0x12C, 0x12E, 0x130, 0x197, 0x1CF, 0x2110...0x2111: UInt8(ascii: "I")
    case 0x134: UInt8(ascii: "J")
    case 0x136, 0x1E8, 0x212A: UInt8(ascii: "K")
    case 0x139, 0x13B, 0x13D, 0x141, 0x2112: UInt8(ascii: "L")
    case 0x2133: UInt8(ascii: "M")
    case 0x143, 0x145, 0x147, 0x2115: UInt8(ascii: "N")
    case 0x14C, 0x14E, 0x150, 0x19F...0x1A0, 0x1D1, 0x1EA, 0x1EC, 0x3A9: UInt8(ascii: "O")
    case 0x20A7, 0x2118...0x2119: UInt8(ascii: "P")
    case 0x211A: UInt8(ascii: "Q")
    case 0x154, 0x156, 0x158, 0x211B...0x211D: UInt8(ascii: "R")
    case 0x15A, 0x15C, 0x15E, 0x3A3: UInt8(ascii: "S")
    case 0x162, 0x164, 0x166, 0x1AE, 0x398: UInt8(ascii: "T")
    case 0x168, 0x16A, 0x16C, 0x16E, 0x170, 0x172, 0x1AF, 0x1D3, 0x1D5, 0x1D7, 0x1D9, 0x1DB: UInt8(ascii: "U")
    case 0x174: UInt8(ascii: "W")
    case 0x176: UInt8(ascii: "Y")
    case 0x179, 0x17B, 0x2124, 0x2128: UInt8(ascii: "Z")
    case 0x301A: UInt8(ascii: "[")
    case 0x2216: UInt8(ascii: "\\")
    case 0x301B: UInt8(ascii: "]")
    case 0x2C4, 0x302, 0x2303: UInt8(ascii: "^")
    case 0x2CD, 0x331...0x332, 0x2584: UInt8(ascii: "_")
    case 0x2CB, 0x300, 0x2035: UInt8(ascii: "`")
    case 0x101, 0x103, 0x105, 0x1CE, 0x1DF, 0x3B1: UInt8(ascii: "a")
    case 0x180: UInt8(ascii: "b")
    case 0x107, 0x109, 0x10B, 0x10D: UInt8(ascii: "c")
    case 0x10F, 0x111, 0x3B4: UInt8(ascii: "d")
    case 0x113, 0x115, 0x117, 0x119, 0x11B, 0x3B5, 0x212E...0x212F: UInt8(ascii: "e")
    case 0x3C6: UInt8(ascii: "f")
    case 0x11D, 0x11F, 0x121, 0x123, 0x1E5, 0x1E7, 0x261, 0x210A: UInt8(ascii: "g")
    case 0x125, 0x127, 0x4BB, 0x210E: UInt8(ascii: "h")
    case 0x129, 0x12B, 0x12D, 0x12F, 0x131, 0x1D0: UInt8(ascii: "i")
    case 0x135, 0x1F0: UInt8(ascii: "j")
    case 0x137, 0x1E9: UInt8(ascii: "k")
    case 0x13A, 0x13C, 0x13E, 0x142, 0x19A, 0x2113: UInt8(ascii: "l")
    case 0x144, 0x146, 0x148, 0x207F, 0x2229: UInt8(ascii: "n")
    case 0x14D, 0x14F, 0x151, 0x1A1, 0x1D2, 0x1EB, 0x1ED, 0x2134: UInt8(ascii: "o")
    case 0x3C0: UInt8(ascii: "p")
    case 0x155, 0x157, 0x159: UInt8(ascii: "r")
    case 0x15B, 0x15D, 0x15F, 0x3C3: UInt8(ascii: "s")
    case 0x163, 0x165, 0x167, 0x1AB, 0x3C4: UInt8(ascii: "t")
    case 0x169, 0x16B, 0x16D, 0x16F, 0x171, 0x173, 0x1B0, 0x1D4, 0x1D6, 0x1D8, 0x1DA, 0x1DC: UInt8(ascii: "u")
    case 0x221A: UInt8(ascii: "v")
    case 0x175: UInt8(ascii: "w")
    case 0x177: UInt8(ascii: "y")
    case 0x17C, 0x1B6: UInt8(ascii: "z")
    case 0x1C0, 0x2223, 0x2758: UInt8(ascii: "|")
    case 0x303, 0x223C: UInt8(ascii: "~")
    default: UInt8(ascii: "?")
    }
  }

  /// Makes UTF-8 one byte each, in place: lenient, as a server may be, so that a character written too long is read, and
  /// what is no character becomes `?`. One that is cut by the end goes.
  static func convertUTF8(_ text: inout [UInt8]) {
    guard let first = text.firstIndex(where: { $0 >= 0x80 }) else { return }
    var write = first
    var read = first
    while read < text.count {
      let lead = text[read]
      read += 1
      var value = UInt32(lead)
      if lead >= 0x80 {
        let following = lead >= 0xF5 || lead < 0xC0 ? 0 : lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1
        value = following == 0 ? .max : UInt32(lead) & (0x3F >> UInt32(following))
        for _ in 0..<following {
          guard read < text.count else {
            text.removeSubrange(write...)
            return
          }
          guard text[read] & 0xC0 == 0x80 else {
            value = .max
            break
          }
          value = value << 6 | UInt32(text[read] & 0x3F)
          read += 1
        }
      }
      text[write] = character(nearest: value)
      write += 1
    }
    text.removeSubrange(write...)
  }
}
