public import AllyDeviceModels
internal import AllyHW
public import AllyRings
public import AllySimulator

/// Runs every law that needs no knowledge of descriptor formats: for a virtualizer of any kind.
///
/// - Parameters:
///   - bench: the NIC family.
///   - seed: what random choices follow from.
/// - Returns: the laws that are broken, each once; empty for a driver that conforms.
@inlinable
public func checkVirtualizer<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(
  _ bench: NICBench<Virtualizer, Model, OSDriver>, seed: UInt64
) -> [LawFailure] {
  checkMachines(bench, seed: seed) + checkRuntimeCalls(bench, seed: seed)
}

/// Runs every law: for a driver module of a NIC with descriptor rings.
///
///     #expect(checkDriver(MyNIC.self, vectors: MyNICVectors.all, on: bench, seed: 1).isEmpty)
///
/// - Parameters:
///   - driver: the driver module's type.
///   - vectors: descriptors as the datasheet shows them.
///   - bench: the NIC family.
///   - seed: what random choices follow from.
/// - Returns: the laws that are broken, each once; empty for a driver that conforms.
@inlinable
public func checkDriver<Driver: NICDriver, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable>(
  _ driver: Driver.Type, vectors: DatasheetVectors, on bench: NICBench<RingVirtualizer<Driver>, Model, OSDriver>,
  seed: UInt64
) -> [LawFailure] {
  checkFormats(driver, vectors: vectors, seed: seed) + checkRings(bench, seed: seed)
    + checkRuntimeCalls(bench, seed: seed)
}

/// Runs the law of transparency alone, for as long as one likes: the OS's driver over Ally and without sees the same frames,
/// descriptors and registers.
///
/// - Parameters:
///   - bench: the NIC family.
///   - protection: the level at which Ally works.
///   - steps: how many: each a frame from the wire or from the OS, a wait until all is done, or a restart of the driver.
///   - seed: what random choices follow from.
/// - Returns: the first difference; nil when there was none.
public func checkTransparency<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(
  _ bench: NICBench<Virtualizer, Model, OSDriver>, protection: PacketProtection, steps: Int, seed: UInt64
) -> LawFailure? {
  var check = LawChecks(bench: bench, seed: seed) { RingDiagram.words($0) }
  check.run(.transparency) { check in try check.transparency(protection, steps: steps, includesRestarts: true) }
  return check.failures.first
}

@usableFromInline
func checkFormats<Driver: NICDriver>(
  _ driver: Driver.Type, vectors: DatasheetVectors, seed: UInt64
) -> [LawFailure] {
  var formats = FormatChecks<Driver>(seed: seed)
  formats.checkFormats()
  formats.check(vectors)
  return formats.failures
}

@usableFromInline
func checkRings<Driver: NICDriver, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable>(
  _ bench: NICBench<RingVirtualizer<Driver>, Model, OSDriver>, seed: UInt64
) -> [LawFailure] {
  var check = LawChecks(bench: bench, seed: seed) { RingDiagram.rings($0) }
  check.runAll()
  return check.failures
}

@usableFromInline
func checkMachines<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(_ bench: NICBench<Virtualizer, Model, OSDriver>, seed: UInt64) -> [LawFailure] {
  var check = LawChecks(bench: bench, seed: seed) { RingDiagram.words($0) }
  check.runAll()
  return check.failures
}

/// The laws about machines, one after the other.
struct LawChecks<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
> {
  typealias Machine = SimulatedMachine<Virtualizer, Model, OSDriver>

  let bench: NICBench<Virtualizer, Model, OSDriver>
  let seed: UInt64
  /// The queues of a machine as text.
  let draw: (borrowing Machine) -> String
  var failures: [LawFailure] = []

  init(
    bench: NICBench<Virtualizer, Model, OSDriver>, seed: UInt64, draw: @escaping (borrowing Machine) -> String
  ) {
    self.bench = bench
    self.seed = seed
    self.draw = draw
  }

  /// Notes the first failure of each law.
  mutating func fail(_ law: Law, _ sentence: String, diagram: String? = nil) {
    guard !failures.contains(where: { $0.law == law }) else { return }
    failures.append(LawFailure(law: law, sentence: sentence, seed: seed, diagram: diagram))
  }

  mutating func runAll() {
    registerMap()
    remappingTableSize()
    run(.orderAcrossWrap) { check in try check.orderAcrossWrap() }
    run(.transparency) { check in
      for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
        try check.transparency(protection, steps: 100, includesRestarts: false)
      }
    }
    run(.isolation) { check in try check.isolation() }
    run(.noUninspectedByte) { check in try check.noUninspectedByte() }
    run(.hostileOS) { check in try check.hostileOS() }
    run(.resetAtEveryStep) { check in try check.resetAtEveryStep() }
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
