import AllyPacket

/// Puts IPv4 and IPv6 datagrams together from their fragments (RFC 791 §3.2, RFC 8200 §4.5, RFC 815).
///
/// Fragments pass on their way while their bytes are copied; the one that completes the datagram yields it. Memory is bounded by
/// a cap, a datagram by ``maximumPieces`` pieces and by time; at the cap the datagram that waited longest gives way.
struct Defragmenter: ~Copyable {
  /// Pieces that one datagram may be in at a time.
  static var maximumPieces: UInt32 { 1024 }
  /// Bytes before the payload that a datagram may have: IPv6 allows any number of extension headers, no sender uses more.
  static var maximumHeader: Int { 2048 }

  let policy: OverlapPolicy
  /// What hosts run; where nothing is said of any, ``policy`` holds for all.
  let hosts: HostSystems
  /// Nanoseconds that a datagram waits for its next piece.
  let timeout: UInt64

  private let seed: UInt64
  private var datagrams: Pool<Datagram>
  private var store: PieceStore
  private var slots: HashSlots
  /// Datagrams by the time of their last fragment.
  private var oldest: UInt32 = .max
  private var newest: UInt32 = .max
  private(set) var statistics = DecodeStatistics()

  /// - Parameters:
  ///   - memoryCap: bytes for everything that waits.
  ///   - timeout: seconds.
  init(
    memoryCap: Int, policy: OverlapPolicy = .bsd, hosts: HostSystems = HostSystems(), timeout: UInt32 = 60, seed: UInt64
  ) {
    self.policy = policy
    self.hosts = hosts
    self.timeout = UInt64(timeout) * 1_000_000_000
    self.seed = seed
    // Of each KiB: a datagram and four pieces of records, the rest for bytes.
    let count = max(16, min(65_536, memoryCap / 1024))
    datagrams = Pool(capacity: count)
    store = PieceStore(byteCap: memoryCap / 2, pieceCap: count * 4, maximumPieces: Self.maximumPieces)
    slots = HashSlots(capacity: count)
  }

  /// Datagrams that wait now, and the bytes that their fragments hold.
  var waiting: Int { datagrams.count }
  var bytesHeld: Int { store.blocks.used }

  /// Takes a fragment.
  ///
  /// - Parameters:
  ///   - packet: a decoded fragment; events are noted in it.
  ///   - bytes: what its offsets count in.
  ///   - time: nanoseconds since 1970.
  ///   - output: receives the datagram, from its IP header on.
  /// - Returns: whether `output` holds a whole datagram now.
  mutating func add(
    _ packet: inout DecodedPacket, bytes: RawSpan, time: UInt64, into output: inout DatagramBuffer
  ) -> Bool {
    statistics.fragments += 1
    let start = Int(packet.fragment.offset)
    let range = Int(packet.payloadOffset)..<Int(packet.networkEnd)
    let length = range.count
    let headerLength = Int(packet.payloadOffset - packet.networkOffset)
    let isIPv4 = packet.ipVersion == 4
    let limit = isIPv4 ? 65_535 - 20 : 65_535
    if start + length > limit {
      packet.events.insert(isIPv4 ? .ipv4FragmentPacketTooLarge : .ipv6FragmentPacketTooLarge)
      return false
    }
    if packet.fragment.more && length % 8 != 0 && !isIPv4 { packet.events.insert(.ipv6FragmentInvalidLength) }
    guard length > 0, headerLength <= Self.maximumHeader else { return false }

    expire(before: time, atMost: 8)
    guard let place = datagram(of: packet, time: time) else {
      ignored(&packet)
      return false
    }
    touch(place, time: time)

    for _ in 0..<8 where !store.blocks.hasRoom(for: length) && oldest != place { evictOldest() }
    var list = datagrams[place].pieces
    let policy = hosts.isEmpty ? self.policy : hosts.system(of: packet.destination).ofFragments
    let insertion = store.insert(bytes.extracting(range), at: start, policy: policy, into: &list)
    datagrams[place].pieces = list
    datagrams[place].end = max(datagrams[place].end, start + length)
    guard insertion.isComplete else {
      ignored(&packet)
      statistics.fragmentMemoryCap += 1
      return false
    }
    if insertion.overlaps { packet.events.insert(isIPv4 ? .ipv4FragmentOverlap : .ipv6FragmentOverlap) }
    if !packet.fragment.more { datagrams[place].hasLast = true }
    if start == 0 { keepHeader(of: packet, bytes: bytes, at: place) }

    let record = datagrams[place]
    guard record.hasLast, !record.header.isNone, record.pieces.covered == record.end else { return false }
    let isWhole = assemble(place, into: &output)
    remove(place)
    if isWhole {
      statistics.reassembled += 1
    } else {
      packet.events.insert(isIPv4 ? .ipv4FragmentPacketTooLarge : .ipv6FragmentPacketTooLarge)
    }
    return isWhole
  }

  private func ignored(_ packet: inout DecodedPacket) {
    packet.events.insert(packet.ipVersion == 4 ? .ipv4FragmentIgnored : .ipv6FragmentIgnored)
  }
}

// MARK: Datagrams

extension Defragmenter {
  /// A datagram that waits for pieces.
  struct Datagram: BitwiseCopyable {
    var key: Key
    var hash: UInt64
    var deadline: UInt64
    var older: UInt32 = .max
    var newer: UInt32 = .max
    var pieces = PieceList()
    /// Behind the last byte known of.
    var end = 0
    var hasLast = false
    var isIPv4: Bool
    /// What stands before the payload, from the fragment that begins the datagram.
    var header = Block.none
    var headerLength = 0
    /// Where that header names what follows; IPv6 only.
    var nextHeaderOffset = 0
    var next: UInt8 = 0
  }

  struct Key: BitwiseCopyable, Equatable {
    var source: IPAddress
    var destination: IPAddress
    var identification: UInt32
    /// VLANs, depth, protocol and version.
    var context: UInt64

    init(_ packet: DecodedPacket) {
      source = packet.source
      destination = packet.destination
      identification = packet.fragment.identification
      context =
        UInt64(packet.vlans.0) | UInt64(packet.vlans.1) << 12 | UInt64(packet.vlans.2) << 24
        | UInt64(packet.depth) << 36 | UInt64(packet.ipVersion) << 52
        | UInt64(packet.ipVersion == 4 ? packet.ipProtocol : packet.fragment.nextHeader) << 44
    }

    func hash(seed: UInt64) -> UInt64 {
      var hash = seed
      for word in [source.high, source.low, destination.high, destination.low, UInt64(identification), context] {
        let product = (hash ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15 ^ seed | 1)
        hash = product.high ^ product.low ^ word
      }
      return hash
    }
  }

  /// The datagram that a fragment belongs to, new when there is none.
  private mutating func datagram(of packet: DecodedPacket, time: UInt64) -> UInt32? {
    let key = Key(packet)
    let hash = key.hash(seed: seed)
    if let place = find(key, hash) {
      if datagrams[place].deadline >= time { return place }
      statistics.fragmentTimeouts += 1
      remove(place)
    }
    if datagrams.count == datagrams.capacity { evictOldest() }
    guard
      let place = datagrams.insert(
        Datagram(key: key, hash: hash, deadline: time + timeout, isIPv4: packet.ipVersion == 4))
    else { return nil }
    slots.insert(hash, place: place)
    append(place)
    return place
  }

  private func find(_ key: Key, _ hash: UInt64) -> UInt32? {
    slots.find(hash) { datagrams[$0].key == key }
  }

  /// Gives up datagrams whose time is over.
  private mutating func expire(before time: UInt64, atMost limit: Int) {
    for _ in 0..<limit {
      guard oldest != .max, datagrams[oldest].deadline < time else { return }
      statistics.fragmentTimeouts += 1
      remove(oldest)
    }
  }

  private mutating func evictOldest() {
    guard oldest != .max else { return }
    statistics.fragmentMemoryCap += 1
    remove(oldest)
  }

  private mutating func touch(_ place: UInt32, time: UInt64) {
    datagrams[place].deadline = time + timeout
    unlink(place)
    append(place)
  }

  private mutating func append(_ place: UInt32) {
    datagrams[place].older = newest
    datagrams[place].newer = .max
    if newest == .max { oldest = place } else { datagrams[newest].newer = place }
    newest = place
  }

  private mutating func unlink(_ place: UInt32) {
    let record = datagrams[place]
    if record.older == .max { oldest = record.newer } else { datagrams[record.older].newer = record.newer }
    if record.newer == .max { newest = record.older } else { datagrams[record.newer].older = record.older }
  }

  /// Frees a datagram and its pieces.
  private mutating func remove(_ place: UInt32) {
    let record = datagrams[place]
    var list = record.pieces
    store.removeAll(of: &list)
    store.blocks.release(record.header)
    unlink(place)
    slots.remove(record.hash, place: place)
    datagrams.remove(place)
  }

  /// Copies what stands before the payload. The first fragment that begins the datagram decides.
  private mutating func keepHeader(of packet: DecodedPacket, bytes: RawSpan, at place: UInt32) {
    guard datagrams[place].header.isNone else { return }
    let isIPv4 = packet.ipVersion == 4
    let start = Int(packet.networkOffset)
    let end = isIPv4 ? Int(packet.payloadOffset) : Int(packet.fragment.headerOffset)
    guard let block = store.blocks.allocate(end - start) else { return }
    store.blocks.write(bytes.extracting(start..<end), to: block, at: 0)
    datagrams[place].header = block
    datagrams[place].headerLength = end - start
    datagrams[place].nextHeaderOffset = Int(packet.fragment.nextHeaderOffset) - start
    datagrams[place].next = packet.fragment.nextHeader
  }

  /// Writes header and pieces one after the other.
  ///
  /// - Returns: false when the whole is longer than a datagram can be.
  private func assemble(_ place: UInt32, into output: inout DatagramBuffer) -> Bool {
    let record = datagrams[place]
    output.removeAll()
    guard output.append(store.blocks.bytes(record.header, 0..<record.headerLength)) else { return false }
    let total = record.headerLength + record.end
    guard total <= (record.isIPv4 ? 65_535 : 40 + 65_535) else { return false }
    var next = store.first(of: record.pieces)
    while let piece = next {
      guard output.append(store.bytes(of: piece)) else { return false }
      next = store.piece(after: piece)
    }
    if record.isIPv4 {
      output.store(UInt16(total), at: 2)
      output.store(UInt16(0), at: 6)
      output.store(UInt16(0), at: 10)
      output.store(Checksum.header(output.bytes, length: record.headerLength), at: 10)
    } else {
      output.store(UInt16(total - 40), at: 4)
      output.store(record.next, at: record.nextHeaderOffset)
    }
    return true
  }
}
