public import AllyDeviceModels
internal import AllyHW
internal import AllyPacket
public import AllyRings

/// A register that an OS driver may read, and what of it must be the same with Ally and without.
public struct ComparedRegister: Sendable {
  public var offset: UInt32
  /// The bits that must be the same; the others are allowed differences, which the documentation lists.
  public var mask: UInt32

  public init(_ offset: UInt32, mask: UInt32 = .max) {
    self.offset = offset
    self.mask = mask
  }
}

/// One OS driver on two machines, one with Ally and one without, that are treated alike: random frames from the wire and from
/// the OS, restarts of the driver, and waits until all is done. What the driver delivers, what reaches the wire, and what
/// registers read must be the same.
public struct TransparencyRun<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>: ~Copyable {
  /// The machine with Ally, and the one without.
  public var machine: SimulatedMachine<Virtualizer, Model, OSDriver>
  public var bare: BareMachine<Model, OSDriver>
  private let registers: [ComparedRegister]
  private let longestFrame: Int
  private var state: UInt64
  private var inspector = AcceptAll()
  private var number: UInt64 = 0
  /// How many frames were delivered to the OS and reached the wire, on either machine.
  public private(set) var frames = 0

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
    self.longestFrame = longestFrame
    self.state = seed
  }

  /// Runs so many steps.
  ///
  /// - Returns: the first difference, with the step at which it showed; nil when there was none.
  public mutating func run(steps: Int) -> String? {
    restart()
    for step in 0..<steps {
      switch next() % 64 {
      case 0..<28: receive()
      case 28..<56: send()
      case 56..<63: if let difference = settle() { return "step \(step): \(difference)" }
      default: if next() % 16 == 0 { restart() }
      }
    }
    return settle().map { "step \(steps): \($0)" }
  }

  private mutating func restart() {
    _ = settle()
    machine.bootOS()
    bare.osDriver.start(stationAddress: 0x5634_1200_5452, on: &bare.hardware)
  }

  private mutating func receive() {
    let frame = makeFrame()
    number += 1
    let stamp = FrameStamp(time: number, ordinal: number, lengthOnWire: UInt32(frame.count))
    guard bare.hardware.wire.toNIC.hasRoom(forFrameOf: frame.count),
      machine.hardware.wire.toNIC.hasRoom(forFrameOf: frame.count)
    else { return }
    _ = machine.offer(frame.span, stamp: stamp)
    _ = bare.hardware.wire.toNIC.append(frame.span, stamp: stamp)
  }

  /// The OS sends a frame on both, unless a ring is full on either: how far reclaiming is may differ in between.
  private mutating func send() {
    let frame = makeFrame()
    let doorbell = next() % 4 != 0
    // Bytes of initialized integers.
    let isTaken = unsafe machine.send(frame.span.bytes, doorbell: doorbell)
    let isTakenBare = unsafe bare.osDriver.send(frame.span.bytes, doorbell: doorbell, on: &bare.hardware)
    guard isTaken != isTakenBare else { return }
    // Both have room once all is done.
    pending = (frame, isTaken)
    _ = settle()
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
      if late.isWithAlly {
        _ = unsafe bare.osDriver.send(late.frame.span.bytes, doorbell: true, on: &bare.hardware)
      } else {
        _ = unsafe machine.send(late.frame.span.bytes)
      }
      runBoth(&delivered, &deliveredBare)
    }
    let sent = Self.take(&machine.hardware.wire)
    let sentBare = Self.take(&bare.hardware.wire)
    frames += delivered.count + sent.count
    if let difference = Self.compare(delivered, deliveredBare) { return "frames to the OS: \(difference)" }
    if let difference = Self.compare(sent, sentBare) { return "frames to the wire: \(difference)" }
    for register in registers {
      let value = machine.hardware.readRegister(register.offset) & register.mask
      let bareValue = bare.hardware.readRegister(register.offset) & register.mask
      guard value == bareValue else {
        return "register \(String(register.offset, radix: 16)) reads \(String(value, radix: 16)), without Ally "
          + String(bareValue, radix: 16)
      }
    }
    return nil
  }

  private mutating func runBoth(_ delivered: inout [[UInt8]], _ deliveredBare: inout [[UInt8]]) {
    let batch = 1 + Int(next() % 64)
    machine.run(inspecting: &inspector, batch: batch) { bytes in
      delivered.append(unsafe bytes.withUnsafeBytes { unsafe Array($0) })
    }
    bare.run(batch: batch) { bytes in deliveredBare.append(unsafe bytes.withUnsafeBytes { unsafe Array($0) }) }
  }

  private static func compare(_ frames: [[UInt8]], _ bare: [[UInt8]]) -> String? {
    guard frames != bare else { return nil }
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

  /// An Ethernet frame, most of them short, that says its number.
  private mutating func makeFrame() -> [UInt8] {
    let limit = next() % 8 == 0 ? longestFrame : min(200, longestFrame)
    let length = 60 + Int(next() % UInt64(max(1, limit - 59)))
    var frame: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x88, 0xB5]
    var content = next()
    while frame.count < length {
      frame.append(UInt8(truncatingIfNeeded: content))
      content = content >> 8 | content << 56
      if frame.count % 64 == 0 { content = content &* 0x9E37_79B9_7F4A_7C15 | 1 }
    }
    return frame
  }

  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
