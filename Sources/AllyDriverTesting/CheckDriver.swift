public import AllyDeviceModels
internal import AllyHW
public import AllyRings
public import AllySimulator

/// What a NIC's virtualization has to hold, whoever wrote it.
public enum Law: String, Sendable, CaseIterable {
  /// Descriptors say what they were made to say, and every bit pattern is a descriptor.
  case formats
  /// The datasheet's examples mean what the datasheet says.
  case vectors
  /// The register map is in order: aligned, sorted, without overlap, inside the register BAR.
  case registerMap
  /// Fewer than ten rows of the Remapping Table (paper §4.3).
  case remappingTableSize
  /// Frames keep their order through many turns of the queues, both ways, none lost or doubled.
  case orderAcrossWrap
  /// An OS driver finds the same frames, memory and registers as without Ally.
  case transparency
  /// No address of DPI memory is where the OS can read it, and nothing is stored but in the driver's queues and buffers.
  case isolation
  /// No byte that the inspector did not let pass is visible to the OS or on the wire.
  case noUninspectedByte
  /// An OS that writes nonsense to registers and queues neither traps, nor sends anything, nor misleads the NIC.
  case hostileOS
  /// The OS may reset its NIC at any step: nothing is doubled, and afterwards all is as after the first start.
  case resetAtEveryStep
}

/// A law that a driver breaks.
public struct LawFailure: Sendable, CustomStringConvertible {
  public var law: Law
  /// What was found, in a sentence.
  public var sentence: String
  /// What the random choices followed from.
  public var seed: UInt64
  /// The queues at that moment, where the law is about queues; see ``RingDiagram``.
  public var diagram: String?

  public var description: String {
    "\(law.rawValue): \(sentence) (seed \(seed))" + (diagram.map { "\n\($0)" } ?? "")
  }
}

/// A NIC family as the kit runs it: the virtualizer under test, a model of the NIC, and the OS's driver.
///
/// Models and drivers are made anew for each machine. The OS driver's queues should have few descriptors, 32 or so, so that
/// they wrap around often; ``queueLength`` tells how many.
public struct NICBench<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
> {
  public var queueLength: Int
  /// Registers that may read otherwise than without Ally, by offset: a written list, as short as possible.
  public var mayDiffer: [UInt32]
  public var makeModel: () -> Model
  public var makeOSDriver: () -> OSDriver

  public init(
    queueLength: Int, mayDiffer: [UInt32] = [], model: @escaping () -> Model, osDriver: @escaping () -> OSDriver
  ) {
    self.queueLength = queueLength
    self.mayDiffer = mayDiffer
    self.makeModel = model
    self.makeOSDriver = osDriver
  }

  /// A machine that has just been powered on.
  func machine(_ protection: PacketProtection) throws -> SimulatedMachine<Virtualizer, Model, OSDriver> {
    let layout = MachineLayout(limits: RingLimits(copyMemory: 1 << 20), protection: protection)
    return try SimulatedMachine(layout: layout, model: makeModel(), osDriver: makeOSDriver())
  }
}

/// Runs every law that needs no knowledge of descriptor formats: for a virtualizer of any kind.
///
/// - Returns: the laws that are broken, each once; empty for a driver that conforms.
public func checkVirtualizer<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(
  _ bench: NICBench<Virtualizer, Model, OSDriver>, seed: UInt64
) -> [LawFailure] {
  var check = LawChecks(bench: bench, seed: seed)
  check.registerMap()
  check.remappingTableSize()
  check.run(.orderAcrossWrap) { check in try check.orderAcrossWrap() }
  check.run(.transparency) { check in try check.transparency() }
  check.run(.isolation) { check in try check.isolation() }
  check.run(.noUninspectedByte) { check in try check.noUninspectedByte() }
  check.run(.hostileOS) { check in try check.hostileOS() }
  check.run(.resetAtEveryStep) { check in try check.resetAtEveryStep() }
  return check.failures
}

/// Runs every law: for a driver module of a NIC with descriptor rings.
///
///     #expect(checkDriver(MyNIC.self, vectors: MyNICVectors.all, on: bench, seed: 1).isEmpty)
///
/// - Returns: the laws that are broken, each once; empty for a driver that conforms.
public func checkDriver<Driver: NICDriver, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable>(
  _ driver: Driver.Type, vectors: DatasheetVectors, on bench: NICBench<RingVirtualizer<Driver>, Model, OSDriver>,
  seed: UInt64
) -> [LawFailure] {
  var formats = FormatChecks<Driver>(seed: seed)
  formats.checkFormats()
  formats.check(vectors)
  return formats.failures + checkVirtualizer(bench, seed: seed)
}

/// The laws about machines, one after the other.
struct LawChecks<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
> {
  let bench: NICBench<Virtualizer, Model, OSDriver>
  let seed: UInt64
  var failures: [LawFailure] = []

  init(bench: NICBench<Virtualizer, Model, OSDriver>, seed: UInt64) {
    self.bench = bench
    self.seed = seed
  }

  /// Notes the first failure of each law.
  mutating func fail(_ law: Law, _ sentence: String, diagram: String? = nil) {
    guard !failures.contains(where: { $0.law == law }) else { return }
    failures.append(LawFailure(law: law, sentence: sentence, seed: seed, diagram: diagram))
  }

  mutating func run(_ law: Law, _ body: (inout Self) throws -> Void) {
    do { try body(&self) } catch { fail(law, "the machine cannot be composed: \(error)") }
  }

  // MARK: Registers

  mutating func registerMap() {
    var end: UInt32 = 0
    for range in Virtualizer.registers {
      let (rangeEnd, overflow) = range.offset.addingReportingOverflow(range.length)
      if range.length == 0 || overflow || UInt64(rangeEnd) > Model.registerSpace {
        fail(
          .registerMap, "the run at \(range.offset) is empty or leaves the register BAR of \(Model.registerSpace) bytes"
        )
      } else if range.offset % 4 != 0 && range.length >= 4 || range.length > 4 && range.length % 4 != 0 {
        fail(.registerMap, "the run at \(range.offset), \(range.length) bytes, cuts a register of 32 bits")
      } else if range.offset < end {
        fail(.registerMap, "the run at \(range.offset) overlaps the one before it, or comes before it")
      }
      end = max(end, rangeEnd)
    }
  }

  mutating func remappingTableSize() {
    let rows = Virtualizer.registers.count { $0.disposition != .passThrough }
    if rows >= 10 { fail(.remappingTableSize, "\(rows) rows of the Remapping Table; expected fewer than 10") }
  }
}
