internal import AllyPacket

/// What is remembered of a fragmented datagram: what became of its first fragment, and where that one ends.
struct FragmentedDatagram: BitwiseCopyable {
  var source = IPAddress(high: 0, low: 0)
  var destination = IPAddress(high: 0, low: 0)
  var identification: UInt32 = 0
  var vlan: UInt32 = 0
  var ipProtocol: UInt8 = 0
  var isIPv6 = false
  var isInUse = false
  /// Whether the first fragment was seen.
  var isDecided = false
  /// What became of it.
  var passes = false
  /// Where the first fragment ends in the datagram, in bytes.
  var firstEnd: UInt32 = 0
  /// The lowest offset of a fragment that passed before the first one came.
  var lowestPassed: UInt32 = .max
  var expires: UInt64 = 0

  func isSameDatagram(as other: FragmentedDatagram) -> Bool {
    identification == other.identification && source == other.source && destination == other.destination
      && vlan == other.vlan && ipProtocol == other.ipProtocol && isIPv6 == other.isIPv6
  }
}

/// The fragmented datagrams under way: sets of four places, in which a new one takes the place of the one that expires
/// first. A flood of fragments forgets others' datagrams, whose later fragments are then judged by the rules alone; it
/// takes no memory and no time.
@safe
struct FragmentTable: ~Copyable {
  private static let ways = 4
  private let memory: UnsafeMutablePointer<FragmentedDatagram>
  private let setMask: Int
  private let seed: UInt64

  init(capacity: Int, seed: UInt64) {
    var sets = 1
    while sets * FragmentTable.ways < min(max(capacity, 1), 1 << 24) { sets *= 2 }
    setMask = sets - 1
    self.seed = seed
    unsafe memory = .allocate(capacity: sets * FragmentTable.ways)
    unsafe memory.initialize(repeating: FragmentedDatagram(), count: sets * FragmentTable.ways)
  }

  deinit { unsafe memory.deallocate() }

  /// The key of a fragment's datagram (RFC 791 §3.2, RFC 8200 §4.5).
  static func key(_ layers: PacketLayers) -> FragmentedDatagram {
    var datagram = FragmentedDatagram()
    datagram.source = layers.source
    datagram.destination = layers.destination
    datagram.identification = layers.fragment.identification
    datagram.vlan = layers.vlan
    // IPv6 names a datagram without the protocol, which later fragments need not repeat truly.
    datagram.ipProtocol = layers.network == .ipv4 ? layers.ipProtocol.rawValue : 0
    datagram.isIPv6 = layers.network == .ipv6
    return datagram
  }

  /// - Returns: what is remembered, and the place for ``store(_:at:)``.
  func find(_ key: FragmentedDatagram, now: UInt64) -> (known: FragmentedDatagram?, place: Int) {
    let first = set(of: key) &* FragmentTable.ways
    var place = first
    var soonest = UInt64.max
    for index in first..<first &+ FragmentTable.ways {
      // `set(of:)` is at most `setMask`, so that the set's four places lie in the memory.
      let datagram = unsafe memory[index]
      if datagram.isInUse, datagram.expires >= now {
        if datagram.isSameDatagram(as: key) { return (datagram, index) }
        if datagram.expires < soonest {
          soonest = datagram.expires
          place = index
        }
      } else if soonest != 0 {
        soonest = 0
        place = index
      }
    }
    return (nil, place)
  }

  mutating func store(_ datagram: FragmentedDatagram, at place: Int) {
    precondition(place >= 0 && place < (setMask &+ 1) &* FragmentTable.ways)
    var datagram = datagram
    datagram.isInUse = true
    unsafe memory[place] = datagram
  }

  private func set(of key: FragmentedDatagram) -> Int {
    let (flow, _) = FlowKey.canonical(
      source: key.source, sourcePort: UInt16(truncatingIfNeeded: key.identification), destination: key.destination,
      destinationPort: UInt16(truncatingIfNeeded: key.identification &>> 16), ipProtocol: key.ipProtocol,
      vlan: key.vlan)
    return Int(truncatingIfNeeded: flow.hash(seed: seed)) & setMask
  }
}
