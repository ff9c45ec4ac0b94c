internal import AllyPacket

/// Which of the lists that rules name most a packet's two ends are in: a bit for each, found once for each packet. Bit 0 is that of
/// every address and every port.
struct PacketEnds: BitwiseCopyable, Equatable {
  var source: UInt64 = 1
  var destination: UInt64 = 1
  var sourcePort: UInt64 = 1
  var destinationPort: UInt64 = 1
}

/// The lists that the ends of a signature's packets are in, as bits of ``PacketEnds``.
///
/// Most rules are about one direction between two networks, and most findings of a literal are in the other: these four bytes say so,
/// without a look at the signature itself. A list that has no bit counts as every address or port here, and is looked at when
/// the signature is evaluated.
struct SignatureEnds: BitwiseCopyable, Sendable {
  var source: UInt8 = 0
  var destination: UInt8 = 0
  var sourcePort: UInt8 = 0
  var destinationPort: UInt8 = 0

  /// Whether a packet with these ends may match.
  @inline(__always)
  func admit(_ ends: PacketEnds) -> Bool {
    ends.source &>> UInt64(source) & ends.destination &>> UInt64(destination) & ends.sourcePort &>> UInt64(sourcePort)
      & ends.destinationPort &>> UInt64(destinationPort) & 1 != 0
  }
}

/// From which ``PacketEnds`` and ``SignatureEnds`` are read.
struct EndTables: Sendable {
  /// For each signature.
  var signatures: ConstantTable<SignatureEnds>
  var addresses: MembershipIndex<IPAddress>
  var ports: MembershipIndex<UInt16>

  @inline(__always)
  func ends(of packet: DecodedPacket) -> PacketEnds {
    var ends = PacketEnds(
      source: addresses.bits(of: packet.source), destination: addresses.bits(of: packet.destination))
    switch packet.transport {
    case .tcp, .udp, .sctp:
      ends.sourcePort = ports.bits(of: packet.sourcePort)
      ends.destinationPort = ports.bits(of: packet.destinationPort)
    case .none, .icmpv4, .icmpv6: break
    }
    return ends
  }

  /// Frees everything; no copy may be used afterwards.
  @unsafe func deallocate() {
    unsafe signatures.deallocate()
    unsafe addresses.deallocate()
    unsafe ports.deallocate()
  }

  /// - Parameters:
  ///   - signatures: all, in their order.
  ///   - addressLists, portLists: by the numbers that signatures have of them; both ends of each interval are included.
  init(
    _ signatures: [Signature], addressLists: [[(first: IPAddress, last: IPAddress)]],
    portLists: [[(first: UInt16, last: UInt16)]]
  ) {
    var addressUses: [UInt32: Int] = [:]
    var portUses: [UInt32: Int] = [:]
    // Rules on addresses alone have indexes of their own, and whatever names no port has ports enough.
    for signature in signatures where signature.kind != .addressesOnly {
      for list in [signature.source, signature.destination] { addressUses[list, default: 0] += 1 }
      if signature.services != 0 { continue }
      for list in [signature.sourcePorts, signature.destinationPorts] { portUses[list, default: 0] += 1 }
    }
    let addressBits = EndTables.bits(of: addressUses)
    let portBits = EndTables.bits(of: portUses)
    self.signatures = ConstantTable(
      signatures.map { signature in
        var ends = SignatureEnds(
          source: addressBits[signature.source] ?? 0, destination: addressBits[signature.destination] ?? 0)
        if signature.services == 0 {
          ends.sourcePort = portBits[signature.sourcePorts] ?? 0
          ends.destinationPort = portBits[signature.destinationPorts] ?? 0
        }
        return ends
      })
    addresses = MembershipIndex(addressBits.map { (addressLists[Int($0)], $1) }, successor: \.successor)
    ports = MembershipIndex(portBits.map { (portLists[Int($0)], $1) }, successor: { $0 < .max ? $0 + 1 : nil })
  }

  /// Bits for the lists that are named most.
  private static func bits(of uses: [UInt32: Int]) -> [UInt32: UInt8] {
    let most = uses.filter { $0.key != Signature.any }
      .sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
      .prefix(63)
    return Dictionary(uniqueKeysWithValues: zip(most.map(\.key), 1...))
  }
}

/// Which of up to 63 lists hold a value, by binary search in the places at which the answer changes.
struct MembershipIndex<Value: BitwiseCopyable & Comparable & Sendable>: Sendable {
  private var bounds: ConstantTable<Value>
  /// For the values before the first bound, then from each bound on.
  private var answers: ConstantTable<UInt64>

  /// - Parameters:
  ///   - lists: intervals, both ends included, and the bit that stands for them, from 1.
  ///   - successor: the next value; nil behind the last one.
  init(_ lists: [(intervals: [(first: Value, last: Value)], bit: UInt8)], successor: (Value) -> Value?) {
    var changes: [(at: Value, bit: UInt64, isStart: Bool)] = []
    for (intervals, bit) in lists {
      for interval in intervals {
        changes.append((interval.first, 1 << UInt64(bit), true))
        if let after = successor(interval.last) { changes.append((after, 1 << UInt64(bit), false)) }
      }
    }
    // What ends where it begins anew, or the other way round, holds: ends come first.
    changes.sort { $0.at != $1.at ? $0.at < $1.at : !$0.isStart && $1.isStart }
    var bounds: [Value] = []
    var answers: [UInt64] = [1]
    var present: UInt64 = 1
    for (index, change) in changes.enumerated() {
      present = change.isStart ? present | change.bit : present & ~change.bit
      if index + 1 < changes.count, changes[index + 1].at == change.at { continue }
      bounds.append(change.at)
      answers.append(present)
    }
    self.bounds = ConstantTable(bounds)
    self.answers = ConstantTable(answers)
  }

  @inline(__always)
  func bits(of value: Value) -> UInt64 { answers[bounds.firstIndex(above: value, from: 0, count: bounds.count)] }

  /// Frees everything; no copy may be used afterwards.
  @unsafe func deallocate() {
    unsafe bounds.deallocate()
    unsafe answers.deallocate()
  }
}
