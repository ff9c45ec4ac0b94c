/// Numbers as people read them.
enum NumberText {
  /// 1234567 as `1,234,567`.
  static func grouped(_ number: UInt64) -> String {
    let digits = String(number)
    var result = ""
    for (position, digit) in digits.enumerated() {
      if position > 0 && (digits.count - position) % 3 == 0 { result.append(",") }
      result.append(digit)
    }
    return result
  }

  /// A fraction with three digits behind the point: `0.125`.
  static func decimal(_ number: Double) -> String {
    guard number.isFinite, number >= 0, number < 1e15 else { return "-" }
    let thousandths = UInt64((number * 1000).rounded())
    return grouped(thousandths / 1000) + "." + String(String(1000 + thousandths % 1000).dropFirst())
  }

  /// `text` with spaces before it, `width` characters in all.
  static func padded(_ text: String, to width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
