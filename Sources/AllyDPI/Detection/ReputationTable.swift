internal import AllyPacket

/// ``AddressReputations`` as the packet path looks them up: sorted, a bounded number of binary searches for an address.
struct ReputationTable: Sendable {
  private let hosts: ConstantTable<AddressReputations.Score>
  private let networks: ConstantTable<AddressReputations.Score>
  /// The prefix lengths that networks have, the longest first.
  private let lengths: ConstantTable<UInt8>

  init(_ reputations: AddressReputations) {
    hosts = ConstantTable(Self.sorted(reputations.hosts))
    networks = ConstantTable(Self.sorted(reputations.networks))
    lengths = ConstantTable(Set(reputations.networks.map(\.prefixLength)).sorted(by: >))
  }

  /// By what is looked for; of two scores for the same the later one stays.
  private static func sorted(_ scores: [AddressReputations.Score]) -> [AddressReputations.Score] {
    var result: [AddressReputations.Score] = []
    let places = scores.indices.sorted {
      scores[$0].precedes(scores[$1]) || !scores[$1].precedes(scores[$0]) && $0 < $1
    }
    for place in places {
      if let last = result.last, !last.precedes(scores[place]) { result.removeLast() }
      result.append(scores[place])
    }
    return result
  }

  /// An address's score: its own, 0 when it has one in other categories alone, else that of the smallest network around it; nil when
  /// nothing is known.
  func score(of address: IPAddress, in category: UInt8) -> UInt8? {
    if let place = find(address, 128, category, in: hosts) { return hosts[place].score }
    if isKnown(address) { return 0 }
    for index in 0..<lengths.count {
      let length = lengths[index]
      if let place = find(address.masked(to: length), length, category, in: networks) { return networks[place].score }
    }
    return nil
  }

  private func isKnown(_ address: IPAddress) -> Bool {
    let wanted = AddressReputations.Score(address: address, prefixLength: 128, category: 0, score: 0)
    let place = lowerBound(wanted, in: hosts)
    return place < hosts.count && hosts[place].address == address
  }

  private func find(
    _ address: IPAddress, _ length: UInt8, _ category: UInt8, in table: ConstantTable<AddressReputations.Score>
  ) -> Int? {
    let wanted = AddressReputations.Score(address: address, prefixLength: length, category: category, score: 0)
    let place = lowerBound(wanted, in: table)
    return place < table.count && !wanted.precedes(table[place]) ? place : nil
  }

  private func lowerBound(_ wanted: AddressReputations.Score, in table: ConstantTable<AddressReputations.Score>) -> Int
  {
    var low = 0
    var high = table.count
    while low < high {
      let middle = (low &+ high) / 2
      if table[middle].precedes(wanted) { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  /// Frees the memory; no copy may be used afterwards.
  @unsafe func deallocate() {
    unsafe hosts.deallocate()
    unsafe networks.deallocate()
    unsafe lengths.deallocate()
  }
}

extension AddressReputations.Score {
  fileprivate func precedes(_ other: Self) -> Bool {
    if prefixLength != other.prefixLength { return prefixLength < other.prefixLength }
    return address == other.address ? category < other.category : address < other.address
  }
}

/// ``IPReputationMatch``, flat.
struct ReputationTest: BitwiseCopyable, Sendable {
  private var side: IPReputationMatch.Side
  private var category: UInt8
  private var condition: Condition

  private enum Condition: BitwiseCopyable, Sendable {
    case isSet, isNotSet
    case score(NumberTest)
  }

  init(side: IPReputationMatch.Side, category: UInt8, condition: IPReputationMatch.Condition) {
    self.side = side
    self.category = category
    self.condition =
      switch condition {
      case .isSet: .isSet
      case .isNotSet: .isNotSet
      case .score(let match): .score(NumberTest(match))
      }
  }

  func matches(_ packet: DecodedPacket, _ table: ReputationTable) -> Bool {
    guard packet.ipVersion != 0 else { return false }
    return switch side {
    case .src: matches(table.score(of: packet.source, in: category), isZeroUnset: true)
    case .dst: matches(table.score(of: packet.destination, in: category), isZeroUnset: true)
    case .any:
      matches(table.score(of: packet.source, in: category))
        || matches(table.score(of: packet.destination, in: category))
    case .both:
      matches(table.score(of: packet.source, in: category))
        && matches(table.score(of: packet.destination, in: category))
    }
  }

  /// - Parameter isZeroUnset: a score of 0 is as good as none to `isnotset`: so it is in Suricata when one side is asked for.
  private func matches(_ score: UInt8?, isZeroUnset: Bool = false) -> Bool {
    switch condition {
    case .isSet: score != nil
    case .isNotSet: score == nil || isZeroUnset && score == 0
    case .score(let test): score.map { test.matches(UInt32($0)) } ?? false
    }
  }
}
