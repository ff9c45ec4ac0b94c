internal import AllyPacket

/// ``FlowInteger``, flat.
struct FlowIntegerStep: BitwiseCopyable, Sendable {
  var operation: FlowInteger.Operation
  /// The number's own number in the program.
  var name: UInt32
  /// The other number's, or its value.
  var operand: UInt32
  var operandIsName: Bool
}

/// Numbers that flows keep under names (`flowint`): a bounded table, in which what was longest not used gives way.
struct FlowIntegerTable: ~Copyable {
  private var table: TrackTable<UInt32>

  /// Numbers that gave way to others because the table was full.
  var evictions: UInt64 { table.evictions }

  init(capacity: Int, seed: UInt64) { table = TrackTable(capacity: capacity, seed: seed, empty: 0) }

  /// Goes on with the numbers of another.
  mutating func takeOver(from former: inout FlowIntegerTable) {
    table.takeOver(from: &former.table)
  }

  /// The number of a flow; nil when there is none.
  mutating func value(_ name: UInt32, flow: UInt64, at time: UInt64) -> UInt32? {
    table.value(for: FlowIntegerTable.key(name, flow), at: time)
  }

  /// Whether a condition holds. A number that is not there fulfils no comparison.
  mutating func holds(_ step: FlowIntegerStep, flow: UInt64, at time: UInt64) -> Bool {
    let known = table.value(for: FlowIntegerTable.key(step.name, flow), at: time)
    if step.operation == .isNotSet { return known == nil }
    guard let known else { return false }
    if step.operation == .isSet { return true }
    guard let operand = operand(of: step, flow: flow, at: time) else { return false }
    return switch step.operation {
    case .less: known < operand
    case .lessOrEqual: known <= operand
    case .equal: known == operand
    case .notEqual: known != operand
    case .greaterOrEqual: known >= operand
    case .greater: known > operand
    case .set, .add, .subtract, .isSet, .isNotSet: true
    }
  }

  /// Changes a number after a match. What is added to a number that is not there becomes the number.
  mutating func apply(_ step: FlowIntegerStep, flow: UInt64, at time: UInt64) {
    guard let operand = operand(of: step, flow: flow, at: time) else { return }
    let key = FlowIntegerTable.key(step.name, flow)
    let known = table.value(for: key, at: time)
    switch step.operation {
    case .set: table.store(operand, for: key, at: time)
    case .add: table.store((known ?? 0) &+ operand, for: key, at: time)
    case .subtract: if let known { table.store(known &- operand, for: key, at: time) }
    default: break
    }
  }

  private mutating func operand(of step: FlowIntegerStep, flow: UInt64, at time: UInt64) -> UInt32? {
    step.operandIsName ? table.value(for: FlowIntegerTable.key(step.operand, flow), at: time) : step.operand
  }

  private static func key(_ name: UInt32, _ flow: UInt64) -> TrackKey {
    TrackKey(number: name, scope: 4, first: IPAddress(high: 0, low: flow))
  }
}
