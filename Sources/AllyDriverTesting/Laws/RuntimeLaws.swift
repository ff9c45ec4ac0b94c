public import AllyAppliance
public import AllyDeviceModels
public import AllyHW
public import AllyPacket
public import AllyRings
public import AllySimulator
internal import CRuntimeCalls

/// What this thread called of the C library and of Swift's runtime.
@usableFromInline
struct RuntimeCalls {
  /// Allocations of memory.
  @usableFromInline var allocations: UInt64 = 0
  /// Associated types that code for types of any kind looked up: specialised code knows them.
  @usableFromInline var lookups: UInt64 = 0

  @usableFromInline
  init() {}

  /// The calls of this thread so far.
  @usableFromInline
  static var now: RuntimeCalls {
    let calls = runtime_calls_so_far()
    var now = RuntimeCalls()
    now.allocations = calls.allocations
    now.lookups = calls.lookups
    return now
  }

  @usableFromInline
  mutating func add(from start: RuntimeCalls, to end: RuntimeCalls) {
    allocations += end.allocations - start.allocations
    lookups += end.lookups - start.lookups
  }

  /// Whether allocations are counted in this process.
  static var areCounted: Bool {
    let before = now
    let text = String(repeating: "-", count: 64 + Int(before.allocations & 1))
    return now.allocations > before.allocations && !text.isEmpty
  }
}

/// Accepts seven frames of eight.
@usableFromInline
@frozen
struct CheapInspector: PacketInspector {
  @usableFromInline var seen: UInt64 = 0

  @inlinable
  init() {}

  @inlinable
  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    seen &+= 1
    return seen & 7 == 7 ? .drop : .accept
  }
}

/// The NIC of a pass whose calls are counted: keeps the writes, which the pass makes without reading, for the model.
@usableFromInline
@frozen
struct RegisterWrites: NICDevice {
  @frozen
  @usableFromInline
  struct Write: BitwiseCopyable {
    @usableFromInline var offset: UInt32 = 0
    @usableFromInline var width = RegisterWidth.doubleWord
    @usableFromInline var value: UInt64 = 0

    @inlinable
    init() {}
  }

  @usableFromInline var writes = InlineArray<64, Write>(repeating: Write())
  @usableFromInline var count = 0

  @inlinable
  init() {}

  @inlinable
  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 { 0 }

  @inlinable
  mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard count < 64 else { return }
    writes[count].offset = offset
    writes[count].width = width
    writes[count].value = value
    count &+= 1
  }

  @usableFromInline
  mutating func pass<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    for index in 0..<count {
      nic.writeRegister(writes[index].offset, value: writes[index].value, width: writes[index].width)
    }
    count = 0
  }
}

/// What 40 passes over the queues call, each with so many frames either way, once everything has been used before.
///
/// To be specialised where the driver is known: that is what the law is about.
@inlinable
func countRuntimeCalls<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(
  _ machine: inout SimulatedMachine<Virtualizer, Model, OSDriver>, frames: Int
) -> RuntimeCalls {
  machine.bootOS()
  var calls = RuntimeCalls()
  var inspector = CheapInspector()
  var receiveClock = CountingClock()
  var transmitClock = CountingClock()
  var writes = RegisterWrites()
  // A turn of the queues and more before, three that count.
  for round in 0..<30 {
    feedForCounting(&machine, round: round, count: frames)
    for _ in 0..<2 {
      machine.hardware.takeDPIInterrupts()
      let start = RuntimeCalls.now
      for queue in 0..<machine.hardware.dpi.virtualizer.queuePairs {
        _ = machine.hardware.dpi.virtualizer.service(
          queue: queue, inspecting: &inspector, receiveClock: &receiveClock, transmitClock: &transmitClock,
          memory: machine.hardware.northbridge.memory, registers: machine.hardware.dpi.registers, nic: &writes)
      }
      let end = RuntimeCalls.now
      if round >= 10 { calls.add(from: start, to: end) }
      writes.pass(on: &machine.hardware.nic.device)
      machine.hardware.wire.completed.removeAll()
      machine.runNIC(frames: 64)
    }
    machine.hardware.takeDPIInterrupts()
    machine.runOS { _ in }
    while !machine.hardware.wire.fromNIC.isEmpty { machine.hardware.wire.fromNIC.removeFirst() }
    machine.hardware.advance(to: machine.hardware.now + 1_000_000)
    machine.runOS { _ in }
  }
  return calls
}

@usableFromInline
func feedForCounting<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(_ machine: inout SimulatedMachine<Virtualizer, Model, OSDriver>, round: Int, count: Int) {
  for number in 0..<count {
    let frame = TestFrame.make(round * count + number, length: 64 + number * 200 % 1400)
    _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: 1, lengthOnWire: UInt32(frame.count)))
    // Bytes of initialized integers: any of them may be read raw.
    _ = unsafe machine.send(frame.span.bytes)
  }
}

/// The laws about what a pass costs, which an optimised build alone can hold.
@inlinable
func checkRuntimeCalls<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(_ bench: NICBench<Virtualizer, Model, OSDriver>, seed: UInt64) -> [LawFailure] {
  var isOptimised = true
  assert(
    {
      isOptimised = false
      return true
    }())
  guard isOptimised, !bench.readsRegistersPerFrame else { return [] }
  var failures = failuresOfCounting(seed: seed)
  for protection in [PacketProtection.inPlace, .copyToDPIMemory] where failures.isEmpty {
    do {
      var machine = try bench.machine(protection)
      let calls = countRuntimeCalls(&machine, frames: 6)
      failures += verdicts(
        on: calls, of: machine.hardware.dpi.virtualizer.counters(queue: 0), at: protection, seed: seed)
    } catch {
      failures.append(failure(toCompose: error, seed: seed))
    }
  }
  return failures
}

@usableFromInline
func failure(toCompose error: any Error, seed: UInt64) -> LawFailure {
  LawFailure(law: .zeroAllocation, sentence: "the machine cannot be composed: \(error)", seed: seed)
}

/// A law that cannot be checked does not hold.
@usableFromInline
func failuresOfCounting(seed: UInt64) -> [LawFailure] {
  guard !RuntimeCalls.areCounted else { return [] }
  return [
    LawFailure(
      law: .zeroAllocation,
      sentence:
        "allocations cannot be counted in this process; expected the GNU C library's allocator, and no sanitizer",
      seed: seed)
  ]
}

/// What the calls of 40 passes over some 240 frames say.
@usableFromInline
func verdicts(
  on calls: RuntimeCalls, of counters: QueuePairCounters, at protection: PacketProtection, seed: UInt64
) -> [LawFailure] {
  func failure(_ law: Law, _ sentence: String) -> LawFailure {
    LawFailure(law: law, sentence: "\(protection): \(sentence)", seed: seed)
  }
  let (received, sent) = (counters.receive.inspected, counters.transmit.inspected)
  if received < 100 || sent < 100 {
    return [
      failure(.zeroAllocation, "of 180 frames each way \(received) received and \(sent) sent ones were inspected")
    ]
  }
  var failures: [LawFailure] = []
  if calls.allocations > 0 {
    failures.append(failure(.zeroAllocation, "40 passes over frames allocated memory \(calls.allocations) times"))
  }
  if calls.lookups > 0 {
    failures.append(failure(.specialisation, "40 passes over frames looked up \(calls.lookups) associated types"))
  }
  return failures
}
