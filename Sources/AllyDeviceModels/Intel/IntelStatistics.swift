/// The statistics registers (SDM §13.7; 82574 datasheet §10.2.7; 82576 datasheet §8.18): each is cleared when it is read
/// and stays at its maximum when it reaches that.
struct IntelStatistics {
  /// Offsets from 0x4000.
  enum Counter: Int {
    case missedPackets = 0x10
    case receiveLengthErrors = 0x40
    case received64 = 0x5C
    case goodReceived = 0x74
    case broadcastReceived = 0x78
    case multicastReceived = 0x7C
    case goodTransmitted = 0x80
    case receiveNoBuffers = 0xA0
    case receiveUndersize = 0xA4
    case receiveOversize = 0xAC
    case totalReceived = 0xD0
    case totalTransmitted = 0xD4
    case transmitted64 = 0xD8
    case multicastTransmitted = 0xF0
    case broadcastTransmitted = 0xF4
    case segmentationContexts = 0xF8
    case interruptsAsserted = 0x100
    case receivedForHost = 0x104
  }

  /// Pairs of registers that count octets, by their lower half.
  enum OctetCounter: Int {
    case goodReceived = 0x88
    case goodTransmitted = 0x90
    case totalReceived = 0xC0
    case totalTransmitted = 0xC8
  }

  private var values: [UInt32]

  /// - Parameter count: how many registers there are from 0x4000 on; at least 64.
  init(count: Int) { values = [UInt32](repeating: 0, count: count) }

  mutating func exchange(with record: inout StateRecord) { record.exchange(&values) }

  mutating func reset() {
    for index in values.indices { values[index] = 0 }
  }

  /// A counter that the controller does not have counts nothing.
  mutating func count(_ counter: Counter) {
    let index = counter.rawValue / 4
    if index < values.count { increment(index) }
  }

  mutating func count(_ octets: Int, in counter: OctetCounter) {
    let low = counter.rawValue / 4
    let before = UInt64(values[low + 1]) << 32 | UInt64(values[low])
    let (sum, overflow) = before.addingReportingOverflow(UInt64(octets))
    let after = overflow ? UInt64.max : sum
    values[low] = UInt32(truncatingIfNeeded: after)
    values[low + 1] = UInt32(truncatingIfNeeded: after >> 32)
  }

  /// Counts a frame in one of the six registers for sizes: 64, 65–127, 128–255, 256–511, 512–1023 and more bytes.
  mutating func countSize(_ length: Int, from first: Counter) {
    let place = length <= 64 ? 0 : length <= 127 ? 1 : length <= 255 ? 2 : length <= 511 ? 3 : length <= 1023 ? 4 : 5
    increment(first.rawValue / 4 + place)
  }

  /// A register read. Of a pair, reading the upper half clears both.
  mutating func read(_ offset: Int) -> UInt32 {
    let index = offset / 4
    guard index < values.count else { return 0 }
    let value = values[index]
    if OctetCounter(rawValue: offset) != nil { return value }
    values[index] = 0
    if OctetCounter(rawValue: offset - 4) != nil { values[index - 1] = 0 }
    return value
  }

  private mutating func increment(_ index: Int) {
    if values[index] != .max { values[index] += 1 }
  }
}
