/// How `byte_test`, `byte_jump`, `byte_extract` and `byte_math` read a number.
public enum ByteFormat: Sendable, Equatable {
  /// One to eight bytes, most significant first unless `little`.
  case binary(isLittleEndian: Bool)
  /// `string`: digits of this base, 8, 10 or 16; 0 takes the base from the digits' prefix, as C's `strtoul` does.
  case digits(base: Int)
  /// `dce`: in the byte order that the DCE/RPC header says.
  case dce
}

/// `byte_test`: reads a number and compares it.
public struct ByteTest: Sendable, Equatable {
  public enum Comparison: Sendable, BitwiseCopyable {
    case less, lessOrEqual, equal, greaterOrEqual, greater
    /// `&`: some bit in common.
    case and
    /// `^`: some bit differs.
    case xor
  }
  public var view: BufferView = .payload
  /// Bytes to read.
  public var byteCount: RuleValue
  public var isNegated: Bool = false
  public var comparison: Comparison
  public var value: RuleValue
  /// From the start of the buffer, or from the end of the previous match when relative; may be negative then.
  public var offset: RuleValue
  public var isRelative: Bool = false
  public var format: ByteFormat = .binary(isLittleEndian: false)
  /// `bitmask`: the number is masked, then shifted right by the mask's trailing zero bits.
  public var bitmask: UInt32? = nil

  public init(byteCount: RuleValue, comparison: Comparison, value: RuleValue, offset: RuleValue) {
    self.byteCount = byteCount
    self.comparison = comparison
    self.value = value
    self.offset = offset
  }
}

/// `byte_jump`: reads a number and moves the cursor by it.
public struct ByteJump: Sendable, Equatable {
  /// Where the jump counts from.
  public enum Origin: Sendable, BitwiseCopyable {
    /// The end of the bytes read.
    case bytesRead
    /// `from_beginning`: the start of the buffer.
    case beginning
    /// `from_end`: the end of the buffer.
    case end
  }
  public var view: BufferView = .payload
  /// Bytes to read; 0 only with `from_end`, where nothing is read and the number is 0.
  public var byteCount: RuleValue
  public var offset: RuleValue
  public var isRelative: Bool = false
  /// The number is multiplied by this, at least 1.
  public var multiplier: UInt32 = 1
  /// `align`: the product is rounded up to a multiple of 4.
  public var aligns: Bool = false
  public var origin: Origin = .bytesRead
  /// Added to the place jumped to.
  public var postOffset: RuleValue = 0
  public var format: ByteFormat = .binary(isLittleEndian: false)
  /// `bitmask`: as in ``ByteTest/bitmask``, before the multiplication.
  public var bitmask: UInt32? = nil

  public init(byteCount: RuleValue, offset: RuleValue) {
    self.byteCount = byteCount
    self.offset = offset
  }
}

/// `byte_extract`: reads a number into a variable and moves the cursor behind the bytes read.
public struct ByteExtract: Sendable, Equatable {
  public var view: BufferView = .payload
  public var byteCount: Int
  public var offset: Int
  public var isRelative: Bool = false
  /// Index into ``Rule/byteVariables``.
  public var variable: Int
  /// The number is multiplied by this, at least 1.
  public var multiplier: UInt32 = 1
  /// `align`: the product is rounded up to a multiple of this, 2 or 4; nil without.
  public var alignment: Int? = nil
  public var format: ByteFormat = .binary(isLittleEndian: false)

  public init(byteCount: Int, offset: Int, variable: Int) {
    self.byteCount = byteCount
    self.offset = offset
    self.variable = variable
  }
}

/// `byte_math`: reads a number, computes with it, and keeps the result in a variable; the cursor moves behind the bytes
/// read.
public struct ByteMath: Sendable, Equatable {
  public enum Operation: Sendable, BitwiseCopyable { case add, subtract, multiply, divide, shiftLeft, shiftRight }
  public var view: BufferView = .payload
  public var byteCount: RuleValue
  public var offset: Int
  public var operation: Operation
  public var operand: RuleValue
  /// Index into ``Rule/byteVariables``.
  public var variable: Int
  public var isRelative: Bool = false
  public var format: ByteFormat = .binary(isLittleEndian: false)
  /// `bitmask`: as in ``ByteTest/bitmask``, on the number read.
  public var bitmask: UInt32? = nil

  public init(byteCount: RuleValue, offset: Int, operation: Operation, operand: RuleValue, variable: Int) {
    self.byteCount = byteCount
    self.offset = offset
    self.operation = operation
    self.operand = operand
    self.variable = variable
  }
}

/// `isdataat`: whether the buffer goes on for `position` bytes, from its start or from the end of the previous match.
public struct IsDataAt: Sendable, Equatable {
  public var view: BufferView = .payload
  public var position: RuleValue
  public var isNegated: Bool = false
  public var isRelative: Bool = false

  public init(position: RuleValue) { self.position = position }
}
