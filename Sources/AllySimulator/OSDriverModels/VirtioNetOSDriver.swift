public import AllyHW

/// A plain driver for virtio network devices as an operating system has it: it knows nothing of Ally, and touches the NIC and
/// its queues only through the core's MMU.
///
/// Written from the specification (virtio 1.2, §3.1 initialization, §4.1 transport, §5.1 network device), without the types
/// of the driver module that it is a test of.
public struct VirtioNetOSDriver: OSDriverModel, ~Copyable {
  /// Where the driver has its queues and buffers, and what it negotiates.
  public struct Layout: Sendable {
    /// The first byte, a multiple of 4,096; see ``byteCount``.
    public var base: PhysicalAddress
    /// Elements of each queue: a power of two.
    public var queueSize: UInt32
    /// Bytes of each receive buffer, with the header.
    public var bufferLength: UInt32
    /// Bytes of each transmit buffer, with the header.
    public var transmitBufferLength: UInt32
    public var usesPackedQueues: Bool
    public var usesIndirectDescriptors: Bool
    public var usesEventIndex: Bool
    public var mergesBuffers: Bool

    public init(
      base: PhysicalAddress, queueSize: UInt32 = 256, bufferLength: UInt32 = 2048, transmitBufferLength: UInt32 = 4096,
      usesPackedQueues: Bool = false, usesIndirectDescriptors: Bool = true, usesEventIndex: Bool = true,
      mergesBuffers: Bool = true
    ) {
      self.base = base
      self.queueSize = queueSize
      self.bufferLength = bufferLength
      self.transmitBufferLength = transmitBufferLength
      self.usesPackedQueues = usesPackedQueues
      self.usesIndirectDescriptors = usesIndirectDescriptors
      self.usesEventIndex = usesEventIndex
      self.mergesBuffers = mergesBuffers
    }

    /// All that the driver uses, in bytes.
    public var byteCount: UInt64 {
      transmitBuffers.rawValue + UInt64(queueSize) * UInt64(transmitBufferLength) - base.rawValue
    }

    /// Bytes of a queue's three parts.
    static var queueLength: UInt64 { 0x1_0000 }
    func queue(_ index: Int) -> PhysicalAddress { base.advanced(by: UInt64(index) * Self.queueLength) }
    /// An indirect table of two descriptors for each transmit buffer.
    var tables: PhysicalAddress { base.advanced(by: 2 * Self.queueLength) }
    var receiveBuffers: PhysicalAddress { tables.advanced(by: (UInt64(queueSize) * 32 + 0xFFF) & ~0xFFF) }
    var transmitBuffers: PhysicalAddress { receiveBuffers.advanced(by: UInt64(queueSize) * UInt64(bufferLength)) }

    /// What is accepted, of what the device must offer: VERSION_1 and these.
    var features: UInt64 {
      1 << 32 | (usesPackedQueues ? 1 << 34 : 0) | (usesIndirectDescriptors ? 1 << 28 : 0)
        | (usesEventIndex ? 1 << 29 : 0)
        | (mergesBuffers ? 1 << 15 : 0)
    }
  }

  /// What the driver counted, as `ip -s link` would show it.
  public struct Counters: Sendable, Equatable {
    public var framesReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Buffers that came back too short to hold a header, or with a frame whose buffers did not all come.
    public var receiveErrors: UInt64 = 0
    public var framesSent: UInt64 = 0
    public var interrupts: UInt64 = 0
    /// Interrupts whose status register was empty.
    public var spuriousInterrupts: UInt64 = 0
    /// Used buffers whose id was none that the device had: a stock driver gives the queue up.
    public var unknownBuffers: UInt64 = 0
  }

  private enum Register {
    static let deviceFeatureSelect: UInt32 = 0x00
    static let deviceFeature: UInt32 = 0x04
    static let driverFeatureSelect: UInt32 = 0x08
    static let driverFeature: UInt32 = 0x0C
    static let status: UInt32 = 0x14
    static let queueSelect: UInt32 = 0x16
    static let queueSize: UInt32 = 0x18
    static let queueEnable: UInt32 = 0x1C
    static let queueNotifyOffset: UInt32 = 0x1E
    static let queueDescriptors: UInt32 = 0x20
    static let queueDriver: UInt32 = 0x28
    static let queueDevice: UInt32 = 0x30
    static let interruptStatus: UInt32 = 0x1000
    static let notification: UInt32 = 0x3000
  }

  public let layout: Layout
  public private(set) var counters = Counters()
  /// Whether the device accepted what the driver negotiated.
  public private(set) var isUp = false
  private var receive: VirtqueueOSDriver
  private var transmit: VirtqueueOSDriver
  /// The frame whose buffers come in, until its last.
  private var frame: [UInt8] = []
  private var buffersToCome = 0

  public init(layout: Layout) {
    self.layout = layout
    receive = VirtqueueOSDriver(base: layout.queue(0), size: layout.queueSize, isPacked: layout.usesPackedQueues)
    transmit = VirtqueueOSDriver(base: layout.queue(1), size: layout.queueSize, isPacked: layout.usesPackedQueues)
  }

  public var memoryByteCount: UInt64 { layout.byteCount }
  /// Transmit buffers that the NIC has not given back.
  public var unfinishedTransmissions: UInt32 { transmit.inUse }

  /// Resets the NIC and brings it up (§3.1.1). The station address stays the device's own.
  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress address: UInt64, on environment: inout Environment
  ) {
    isUp = false
    frame.removeAll(keepingCapacity: true)
    buffersToCome = 0
    environment.writeRegister(Register.status, 0, width: .byte)
    guard environment.readRegister(Register.status, width: .byte) == 0 else { return }
    environment.writeRegister(Register.status, 1, width: .byte)
    environment.writeRegister(Register.status, 3, width: .byte)
    for half: UInt32 in [0, 1] {
      let wanted = UInt32(truncatingIfNeeded: layout.features >> UInt64(32 * half))
      environment.writeRegister(Register.deviceFeatureSelect, half)
      guard environment.readRegister(Register.deviceFeature) & wanted == wanted else { return }
      environment.writeRegister(Register.driverFeatureSelect, half)
      environment.writeRegister(Register.driverFeature, wanted)
    }
    environment.writeRegister(Register.status, 11, width: .byte)
    guard environment.readRegister(Register.status, width: .byte) & 8 != 0 else { return }
    receive.reset(on: &environment)
    transmit.reset(on: &environment)
    for index in 0..<2 {
      let base = layout.queue(index).rawValue
      environment.writeRegister(Register.queueSelect, UInt32(index), width: .word)
      guard environment.readRegister(Register.queueSize, width: .word) >= layout.queueSize else { return }
      environment.writeRegister(Register.queueSize, layout.queueSize, width: .word)
      for (register, part) in [
        (Register.queueDescriptors, base), (Register.queueDriver, base + VirtqueueOSDriver.driverArea),
        (Register.queueDevice, base + VirtqueueOSDriver.deviceArea),
      ] {
        environment.writeRegister(register, UInt32(truncatingIfNeeded: part))
        environment.writeRegister(register + 4, UInt32(truncatingIfNeeded: part >> 32))
      }
      environment.writeRegister(Register.queueEnable, 1, width: .word)
    }
    for index in 0..<layout.queueSize { postReceive(UInt16(index), on: &environment) }
    environment.writeRegister(Register.status, 15, width: .byte)
    isUp = environment.readRegister(Register.status, width: .byte) == 15
    askForInterrupts(on: &environment)
    notify(0, on: &environment)
  }

  /// Takes the NIC down.
  public mutating func stop<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.status, 0, width: .byte)
    isUp = false
  }

  private func notify<Environment: OSEnvironment & ~Copyable>(_ queue: Int, on environment: inout Environment) {
    environment.writeRegister(Register.notification + 4 * UInt32(queue), UInt32(queue), width: .word)
  }

  private mutating func askForInterrupts<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    receive.askForInterrupt(hasEventIndex: layout.usesEventIndex, on: &environment)
    transmit.askForInterrupt(hasEventIndex: layout.usesEventIndex, on: &environment)
  }

  private mutating func postReceive<Environment: OSEnvironment & ~Copyable>(
    _ number: UInt16, on environment: inout Environment
  ) {
    let address = layout.receiveBuffers.rawValue + UInt64(number) * UInt64(layout.bufferLength)
    receive.post(number, [(address, layout.bufferLength)], isWritable: true, on: &environment)
  }

  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    counters.interrupts += 1
    guard environment.readRegister(Register.interruptStatus, width: .byte) != 0 else {
      counters.spuriousInterrupts += 1
      return false
    }
    poll(on: &environment, deliver: deliver)
    return true
  }

  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    message: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    counters.interrupts += 1
    poll(on: &environment, deliver: deliver)
    return true
  }

  /// Takes all used buffers, of both queues, and gives those for receiving back.
  public mutating func poll<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) {
    var taken = 0
    for _ in 0..<4 * layout.queueSize {
      guard let used = receive.takeUsed(on: &environment) else { break }
      taken += 1
      guard let number = used.number else {
        counters.unknownBuffers += 1
        continue
      }
      take(number, length: Int(used.length), on: &environment, deliver: deliver)
      postReceive(number, on: &environment)
    }
    while let used = transmit.takeUsed(on: &environment) {
      if used.number == nil { counters.unknownBuffers += 1 }
    }
    askForInterrupts(on: &environment)
    if taken > 0 { notify(0, on: &environment) }
  }

  /// A buffer of a received frame: the first begins with the header, which says how many there are.
  private mutating func take<Environment: OSEnvironment & ~Copyable>(
    _ number: UInt16, length: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) {
    let address = layout.receiveBuffers.advanced(by: UInt64(number) * UInt64(layout.bufferLength))
    if buffersToCome == 0 {
      frame.removeAll(keepingCapacity: true)
      guard length >= 12, length <= Int(layout.bufferLength),
        environment.read(address, count: length, into: &frame)
      else {
        counters.receiveErrors += 1
        return
      }
      buffersToCome = Int(frame[10]) | Int(frame[11]) << 8
      frame.removeFirst(12)
    } else if length > Int(layout.bufferLength) || !environment.read(address, count: length, into: &frame) {
      counters.receiveErrors += 1
    }
    buffersToCome -= 1
    guard buffersToCome <= 0 else { return }
    buffersToCome = 0
    counters.framesReceived += 1
    counters.bytesReceived += UInt64(frame.count)
    // Bytes of initialized integers: any of them may be read raw.
    unsafe deliver(frame.span.bytes)
  }

  /// Queues a frame: header and frame in a descriptor each, through an indirect table when that was negotiated.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    guard bytes.byteCount > 0, bytes.byteCount + 16 <= Int(layout.transmitBufferLength),
      let number = transmit.freeNumber(descriptors: layout.usesIndirectDescriptors ? 1 : 2)
    else { return false }
    let buffer = layout.transmitBuffers.advanced(by: UInt64(number) * UInt64(layout.transmitBufferLength))
    environment.store(0, at: buffer)
    environment.store(0, at: buffer.advanced(by: 8))
    guard environment.write(bytes, to: buffer.advanced(by: 16)) else { return false }
    let parts = [(buffer.rawValue + 4, UInt32(12)), (buffer.rawValue + 16, UInt32(bytes.byteCount))]
    if layout.usesIndirectDescriptors {
      let table = layout.tables.advanced(by: UInt64(number) * 32)
      for (index, part) in parts.enumerated() {
        let next: UInt64 = index == 0 && !layout.usesPackedQueues ? 1 << 32 | 1 << 48 : 0
        environment.store(part.0, at: table.advanced(by: 16 * UInt64(index)))
        environment.store(UInt64(part.1) | next, at: table.advanced(by: 16 * UInt64(index) + 8))
      }
      transmit.post(number, [(table.rawValue, 32)], isWritable: false, isIndirect: true, on: &environment)
    } else {
      transmit.post(number, parts, isWritable: false, on: &environment)
    }
    counters.framesSent += 1
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    notify(1, on: &environment)
  }
}
