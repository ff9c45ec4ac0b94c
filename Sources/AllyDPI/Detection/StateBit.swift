/// A named bit that rules leave for each other, by number. Numbers are the program's; 0 to 255 of a flow's bits lie in the
/// flow itself.
struct StateBit: BitwiseCopyable, Sendable, Hashable {
  var number: UInt32
  var track: StateBits.Track
}

/// `isset`, `isnotset` with their names.
struct BitCondition: BitwiseCopyable, Sendable {
  /// Into the program's bit numbers.
  var names: TableRange
  var track: StateBits.Track
  /// Some of the bits is set, or some of them is not.
  var wantsSet: Bool
}

/// What is done after a rule has matched.
enum StateChange: BitwiseCopyable, Sendable {
  case bit(BitChange)
  case integer(FlowIntegerStep)
}

/// `set`, `unset`, `toggle`.
struct BitChange: BitwiseCopyable, Sendable {
  enum Change: BitwiseCopyable, Sendable { case set, unset, toggle }
  var bit: StateBit
  var change: Change
  /// Seconds; 0 for as long as the flow lives or the table has room.
  var expiry: UInt32
}
