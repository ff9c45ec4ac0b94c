public import AllyDeviceModels
public import AllyHW
internal import AllyPacket
public import AllyRings
internal import Glibc

/// A register that an OS driver may read, and what of it must be the same with Ally and without.
public struct ComparedRegister: Sendable {
  public var offset: UInt32
  /// The bits that must be the same; the others are allowed differences, which the documentation lists.
  public var mask: UInt32
  public var width: RegisterWidth

  public init(_ offset: UInt32, mask: UInt32 = .max, width: RegisterWidth = .doubleWord) {
    self.offset = offset
    self.mask = mask
    self.width = width
  }
}

/// One OS driver on two machines, one with Ally and one without, that are treated alike: random frames from the wire and from
/// the OS, restarts of the driver, and waits until all is done. What the driver delivers and what it read of completed
/// descriptors, what reaches the wire, what registers read, and the driver's memory must be the same.
///
/// ``ComparedRegister`` and ``comparesMemory`` say what may differ; the documentation lists why.
public struct TransparencyRun<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>: ~Copyable {
  /// The machine with Ally, and the one without.
  public var machine: SimulatedMachine<Virtualizer, Model, OSDriver>
  public var bare: BareMachine<Model, OSDriver>
  /// Whether the driver's rings and buffers must hold the same bytes whenever all is done: not so where the driver chooses
  /// buffers by what has come back already.
  public var comparesMemory = true
  /// Whether only frames of one flow must keep their order: with several receive queues the driver's own order decides
  /// among them.
  public var ordersFlowsAlone = false
  /// Whether the OS restarts its driver now and then, when all is done.
  public var includesRestarts = true
  private let registers: [ComparedRegister]
  private var traffic: RandomFrames
  private var inspector = AcceptAll()
  private var number: UInt64 = 0
  /// The register to be compared next.
  private var nextRegister = 0
  /// How many frames were delivered to the OS and reached the wire, on either machine.
  public private(set) var frames = 0

  /// How many registers are compared each time that all is done; the next time goes on behind them.
  private static var registersAtOnce: Int { 64 }

  /// - Parameters:
  ///   - machine: with Ally.
  ///   - bare: the same without.
  ///   - registers: those that are compared when all is done.
  ///   - longestFrame: the longest frame in bytes, either way.
  ///   - seed: the same seed gives the same run.
  public init(
    machine: consuming SimulatedMachine<Virtualizer, Model, OSDriver>, bare: consuming BareMachine<Model, OSDriver>,
    registers: [ComparedRegister], longestFrame: Int, seed: UInt64
  ) {
    self.machine = machine
    self.bare = bare
    self.registers = registers
    self.traffic = RandomFrames(longest: longestFrame, seed: seed)
  }

  /// Runs so many steps.
  ///
  /// - Returns: the first difference, with the step at which it showed; nil when there was none.
  public mutating func run(steps: Int) -> String? {
    if let difference = restart() { return "before the first step: \(difference)" }
    var difference: String?
    for step in 0..<steps {
      switch traffic.next() % 64 {
      case 0..<28: receive()
      case 28..<56: difference = send()
      case 56..<63: difference = settle()
      default: if includesRestarts, traffic.next() % 16 == 0 { difference = restart() }
      }
      if let difference { return "step \(step): \(difference)" }
    }
    nextRegister = 0
    // Once more, and every register.
    for _ in 0...(registers.count / Self.registersAtOnce) where difference == nil { difference = settle() }
    return difference.map { "step \(steps): \($0)" }
  }

  private mutating func restart() -> String? {
    if let difference = settle() { return difference }
    machine.bootOS()
    bare.osDriver.start(stationAddress: 0x5634_1200_5452, on: &bare.hardware)
    return nil
  }

  private mutating func receive() {
    let frame = traffic.makeFrame()
    number += 1
    let stamp = FrameStamp(time: number, ordinal: number, lengthOnWire: UInt32(frame.count))
    guard bare.hardware.wire.toNIC.hasRoom(forFrameOf: frame.count),
      machine.hardware.wire.toNIC.hasRoom(forFrameOf: frame.count)
    else { return }
    _ = machine.offer(frame.span, stamp: stamp)
    _ = bare.hardware.wire.toNIC.append(frame.span, stamp: stamp)
  }

  /// The OS sends a frame on both, unless a ring is full on either: how far reclaiming is may differ in between.
  private mutating func send() -> String? {
    let frame = traffic.makeFrame()
    let doorbell = traffic.next() % 4 != 0
    // Bytes of initialized integers.
    let isTaken = unsafe machine.send(frame.span.bytes, doorbell: doorbell)
    let isTakenBare = unsafe bare.osDriver.send(frame.span.bytes, doorbell: doorbell, on: &bare.hardware)
    guard isTaken != isTakenBare else { return nil }
    // Both have room once all is done.
    pending = (frame, isTaken)
    return settle()
  }

  /// A frame that only one of the two took.
  private var pending: (frame: [UInt8], isWithAlly: Bool)?

  /// Lets both run until nothing moves, and compares.
  private mutating func settle() -> String? {
    machine.osDriver.ringDoorbell(on: &machine.hardware)
    bare.osDriver.ringDoorbell(on: &bare.hardware)
    var delivered: [[UInt8]] = []
    var deliveredBare: [[UInt8]] = []
    runBoth(&delivered, &deliveredBare)
    if let late = pending {
      pending = nil
      let isTaken =
        late.isWithAlly
        ? unsafe bare.osDriver.send(late.frame.span.bytes, doorbell: true, on: &bare.hardware)
        : unsafe machine.send(late.frame.span.bytes)
      if !isTaken { return "the OS cannot send \(late.isWithAlly ? "without" : "with") Ally, though all is done" }
      runBoth(&delivered, &deliveredBare)
    }
    let sent = Self.take(&machine.hardware.wire)
    let sentBare = Self.take(&bare.hardware.wire)
    frames += delivered.count + sent.count
    if let difference = compare(delivered, deliveredBare) { return "frames to the OS: \(difference)" }
    if let difference = compare(sent, sentBare) { return "frames to the wire: \(difference)" }
    if machine.osDriver.completions != bare.osDriver.completions {
      return "the OS driver read other words of completed descriptors"
    }
    return compareRegisters() ?? compareMemory()
  }

  private mutating func runBoth(_ delivered: inout [[UInt8]], _ deliveredBare: inout [[UInt8]]) {
    let batch = 1 + Int(traffic.next() % 64)
    machine.run(inspecting: &inspector, batch: batch) { bytes in
      delivered.append(unsafe bytes.withUnsafeBytes { unsafe Array($0) })
    }
    bare.run(batch: batch) { bytes in deliveredBare.append(unsafe bytes.withUnsafeBytes { unsafe Array($0) }) }
  }

  private func compare(_ frames: [[UInt8]], _ bare: [[UInt8]]) -> String? {
    guard frames != bare else { return nil }
    if ordersFlowsAlone,
      Dictionary(grouping: frames, by: RandomFrames.flow(of:)) == Dictionary(grouping: bare, by: RandomFrames.flow(of:))
    {
      return nil
    }
    let place = zip(frames, bare).prefix { $0 == $1 }.count
    return "\(frames.count), without Ally \(bare.count); the first \(place) are the same"
  }

  private static func take(_ wire: inout Wire<FrameStamp>) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while let frame = wire.fromNIC.withFirst({ bytes, _ in (0..<bytes.count).map { bytes[$0] } }) {
      frames.append(frame)
      wire.fromNIC.removeFirst()
    }
    return frames
  }

  private mutating func compareRegisters() -> String? {
    for _ in 0..<min(Self.registersAtOnce, registers.count) {
      if nextRegister >= registers.count { nextRegister = 0 }
      let register = registers[nextRegister]
      nextRegister += 1
      let value = machine.hardware.readRegister(register.offset, width: register.width) & register.mask
      let bareValue = bare.hardware.readRegister(register.offset, width: register.width) & register.mask
      guard value == bareValue else {
        return "register 0x\(String(register.offset, radix: 16)) reads 0x\(String(value, radix: 16)), without Ally 0x"
          + String(bareValue, radix: 16)
      }
    }
    return nil
  }

  private func compareMemory() -> String? {
    let length = machine.osDriver.memoryByteCount & ~7
    // OS memory is one segment in both machines, and the driver's lies in it.
    guard comparesMemory,
      let place = unsafe machine.hardware.northbridge.memory.pointer(
        at: MachineLayout.driverMemory, length: length, for: .read),
      let barePlace = unsafe bare.hardware.northbridge.memory.pointer(
        at: MachineLayout.driverMemory, length: length, for: .read),
      unsafe memcmp(place, barePlace, Int(length)) != 0
    else { return nil }
    for offset in stride(from: 0, to: Int(length), by: 8)
    where unsafe place.load(fromByteOffset: offset, as: UInt64.self)
      != barePlace.load(fromByteOffset: offset, as: UInt64.self)
    {
      let word = unsafe place.load(fromByteOffset: offset, as: UInt64.self)
      let bareWord = unsafe barePlace.load(fromByteOffset: offset, as: UInt64.self)
      return "the driver's memory at 0x\(String(offset, radix: 16)) holds 0x\(String(word, radix: 16)), without Ally 0x"
        + String(bareWord, radix: 16)
    }
    return nil
  }
}
