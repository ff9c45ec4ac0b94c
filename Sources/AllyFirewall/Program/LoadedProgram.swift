internal import AllyPacket

/// What a policy says of one packet.
struct ProgramDecision: BitwiseCopyable {
  var verdict: Verdict
  /// For ``Verdict/reject``.
  var rejection: Rejection?
  /// The rule that decided, or -1: a chain's policy, or no chain at all.
  var rule: Int32
}

/// A program in memory of its own, with its counters. One core owns it; nothing in it is counted by reference, so that a
/// packet costs no retain and no allocation.
@safe
struct LoadedProgram: ~Copyable {
  private let instructions: UnsafeMutableBufferPointer<Instruction>
  private let byteSets: UnsafeMutableBufferPointer<ByteSet>
  private let addresses4: UnsafeMutableBufferPointer<AddressRange4>
  private let addresses6: UnsafeMutableBufferPointer<AddressRange6>
  private let ports: UnsafeMutableBufferPointer<PortRange>
  private let flagTests: UnsafeMutableBufferPointer<TCPFlagsTest>
  private let rejections: UnsafeMutableBufferPointer<Rejection>
  private let baseChains: UnsafeMutableBufferPointer<BaseChain>
  /// The `counter` statements.
  private let counters: UnsafeMutableBufferPointer<PacketCount>
  /// What each rule decided about.
  private let decided: UnsafeMutableBufferPointer<PacketCount>
  /// What each base chain's policy decided about.
  private let policies: UnsafeMutableBufferPointer<PacketCount>

  init(_ program: Program) {
    func copy<Element: BitwiseCopyable>(_ array: [Element]) -> UnsafeMutableBufferPointer<Element> {
      let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: array.count)
      _ = unsafe memory.initialize(fromContentsOf: array)
      return unsafe memory
    }
    unsafe instructions = copy(program.instructions)
    unsafe byteSets = copy(program.byteSets)
    unsafe addresses4 = copy(program.addresses4)
    unsafe addresses6 = copy(program.addresses6)
    unsafe ports = copy(program.ports)
    unsafe flagTests = copy(program.flagTests)
    unsafe rejections = copy(program.rejections)
    unsafe baseChains = copy(program.baseChains)
    unsafe counters = copy(program.counters)
    unsafe decided = copy(Array(repeating: PacketCount(), count: program.ruleCount))
    unsafe policies = copy(Array(repeating: PacketCount(), count: program.baseChains.count))
  }

  deinit {
    unsafe instructions.deallocate()
    unsafe byteSets.deallocate()
    unsafe addresses4.deallocate()
    unsafe addresses6.deallocate()
    unsafe ports.deallocate()
    unsafe flagTests.deallocate()
    unsafe rejections.deallocate()
    unsafe baseChains.deallocate()
    unsafe counters.deallocate()
    unsafe decided.deallocate()
    unsafe policies.deallocate()
  }

  /// A copy of all counters.
  var count: PolicyCounters {
    unsafe PolicyCounters(statements: Array(counters), rules: Array(decided), policies: Array(policies))
  }

  /// Runs the base chains that see `direction`, in their order, until one does not accept.
  mutating func evaluate(
    _ layers: PacketLayers, state: ConnectionStateSet, direction: Direction, log: inout LogQueue,
    stamp: FrameStamp
  ) -> ProgramDecision {
    var decision = ProgramDecision(verdict: .accept, rejection: nil, rule: -1)
    for index in unsafe 0..<baseChains.count {
      let base = unsafe baseChains[unchecked: index]
      guard direction == .receive ? base.seesReceive : base.seesTransmit,
        layers.network == .ipv4 ? base.seesIPv4 : base.seesIPv6
      else { continue }
      if let found = run(base.start, layers, state, direction, &log, stamp) {
        decision = found
      } else {
        unsafe policies[unchecked: index].add(layers.networkLength)
        decision = ProgramDecision(verdict: base.accepts ? .accept : .drop, rejection: nil, rule: -1)
      }
      if decision.verdict != .accept { return decision }
    }
    return decision
  }

  /// Runs one base chain.
  ///
  /// The compiler saw to it that jumps nest at most ``Program/maximumDepth`` deep and lead on, so that the loop ends and
  /// the stack suffices.
  ///
  /// - Returns: nil when no rule decided.
  private mutating func run(
    _ start: UInt32, _ layers: PacketLayers, _ state: ConnectionStateSet, _ direction: Direction,
    _ log: inout LogQueue, _ stamp: FrameStamp
  ) -> ProgramDecision? {
    var stack = InlineArray<16, UInt32>(repeating: 0)
    var depth = 0
    var next = Int(start)
    while true {
      let instruction = unsafe instructions[unchecked: next]
      let matches: Bool
      switch instruction.operation {
      case .network:
        matches = layers.network == (instruction.argument == 4 ? .ipv4 : .ipv6)
      case .transport:
        matches = layers.hasTransport && isIn(instruction, layers.ipProtocol.rawValue)
      case .ipProtocol:
        matches = isIn(instruction, layers.ipProtocol.rawValue)
      case .headerProtocol:
        matches = isIn(instruction, layers.headerProtocol.rawValue)
      case .icmpType:
        matches = layers.hasTransport && isIn(instruction, layers.icmpType)
      case .icmpCode:
        matches = layers.hasTransport && isIn(instruction, layers.icmpCode)
      case .sourceAddress4:
        matches = layers.network == .ipv4 && isIn4(instruction, layers.source.v4Bits)
      case .destinationAddress4:
        matches = layers.network == .ipv4 && isIn4(instruction, layers.destination.v4Bits)
      case .sourceAddress6:
        matches = layers.network == .ipv6 && isIn6(instruction, layers.source)
      case .destinationAddress6:
        matches = layers.network == .ipv6 && isIn6(instruction, layers.destination)
      case .sourcePort:
        matches = layers.hasTransport && isInPorts(instruction, layers.sourcePort)
      case .destinationPort:
        matches = layers.hasTransport && isInPorts(instruction, layers.destinationPort)
      case .connectionState:
        matches = (UInt16(state.rawValue) & instruction.argument != 0) != instruction.isNegated
      case .tcpFlags:
        matches =
          unsafe layers.hasTransport
          && flagTests[unchecked: Int(instruction.first)].matches(layers.tcpFlags.rawValue)
      case .counter:
        unsafe counters[unchecked: Int(instruction.first)].add(layers.networkLength)
        matches = true
      case .log:
        log.append(
          FirewallLogEvent(
            stamp: stamp, direction: direction, statement: Int(instruction.first), rule: Int(instruction.count),
            connectionState: state, layers: layers))
        matches = true
      case .accept:
        return decide(.accept, instruction, layers)
      case .drop:
        return decide(.drop, instruction, layers)
      case .reject:
        var decision = decide(.reject, instruction, layers)
        decision.rejection = unsafe rejections[unchecked: Int(instruction.first)]
        return decision
      case .jump:
        unsafe decided[unchecked: Int(instruction.count)].add(layers.networkLength)
        stack[depth] = UInt32(truncatingIfNeeded: next &+ 1)
        depth &+= 1
        next = Int(instruction.first)
        continue
      case .goto:
        unsafe decided[unchecked: Int(instruction.count)].add(layers.networkLength)
        next = Int(instruction.first)
        continue
      case .return, .end:
        if instruction.operation == .return {
          unsafe decided[unchecked: Int(instruction.count)].add(layers.networkLength)
        }
        guard depth > 0 else { return nil }
        depth &-= 1
        next = Int(stack[depth])
        continue
      case .continue:
        unsafe decided[unchecked: Int(instruction.count)].add(layers.networkLength)
        matches = false
      }
      next = matches ? next &+ 1 : Int(instruction.otherwise)
    }
  }

  @inline(__always)
  private mutating func decide(
    _ verdict: Verdict, _ instruction: Instruction, _ layers: PacketLayers
  ) -> ProgramDecision {
    unsafe decided[unchecked: Int(instruction.count)].add(layers.networkLength)
    return ProgramDecision(verdict: verdict, rejection: nil, rule: Int32(truncatingIfNeeded: instruction.count))
  }

  @inline(__always)
  private func isIn(_ instruction: Instruction, _ value: UInt8) -> Bool {
    unsafe byteSets[unchecked: Int(instruction.first)].contains(value) != instruction.isNegated
  }

  @inline(__always)
  private func isIn4(_ instruction: Instruction, _ value: UInt32) -> Bool {
    let index = search(instruction) { unsafe addresses4[unchecked: $0].upper < value }
    let found = index.map { unsafe addresses4[unchecked: $0].lower <= value } ?? false
    return found != instruction.isNegated
  }

  @inline(__always)
  private func isIn6(_ instruction: Instruction, _ address: IPAddress) -> Bool {
    let value = UInt128(address.high) &<< 64 | UInt128(address.low)
    let index = search(instruction) { unsafe addresses6[unchecked: $0].upper < value }
    let found = index.map { unsafe addresses6[unchecked: $0].lower <= value } ?? false
    return found != instruction.isNegated
  }

  @inline(__always)
  private func isInPorts(_ instruction: Instruction, _ value: UInt16) -> Bool {
    let index = search(instruction) { unsafe ports[unchecked: $0].upper < value }
    let found = index.map { unsafe ports[unchecked: $0].lower <= value } ?? false
    return found != instruction.isNegated
  }

  /// The first of an instruction's ranges, which ascend, that does not end before a value; nil when all do.
  @inline(__always)
  private func search(_ instruction: Instruction, endsBefore: (Int) -> Bool) -> Int? {
    var lower = Int(instruction.first)
    let end = lower &+ Int(instruction.count)
    var upper = end
    while lower < upper {
      let middle = (lower &+ upper) &>> 1
      if endsBefore(middle) { lower = middle &+ 1 } else { upper = middle }
    }
    return lower < end ? lower : nil
  }
}

extension UnsafeMutableBufferPointer {
  /// The element at an index that the compiler of the policy made.
  fileprivate subscript(unchecked index: Int) -> Element {
    @inline(__always)
    unsafeAddress {
      // `allocate(capacity:)` always gives an address.
      unsafe UnsafePointer(baseAddress.unsafelyUnwrapped + index)
    }
    @inline(__always)
    nonmutating unsafeMutableAddress {
      unsafe baseAddress.unsafelyUnwrapped + index
    }
  }
}
