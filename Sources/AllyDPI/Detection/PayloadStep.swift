/// One step of a payload inspection, in the order of the rule's options.
enum PayloadStep: BitwiseCopyable, Sendable {
  case content(ContentStep)
  case pattern(PatternStep)
  case byteTest(ByteTestStep)
  case byteJump(ByteJumpStep)
  case byteExtract(ByteExtractStep)
  case byteMath(ByteMathStep)
  case isDataAt(IsDataAtStep)
  case bufferSize(NumberTest)
  case base64(Base64Step)
  case dataSet(DataSetStep)
  case reputation(ReputationStep)
  case asn1(ASN1Step)

  /// Whether the step counts from the end of the previous match.
  var isRelative: Bool {
    switch self {
    case .content(let step): step.isRelative
    case .pattern(let step): step.isRelative
    case .byteTest(let step): step.isRelative
    case .byteJump(let step): step.isRelative
    case .byteExtract(let step): step.read.isRelative
    case .byteMath(let step): step.read.isRelative
    case .isDataAt(let step): step.isRelative
    case .base64(let step): step.isRelative
    case .asn1(let step): step.isRelative
    case .bufferSize, .dataSet, .reputation: false
    }
  }

  /// Whether the step leaves the cursor somewhere else, so that what follows no longer counts from the steps before.
  var movesCursor: Bool {
    switch self {
    case .content(let step): !step.isNegated
    case .pattern(let step): !step.isNegated
    case .byteJump, .byteExtract, .byteMath: true
    case .byteTest, .isDataAt, .bufferSize, .base64, .dataSet, .reputation, .asn1: false
    }
  }
}

/// A number of an option: written in the rule, or in the variable that an earlier step fills.
struct StepValue: BitwiseCopyable, Sendable {
  private var constant: Int
  /// -1 for a constant.
  private var variable: Int32

  init(_ value: RuleValue) {
    switch value {
    case .constant(let number):
      constant = number
      variable = -1
    case .variable(let index):
      constant = 0
      variable = Int32(index)
    }
  }

  static var zero: StepValue { StepValue(.constant(0)) }

  var isVariable: Bool { variable >= 0 }

  /// A variable's value is cut to 32 bits, so that no sum of offsets can overflow.
  @inline(__always)
  func resolve(_ variables: borrowing ByteVariables) -> Int {
    variable < 0 ? constant : Int(UInt32(truncatingIfNeeded: variables[Int(variable)]))
  }

  /// All 64 bits, for comparisons.
  @inline(__always)
  func resolveWide(_ variables: borrowing ByteVariables) -> UInt64 {
    variable < 0 ? UInt64(bitPattern: Int64(constant)) : variables[Int(variable)]
  }
}

/// ``ContentMatch``, flat.
struct ContentStep: BitwiseCopyable, Sendable {
  /// Into the program's literal bytes; in lower case when caseless.
  var literal: TableRange
  var isNegated: Bool
  var isCaseless: Bool
  var endsWith: Bool
  var hasDistance: Bool
  var hasWithin: Bool
  var hasDepth: Bool
  /// Whether a later step counts from this match, so that another match of this literal may help.
  var retries: Bool
  var offset: StepValue
  var depth: StepValue
  var distance: StepValue
  var within: StepValue

  var isRelative: Bool { hasDistance || hasWithin }
}

/// ``PatternMatch``, flat.
struct PatternStep: BitwiseCopyable, Sendable {
  /// Index of the program's ``CompiledPattern``.
  var pattern: UInt32
  var isNegated: Bool
  var isRelative: Bool
  /// As in ``ContentStep/retries``.
  var retries: Bool
  /// Into the program's ``CaptureRule``s.
  var captures = TableRange.empty
}

/// A group whose text is noted for the flow or for the packet.
struct CaptureRule: BitwiseCopyable, Sendable {
  var group: UInt32
  var scope: PatternMatch.Capture.Scope
  /// Of ``DetectionProgram/variableNames``.
  var name: UInt32
}

/// How a number is read from the bytes.
struct NumberRead: BitwiseCopyable, Sendable {
  var byteCount: StepValue
  var offset: StepValue
  var isRelative: Bool
  /// 0 for a binary number, else the base of a number in digits; 1 takes the base from the digits' prefix.
  var base: UInt8
  var isLittleEndian: Bool
  /// The message that the bytes come from says how its numbers are written (`dce`).
  var followsMessage = false
  var hasMask: Bool
  var mask: UInt32
}

struct ByteTestStep: BitwiseCopyable, Sendable {
  var read: NumberRead
  var comparison: ByteTest.Comparison
  var value: StepValue
  var isNegated: Bool
  var isRelative: Bool { read.isRelative }
}

struct ByteJumpStep: BitwiseCopyable, Sendable {
  var read: NumberRead
  var multiplier: UInt32
  var aligns: Bool
  var origin: ByteJump.Origin
  var postOffset: StepValue
  var isRelative: Bool { read.isRelative }
}

struct ByteExtractStep: BitwiseCopyable, Sendable {
  var read: NumberRead
  var variable: UInt32
  var multiplier: UInt32
  /// 0 for none.
  var alignment: UInt32
}

struct ByteMathStep: BitwiseCopyable, Sendable {
  var read: NumberRead
  var operation: ByteMath.Operation
  var operand: StepValue
  var variable: UInt32
}

struct IsDataAtStep: BitwiseCopyable, Sendable {
  var position: StepValue
  var isNegated: Bool
  var isRelative: Bool
}

/// ``Base64Decode``, flat. What follows in the same buffer is not looked at: the decoded bytes decide.
struct Base64Step: BitwiseCopyable, Sendable {
  /// Encoded bytes at most; 0 for all.
  var byteCount: UInt32
  var offset: UInt32
  var isRelative: Bool
  /// The steps on the decoded bytes.
  var decoded: TableRange
}

/// ``DataSetMatch``, flat.
struct DataSetStep: BitwiseCopyable, Sendable {
  /// Index of the program's ``DataSetDefinition``.
  var set: UInt32
  var action: Action

  enum Action: BitwiseCopyable, Sendable { case isSet, isNotSet, set, unset }
}

/// ``DataReputationMatch``, flat.
struct ReputationStep: BitwiseCopyable, Sendable {
  var set: UInt32
  var test: NumberTest
}

/// Steps that look at one header of the packet.
struct HeaderSteps: BitwiseCopyable, Sendable {
  var buffer: InspectionBuffer
  /// Index of the program's ``TransformChain``; ``Signature/any`` for none.
  var transform: UInt32
  var steps: TableRange
}

/// The variables of the rule under evaluation: one core's memory, as large as the greediest rule needs.
@safe
struct ByteVariables: ~Copyable {
  private let values: UnsafeMutablePointer<UInt64>
  private let count: Int

  init(count: Int) {
    self.count = count
    unsafe values = .allocate(capacity: max(1, count))
    unsafe values.initialize(repeating: 0, count: max(1, count))
  }

  deinit { unsafe values.deallocate() }

  @inline(__always)
  subscript(index: Int) -> UInt64 {
    get {
      precondition(index >= 0 && index < count)
      return unsafe values[index]
    }
    set {
      precondition(index >= 0 && index < count)
      unsafe values[index] = newValue
    }
  }
}
