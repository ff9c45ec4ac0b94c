internal import AllyPacket

/// The marks that detection leaves in a flow.
struct FlowMarks {
  /// 0 without a flow.
  var identifier: UInt64 = 0
  var flags: Flow.Flags = []
  var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  /// The application's, by its place in ``ApplicationParsers/all``.
  var protocolNumber: UInt8 = ApplicationParsers.none
  /// What its sides were found to speak.
  private var protocols = FlowProtocols()
  private var isTCP = false
  /// The packet in hand is its side's first since that is known, or a datagram of a known protocol.
  private(set) var tellsProtocol = false

  /// `flow.age`: whole seconds since the flow's first packet.
  var age: UInt32 = 0

  var hasFlow: Bool { identifier != 0 }

  init() {}

  init(_ flow: Flow) {
    identifier = flow.identifier
    flags = flow.flags
    bits = flow.bits
    protocolNumber = flow.protocolNumber
    protocols = flow.protocols
    isTCP = flow.ipProtocol == IPProtocolNumber.tcp
    let seconds = flow.lastTime / 1_000_000_000
    age = UInt32(clamping: seconds - min(seconds, flow.firstTime / 1_000_000_000))
  }

  /// What a side was found to speak, by its place in ``ApplicationParsers/all``; nil while that is not known.
  func spoken(by side: FlowSide) -> UInt8? {
    if protocols[side] != ApplicationParsers.none { return protocols[side] }
    if flags.contains(.noApplication(side)) { return ApplicationParsers.failed }
    // Of TCP each side is told by itself, until both change over to something else.
    if isTCP && protocols.original == ApplicationParsers.none { return nil }
    return protocolNumber == ApplicationParsers.none ? nil : protocolNumber
  }

  /// A packet of a side is in hand.
  mutating func noteProtocol(of side: FlowSide) {
    guard let spoken = spoken(by: side) else { return tellsProtocol = false }
    tellsProtocol = !flags.contains(.protocolTold(side)) || !isTCP && spoken != ApplicationParsers.failed
    flags.formUnion(.protocolTold(side))
  }

  /// Writes the marks back.
  func store(in flow: inout Flow) {
    flow.flags = flags
    flow.bits = bits
  }
}

/// Bits that rules leave for each other: in the flow, or in a bounded table for hosts and pairs of hosts and for more flow
/// bits than a flow has room for.
struct StateBitTable: ~Copyable {
  /// Until when a bit is set, in nanoseconds; `UInt64.max` for ever.
  private var table: TrackTable<UInt64>

  /// Bits that gave way to others because the table was full.
  var evictions: UInt64 { table.evictions }

  init(capacity: Int, seed: UInt64) {
    table = TrackTable(capacity: capacity, seed: seed, empty: 0)
  }

  /// Goes on with the bits of another.
  mutating func takeOver(from former: inout StateBitTable) {
    table.takeOver(from: &former.table)
  }

  /// Whether a bit is set for a packet; false when the packet has nobody to have it.
  mutating func isSet(_ bit: StateBit, for packet: DecodedPacket, _ marks: FlowMarks, at time: UInt64)
    -> Bool
  {
    if bit.track == .flow && bit.number < 256 { return marks.hasBit(UInt8(bit.number)) }
    guard let key = key(for: bit, packet, marks), let until = table.value(for: key, at: time) else { return false }
    return time <= until
  }

  mutating func apply(
    _ change: BitChange, for packet: DecodedPacket, _ marks: inout FlowMarks, at time: UInt64
  ) {
    let set: Bool
    switch change.change {
    case .set: set = true
    case .unset: set = false
    case .toggle: set = !isSet(change.bit, for: packet, marks, at: time)
    }
    if change.bit.track == .flow && change.bit.number < 256 {
      marks.setBit(UInt8(change.bit.number), to: set)
      return
    }
    guard let key = key(for: change.bit, packet, marks) else { return }
    if set {
      table.store(
        change.expiry == 0 ? .max : time &+ UInt64(change.expiry) &* 1_000_000_000, for: key, at: time)
    } else {
      table.remove(key)
    }
  }

  private func key(for bit: StateBit, _ packet: DecodedPacket, _ marks: FlowMarks) -> TrackKey? {
    switch bit.track {
    case .flow:
      marks.hasFlow
        ? TrackKey(number: bit.number, scope: 1, first: IPAddress(high: 0, low: marks.identifier)) : nil
    case .sourceHost: packet.ipVersion != 0 ? TrackKey(number: bit.number, scope: 2, first: packet.source) : nil
    case .destinationHost:
      packet.ipVersion != 0 ? TrackKey(number: bit.number, scope: 2, first: packet.destination) : nil
    case .hostPair:
      packet.ipVersion != 0
        ? TrackKey.pair(number: bit.number, scope: 3, packet.source, packet.destination) : nil
    }
  }
}

extension FlowMarks {
  /// Whether a bit of the flow, 0 to 255, is set.
  func hasBit(_ bit: UInt8) -> Bool {
    let word =
      switch bit &>> 6 {
      case 0: bits.0
      case 1: bits.1
      case 2: bits.2
      default: bits.3
      }
    return word & 1 &<< UInt64(bit & 63) != 0
  }

  mutating func setBit(_ bit: UInt8, to value: Bool) {
    guard hasBit(bit) != value else { return }
    let mask: UInt64 = 1 &<< UInt64(bit & 63)
    switch bit &>> 6 {
    case 0: bits.0 ^= mask
    case 1: bits.1 ^= mask
    case 2: bits.2 ^= mask
    default: bits.3 ^= mask
    }
  }
}
