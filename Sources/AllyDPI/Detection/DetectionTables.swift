internal import AllyPacket

/// What compiled rules are on the packet path: flat tables that every core reads and nobody writes.
///
/// Copies share the memory, which the ``DetectionProgram`` owns.
struct DetectionTables: Sendable {
  /// In the order of evaluation.
  var signatures: ConstantTable<Signature>
  /// Which of the program's records belongs to each signature: both directions of a `<>` rule have one.
  var records: ConstantTable<UInt32>
  /// How many records there are.
  var recordCount: Int
  /// For each signature the number of its rule, by generator and signature id: the same when rules are read again.
  var identities: ConstantTable<UInt32>
  var tests: ConstantTable<PacketTest>
  var steps: ConstantTable<PayloadStep>
  var headerSteps: ConstantTable<HeaderSteps>
  var changes: ConstantTable<StateChange>
  var bitNumbers: ConstantTable<UInt32>
  var literals: ConstantTable<UInt8>
  var patterns: ConstantTable<CompiledPattern>
  var captures: ConstantTable<CaptureRule>
  var addressLists: ConstantTable<TableRange>
  var addresses: ConstantTable<AddressInterval>
  var portLists: ConstantTable<TableRange>
  var ports: ConstantTable<PortInterval>
  var thresholds: ConstantTable<ThresholdRule>
  var rateFilters: ConstantTable<RateFilterRule>
  var suppressions: ConstantTable<SuppressionTest>
  var reputations: ReputationTable
  /// Ranges of numbers that rules name, such as operations of DCE/RPC.
  var numberRanges: ConstantTable<NumberRange>
  /// The lists of digests that rules name, each sorted.
  var digests: ConstantTable<UInt8>
  /// What rules want to know of files.
  var fileNeeds: FileNeeds
  var ends: EndTables
  var prefilter: PrefilterTables
  var application: ApplicationTables
  var frames: ConstantTable<FrameSignature>
  /// Conditions on transactions that are about no buffer and no number.
  var conditions: [ApplicationCondition]
  var tags: ConstantTable<TagRule>
  /// What rules do with buffers before they look at them.
  var transforms: [TransformChain]
  /// As they are at the start.
  var dataSets: [DataSetDefinition]
  /// The most variables that one rule has.
  var variableCount: Int

  /// An interval of addresses, both ends included.
  struct AddressInterval: BitwiseCopyable, Sendable {
    var first: IPAddress
    var last: IPAddress
  }

  /// An interval of numbers, both ends included.
  struct NumberRange: BitwiseCopyable, Sendable {
    var first: UInt16
    var last: UInt16
  }

  /// What rules want to know of the files that applications carry.
  struct FileNeeds: Sendable {
    var digests: [Digest.Function] = []
    var magic = false
    var store = false
  }

  /// An interval of ports, both ends included.
  struct PortInterval: BitwiseCopyable, Sendable {
    var first: UInt16
    var last: UInt16
  }

  /// Whether an address is in a list, by binary search; ``Signature/any`` holds every address.
  @inline(__always)
  func address(_ address: IPAddress, isIn list: UInt32) -> Bool {
    if list == Signature.any { return true }
    let range = addressLists[list]
    var low = Int(range.start)
    var high = low &+ Int(range.count)
    while low < high {
      let middle = (low &+ high) / 2
      let interval = addresses[middle]
      if address < interval.first {
        high = middle
      } else if interval.last < address {
        low = middle &+ 1
      } else {
        return true
      }
    }
    return false
  }

  /// Likewise for a port.
  @inline(__always)
  func port(_ port: UInt16, isIn list: UInt32) -> Bool {
    if list == Signature.any { return true }
    for index in portLists[list].indices {
      let interval = ports[index]
      if port < interval.first { return false }
      if port <= interval.last { return true }
    }
    return false
  }

  /// Frees everything; no copy may be used afterwards.
  @unsafe func deallocate() {
    for index in 0..<patterns.count { unsafe patterns[index].deallocate() }
    unsafe signatures.deallocate()
    unsafe records.deallocate()
    unsafe identities.deallocate()
    unsafe tests.deallocate()
    unsafe steps.deallocate()
    unsafe headerSteps.deallocate()
    unsafe changes.deallocate()
    unsafe bitNumbers.deallocate()
    unsafe literals.deallocate()
    unsafe captures.deallocate()
    unsafe patterns.deallocate()
    unsafe addressLists.deallocate()
    unsafe addresses.deallocate()
    unsafe portLists.deallocate()
    unsafe ports.deallocate()
    unsafe thresholds.deallocate()
    unsafe rateFilters.deallocate()
    unsafe suppressions.deallocate()
    unsafe reputations.deallocate()
    unsafe numberRanges.deallocate()
    unsafe digests.deallocate()
    unsafe ends.deallocate()
    unsafe prefilter.deallocate()
    unsafe application.deallocate()
    unsafe tags.deallocate()
    unsafe frames.deallocate()
    for chain in transforms { unsafe chain.deallocate() }
  }
}
