internal import AllyPacket

/// What is known of addresses: a score from 0 to 127 in each of some categories, for `iprep`.
public struct AddressReputations: Sendable {
  /// Numbers by their short names.
  public private(set) var categories: [String: UInt8] = [:]
  private(set) var hosts: [Score] = []
  private(set) var networks: [Score] = []

  /// A network's, or with all 128 bits a host's.
  struct Score: BitwiseCopyable, Sendable {
    /// IPv4 networks lie in the IPv4-mapped range, and their lengths count from its start.
    var address: IPAddress
    var prefixLength: UInt8
    var category: UInt8
    var score: UInt8
  }

  public init() {}

  /// Reads a file of categories: lines of a number from 1 to 59, a short name and a description.
  ///
  /// - Returns: what is wrong with it.
  public mutating func readCategories(_ text: [UInt8], file: String) -> [RuleProblem] {
    var categories = categories
    let problems = ConfigurationLines.read(text, file: file) { line throws(RuleSyntaxError) in
      let fields = line.separated()
      guard fields.count >= 2, !fields[1].isEmpty else { throw line.expected("a number, a name and a description") }
      categories[fields[1].string] = UInt8(try fields[0].number(in: 1...59))
    }
    self.categories = categories
    return problems
  }

  /// Reads a file of scores: lines of an address or a network, the number of a category and a score.
  ///
  /// - Returns: what is wrong with it.
  public mutating func readScores(_ text: [UInt8], file: String) -> [RuleProblem] {
    var hosts = hosts
    var networks = networks
    let problems = ConfigurationLines.read(text, file: file) { line throws(RuleSyntaxError) in
      let fields = line.separated()
      guard fields.count >= 3 else { throw line.expected("an address, the number of a category and a score") }
      let parts = fields[0].separated(by: UInt8(ascii: "/"))
      guard parts.count <= 2, let address = IPAddressText.address(Array(parts[0].bytes)[...]) else {
        throw fields[0].expected("an address or a network")
      }
      var score = Score(
        address: address, prefixLength: 128, category: UInt8(try fields[1].number(in: 1...59)),
        score: UInt8(try fields[2].number(in: 0...127)))
      guard parts.count == 2 else {
        hosts.append(score)
        return
      }
      score.prefixLength = UInt8(
        address.isIPv4 ? 96 + (try parts[1].number(in: 0...32)) : try parts[1].number(in: 0...128))
      score.address = address.masked(to: score.prefixLength)
      networks.append(score)
    }
    self.hosts = hosts
    self.networks = networks
    return problems
  }
}

extension IPAddress {
  /// The first so many bits, the others 0.
  func masked(to length: UInt8) -> IPAddress {
    IPAddress(
      high: length == 0 ? 0 : length >= 64 ? high : high & ~0 << UInt64(64 - length),
      low: length <= 64 ? 0 : low & ~0 << UInt64(128 - UInt64(length)))
  }
}
