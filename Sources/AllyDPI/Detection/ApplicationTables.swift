/// What compiled rules are to transactions: for each protocol and side, which buffers are searched and which signatures
/// a finding makes a candidate.
struct ApplicationTables: Sendable {
  /// For each parser of ``ApplicationParsers/all`` two: to the server, to the client.
  var sides: ConstantTable<ApplicationSide>
  var groups: ConstantTable<ApplicationGroup>
  /// For each literal of each group, the candidates.
  var literalUses: ConstantTable<TableRange>
  var candidates: ConstantTable<ApplicationCandidate>
  var anchors: ConstantTable<ApplicationAnchor>
  /// The buffers that each signature looks at.
  var buffers: ConstantTable<BufferSteps>
  /// For each signature its range of ``buffers``.
  var bufferRanges: ConstantTable<TableRange>

  @inline(__always)
  func side(_ protocolNumber: UInt8, _ side: FlowSide) -> ApplicationSide? {
    protocolNumber >= ApplicationParsers.failed ? nil : sides[Int(protocolNumber) &* 2 &+ Int(side.rawValue)]
  }

  /// Frees everything; no copy may be used afterwards.
  @unsafe func deallocate() {
    for index in 0..<groups.count { unsafe groups[index].database?.deallocate() }
    unsafe sides.deallocate()
    unsafe groups.deallocate()
    unsafe literalUses.deallocate()
    unsafe candidates.deallocate()
    unsafe anchors.deallocate()
    unsafe buffers.deallocate()
    unsafe bufferRanges.deallocate()
  }
}

/// The signatures about what one side says in one protocol.
struct ApplicationSide: BitwiseCopyable, Sendable {
  /// Into ``ApplicationTables/groups``, in the order of the buffers' stages.
  var groups: TableRange
  /// Signatures without a literal to search for, in the order of the stage that they need.
  var unsearched: TableRange
  /// Signatures on events.
  var events: TableRange

  var isEmpty: Bool { groups.isEmpty && unsearched.isEmpty && events.isEmpty }
}

/// A buffer to be searched.
struct ApplicationGroup: BitwiseCopyable, Sendable {
  var buffer: InspectionBuffer
  /// Index of the program's ``TransformChain``; ``Signature/any`` for none.
  var transform: UInt32
  var availability: BufferAvailability
  /// nil when all literals are weak.
  var database: HyperscanDatabase?
  var firstUse: UInt32
  /// All candidates that the database stands for: what must be evaluated when a scan is given up.
  var searched: TableRange
}

/// A signature to be evaluated on a transaction.
struct ApplicationCandidate: BitwiseCopyable, Sendable {
  var signature: UInt32
  /// The stage at which all its buffers are complete.
  var stage: UInt8
  /// The stage from which on it may match buffers that still grow; the same as ``stage`` when it has none.
  var earliest: UInt8
  /// Into ``ApplicationTables/anchors``; ``Signature/any`` for none.
  var anchor = Signature.any
}

/// Bytes that a buffer must hold at their place for a signature to be worth evaluating.
struct ApplicationAnchor: BitwiseCopyable, Sendable {
  var buffer: InspectionBuffer
  var literal: AnchoredLiteral
}

/// Steps that look at one buffer.
struct BufferSteps: BitwiseCopyable, Sendable {
  var buffer: InspectionBuffer
  /// Index of the program's ``TransformChain``; ``Signature/any`` for none.
  var transform: UInt32
  var steps: TableRange
}
