/// What a point of a group and variation holds (IEEE 1815 Annex A).
struct DNP3Layout {
  enum Field {
    case u8(StaticString)
    case u16(StaticString)
    case u24(StaticString)
    case u32(StaticString)
    case i16(StaticString)
    case i32(StaticString)
    case f32(StaticString)
    case f64(StaticString)
    /// Milliseconds since 1970 in 48 bits.
    case time(StaticString)
    /// Numbers within a byte, from its lowest bit up.
    case bits([(StaticString, UInt8)])
    /// As many bytes as the point's prefix, or variation, says.
    case text(StaticString, UInt8)

    func read(_ reader: inout ByteReader, into values: inout [DNP3Value], prefix: UInt32) -> Bool {
      switch self {
      case .u8(let name): return append(name, reader.u8().map { .unsigned(UInt64($0)) }, to: &values)
      case .u16(let name): return append(name, reader.littleU16().map { .unsigned(UInt64($0)) }, to: &values)
      case .u32(let name): return append(name, reader.littleU32().map { .unsigned(UInt64($0)) }, to: &values)
      case .u24(let name): return append(name, Field.little(&reader, 3).map { .unsigned($0) }, to: &values)
      case .time(let name): return append(name, Field.little(&reader, 6).map { .unsigned($0) }, to: &values)
      case .i16(let name):
        return append(name, reader.littleU16().map { .signed(Int64(Int16(bitPattern: $0))) }, to: &values)
      case .i32(let name):
        return append(name, reader.littleU32().map { .signed(Int64(Int32(bitPattern: $0))) }, to: &values)
      case .f32(let name):
        return append(name, reader.littleU32().map { .real(Double(Float(bitPattern: $0))) }, to: &values)
      case .f64(let name):
        return append(name, Field.little(&reader, 8).map { .real(Double(bitPattern: $0)) }, to: &values)
      case .bits(let parts):
        guard let byte = reader.u8() else { return false }
        var shift: UInt8 = 0
        for (name, width) in parts {
          values.append(DNP3Value(name: name, number: .unsigned(UInt64(byte >> shift) & (1 << UInt64(width) - 1))))
          shift += width
        }
        return true
      case .text(let name, let length):
        return append(name, reader.take(length == 0 ? Int(prefix) : Int(length)).map { .text($0) }, to: &values)
      }
    }

    private func append(_ name: StaticString, _ number: DNP3Value.Number?, to values: inout [DNP3Value]) -> Bool {
      guard let number else { return false }
      values.append(DNP3Value(name: name, number: number))
      return true
    }

    private static func little(_ reader: inout ByteReader, _ count: Int) -> UInt64? {
      reader.take(count)?.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  var fields: [Field] = []
  /// Bits of a point when several share a byte; 0 otherwise.
  var packedBits: UInt8 = 0
  var packedName: StaticString = "state"

  var isPacked: Bool { packedBits > 0 }

  init(_ fields: Field...) { self.fields = fields }

  init(packed bits: UInt8, _ name: StaticString = "state") {
    packedBits = bits
    packedName = name
  }

  private static let binary: Field = .bits([
    ("online", 1), ("restart", 1), ("comm_lost", 1), ("remote_forced", 1), ("local_forced", 1), ("chatter_filter", 1),
    ("reserved", 1), ("state", 1),
  ])
  private static let double: Field = .bits([
    ("online", 1), ("restart", 1), ("comm_lost", 1), ("remote_forced", 1), ("local_forced", 1), ("chatter_filter", 1),
    ("state", 2),
  ])
  private static let output: Field = .bits([
    ("online", 1), ("restart", 1), ("comm_lost", 1), ("remote_forced", 1), ("local_forced", 1), ("reserved0", 1),
    ("reserved1", 1), ("state", 1),
  ])
  private static let counter: Field = .bits([
    ("online", 1), ("restart", 1), ("comm_lost", 1), ("remote_forced", 1), ("local_forced", 1), ("rollover", 1),
    ("discontinuity", 1), ("reserved0", 1),
  ])
  private static let analog: Field = .bits([
    ("online", 1), ("restart", 1), ("comm_lost", 1), ("remote_forced", 1), ("local_forced", 1), ("over_range", 1),
    ("reference_err", 1), ("reserved0", 1),
  ])
  private static let command: Field = .bits([("status_code", 7), ("reserved", 1)])
  private static let commandEvent: Field = .bits([("status_code", 7), ("commanded_state", 1)])
  private static let controlBlock = DNP3Layout(
    .bits([("op_type", 4), ("qu", 1), ("cr", 1), ("tcc", 2)]), .u8("count"), .u32("ontime"), .u32("offtime"), command)

  /// nil for what is not known.
  static func of(_ group: UInt8, _ variation: UInt8) -> DNP3Layout? {
    switch group {
    case 110, 111: return DNP3Layout(.text("data", variation))
    default: return known[UInt16(group) << 8 | UInt16(variation)]
    }
  }

  private static let known: [UInt16: DNP3Layout] = {
    var table: [UInt16: DNP3Layout] = [:]
    for (group, variations) in groups {
      for (variation, layout) in variations { table[group << 8 | variation] = layout }
    }
    return table
  }()

  private static let groups: [UInt16: [UInt16: DNP3Layout]] = [
    // Binary inputs, and their events.
    1: [1: DNP3Layout(packed: 1), 2: DNP3Layout(binary)],
    2: [
      1: DNP3Layout(.u8("state")), 2: DNP3Layout(binary, .time("timestamp")), 3: DNP3Layout(binary, .u16("timestamp")),
    ],
    3: [1: DNP3Layout(packed: 2), 2: DNP3Layout(double)],
    4: [
      1: DNP3Layout(double), 2: DNP3Layout(double, .time("timestamp")), 3: DNP3Layout(double, .u16("relative_time_ms")),
    ],
    // Binary outputs, their events and commands.
    10: [1: DNP3Layout(packed: 1), 2: DNP3Layout(output)],
    11: [1: DNP3Layout(output), 2: DNP3Layout(output, .time("timestamp"))],
    12: [1: controlBlock, 2: controlBlock, 3: DNP3Layout(packed: 1, "point")],
    13: [1: DNP3Layout(commandEvent), 2: DNP3Layout(commandEvent, .time("timestamp"))],
    // Counters, frozen ones, and their events.
    20: [
      1: DNP3Layout(counter, .u32("count")), 2: DNP3Layout(counter, .u16("count")),
      3: DNP3Layout(counter, .u32("count")), 4: DNP3Layout(counter, .u16("count")),
      5: DNP3Layout(.u32("count")), 6: DNP3Layout(.u16("count")), 7: DNP3Layout(.u32("count")),
      8: DNP3Layout(.u16("count")),
    ],
    21: [
      1: DNP3Layout(counter, .u32("count")), 2: DNP3Layout(counter, .u16("count")),
      3: DNP3Layout(counter, .u32("count")), 4: DNP3Layout(counter, .u16("count")),
      5: DNP3Layout(counter, .u32("count"), .time("timestamp")),
      6: DNP3Layout(counter, .u16("count"), .time("timestamp")),
      7: DNP3Layout(counter, .u32("count"), .time("timestamp")),
      8: DNP3Layout(counter, .u16("count"), .time("timestamp")),
      9: DNP3Layout(.u32("count")), 10: DNP3Layout(.u16("count")), 11: DNP3Layout(.u32("count")),
      12: DNP3Layout(.u16("count")),
    ],
    22: counterEvents, 23: counterEvents,
    // Analog inputs, frozen ones, and their events.
    30: [
      1: DNP3Layout(analog, .i32("value")), 2: DNP3Layout(analog, .i16("value")), 3: DNP3Layout(.i32("value")),
      4: DNP3Layout(.i16("value")), 5: DNP3Layout(analog, .f32("value")), 6: DNP3Layout(analog, .f64("value")),
    ],
    31: [
      1: DNP3Layout(analog, .i32("value")), 2: DNP3Layout(analog, .i16("value")),
      3: DNP3Layout(analog, .i32("value"), .time("timestamp")),
      4: DNP3Layout(analog, .i16("value"), .time("timestamp")), 5: DNP3Layout(.i32("value")),
      6: DNP3Layout(.i16("value")), 7: DNP3Layout(analog, .f32("value")), 8: DNP3Layout(analog, .f64("value")),
    ],
    32: analogEvents, 33: analogEvents,
    34: [
      1: DNP3Layout(.u16("deadband_value")), 2: DNP3Layout(.u32("deadband_value")),
      3: DNP3Layout(.f32("deadband_value")),
    ],
    // Analog outputs, their commands and events.
    40: [
      1: DNP3Layout(analog, .i32("value")), 2: DNP3Layout(analog, .i16("value")),
      3: DNP3Layout(analog, .f32("value")), 4: DNP3Layout(analog, .f64("value")),
    ],
    41: [
      1: DNP3Layout(.i32("value"), .u8("control_status")), 2: DNP3Layout(.i16("value"), .u8("control_status")),
      3: DNP3Layout(.f32("value"), .u8("control_status")), 4: DNP3Layout(.f64("value"), .u8("control_status")),
    ],
    42: analogEvents,
    // Times.
    50: [
      1: DNP3Layout(.time("timestamp")), 2: DNP3Layout(.time("timestamp"), .u32("interval")),
      3: DNP3Layout(.time("timestamp")),
      4: DNP3Layout(.time("timestamp"), .u32("interval_count"), .u8("interval_units")),
    ],
    51: [1: DNP3Layout(.time("timestamp")), 2: DNP3Layout(.time("timestamp"))],
    52: [1: DNP3Layout(.u16("delay_secs")), 2: DNP3Layout(.u16("delay_ms"))],
    // Indications, and small integers.
    80: [1: DNP3Layout(packed: 1)],
    102: [1: DNP3Layout(.u8("value"))],
  ]

  private static let counterEvents: [UInt16: DNP3Layout] = [
    1: DNP3Layout(counter, .u32("count")), 2: DNP3Layout(counter, .u16("count")),
    3: DNP3Layout(counter, .u32("count")), 4: DNP3Layout(counter, .u16("count")),
    5: DNP3Layout(counter, .u32("count"), .time("timestamp")),
    6: DNP3Layout(counter, .u16("count"), .time("timestamp")),
    7: DNP3Layout(counter, .u32("count"), .time("timestamp")),
    8: DNP3Layout(counter, .u16("count"), .time("timestamp")),
  ]

  private static let analogEvents: [UInt16: DNP3Layout] = [
    1: DNP3Layout(analog, .i32("value")), 2: DNP3Layout(analog, .i16("value")),
    3: DNP3Layout(analog, .i32("value"), .time("timestamp")),
    4: DNP3Layout(analog, .i16("value"), .time("timestamp")),
    5: DNP3Layout(analog, .f32("value")), 6: DNP3Layout(analog, .f64("value")),
    7: DNP3Layout(analog, .f32("value"), .time("timestamp")),
    8: DNP3Layout(analog, .f64("value"), .time("timestamp")),
  ]
}
