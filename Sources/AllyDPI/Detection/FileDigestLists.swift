/// The lists of digests that rules name, read once each.
struct FileDigestLists {
  /// All lists, one behind the other, each sorted.
  private(set) var bytes: [UInt8] = []
  /// ``DPIConfiguration/readResource``.
  var readResource: @Sendable (_ name: String, _ place: RuleLocation) -> [UInt8]? = { _, _ in nil }
  private var known: [String: FileDigestList] = [:]

  /// Why a list cannot be used.
  struct Failure: Error { var reason: String }

  mutating func list(_ match: FileDigestMatch, named rule: RuleLocation) throws(Failure) -> FileDigestList {
    let key = "\(match.kind.rawValue) \(rule.file) \(match.list)"
    if let list = known[key] { return list }
    guard let text = readResource(match.list, rule) else {
      throw Failure(reason: "\(match.kind.rawValue): the list \"\(match.list)\" cannot be read")
    }
    var digests: [[UInt8]] = []
    for (number, line) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      // Behind the digest a name may stand, as md5sum writes it.
      let digits = line.prefix { !$0.isWhiteSpace }
      if digits.isEmpty || digits.first == UInt8(ascii: "#") { continue }
      guard let digest = Self.digest(digits), digest.count == match.kind.byteCount else {
        throw Failure(
          reason: "\(match.kind.rawValue): \(match.list):\(number + 1): expected \(match.kind.byteCount * 2) "
            + "hexadecimal digits")
      }
      digests.append(digest)
    }
    digests.sort { $0.lexicographicallyPrecedes($1) }
    let list = FileDigestList(
      function: match.kind.function, start: UInt32(bytes.count), count: UInt32(digests.count))
    for digest in digests { bytes.append(contentsOf: digest) }
    known[key] = list
    return list
  }

  private static func digest(_ digits: ArraySlice<UInt8>) -> [UInt8]? {
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    var index = digits.startIndex
    while index < digits.endIndex {
      guard let high = digits[index].hexadecimalValue, let low = digits[index + 1].hexadecimalValue else { return nil }
      bytes.append(high << 4 | low)
      index += 2
    }
    return bytes
  }
}
