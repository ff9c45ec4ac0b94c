/// A line of QEMU's qtest protocol, as QEMU says it.
enum QTestLine: Equatable {
  /// A command was carried out; what it reads, if it reads.
  case done(UInt64?)
  /// An intercepted interrupt pin changed.
  case pin(Int, isHigh: Bool)
  /// A command was not carried out, or the line is none of the protocol.
  case failed(String)

  init(_ bytes: ArraySlice<UInt8>) {
    let words = bytes.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    switch words.first {
    case "OK":
      self = .done(words.count > 1 ? Self.number(words[1]) : nil)
    case "IRQ" where words.count == 3:
      guard let pin = Int(words[2]), words[1] == "raise" || words[1] == "lower" else { fallthrough }
      self = .pin(pin, isHigh: words[1] == "raise")
    default:
      self = .failed(String(decoding: bytes, as: UTF8.self))
    }
  }

  private static func number(_ text: String) -> UInt64? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }
}
