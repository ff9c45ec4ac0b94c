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
    /// Whether the driver asks for a message for each queue, and one for configuration changes.
    public var usesMessages: Bool
    /// How many queue pairs, each as large; more than one takes a control queue.
    public var queuePairs: Int

    public init(
      base: PhysicalAddress, queueSize: UInt32 = 256, bufferLength: UInt32 = 2048, transmitBufferLength: UInt32 = 4096,
      usesPackedQueues: Bool = false, usesIndirectDescriptors: Bool = true, usesEventIndex: Bool = true,
      mergesBuffers: Bool = true, usesMessages: Bool = false, queuePairs: Int = 1
    ) {
      self.base = base
      self.queueSize = queueSize
      self.bufferLength = bufferLength
      self.transmitBufferLength = transmitBufferLength
      self.usesPackedQueues = usesPackedQueues
      self.usesIndirectDescriptors = usesIndirectDescriptors
      self.usesEventIndex = usesEventIndex
      self.mergesBuffers = mergesBuffers
      self.usesMessages = usesMessages
      self.queuePairs = queuePairs
    }

    /// All that the driver uses, in bytes.
    public var byteCount: UInt64 {
      command.rawValue + 4096 - base.rawValue
    }

    /// Bytes of a queue's three parts.
    static var queueLength: UInt64 { 0x1_0000 }
    /// Those of every pair, and behind them the control queue.
    func queue(_ index: Int) -> PhysicalAddress { base.advanced(by: UInt64(index) * Self.queueLength) }
    var controlQueue: Int { 2 * queuePairs }
    private var buffers: UInt64 { UInt64(queuePairs) * UInt64(queueSize) }
    /// An indirect table of two descriptors for each transmit buffer.
    var tables: PhysicalAddress { queue(controlQueue + 1) }
    public var receiveBuffers: PhysicalAddress { tables.advanced(by: (buffers * 32 + 0xFFF) & ~0xFFF) }
    public var transmitBuffers: PhysicalAddress { receiveBuffers.advanced(by: buffers * UInt64(bufferLength)) }
    /// The control queue's command, and its acknowledgement.
    var command: PhysicalAddress { transmitBuffers.advanced(by: buffers * UInt64(transmitBufferLength)) }

    /// What is accepted, of what the device must offer: VERSION_1 and these.
    var features: UInt64 {
      1 << 32 | (usesPackedQueues ? 1 << 34 : 0) | (usesIndirectDescriptors ? 1 << 28 : 0)
        | (usesEventIndex ? 1 << 29 : 0)
        | (mergesBuffers ? 1 << 15 : 0) | (queuePairs > 1 ? 1 << 17 | 1 << 22 : 0)
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
    static let configurationVector: UInt32 = 0x10
    static let status: UInt32 = 0x14
    static let queueSelect: UInt32 = 0x16
    static let queueSize: UInt32 = 0x18
    static let queueVector: UInt32 = 0x1A
    static let queueEnable: UInt32 = 0x1C
    static let queueNotifyOffset: UInt32 = 0x1E
    static let queueDescriptors: UInt32 = 0x20
    static let queueDriver: UInt32 = 0x28
    static let queueDevice: UInt32 = 0x30
    static let interruptStatus: UInt32 = 0x1000
    /// In the network device's configuration (§5.1.4).
    static let maximumPairs: UInt32 = 0x2008
    static let notification: UInt32 = 0x3000
  }

  public let layout: Layout
  public private(set) var counters = Counters()
  /// Whether the device accepted what the driver negotiated.
  public private(set) var isUp = false
  // Of each pair.
  private var receive: [VirtqueueOSDriver]
  private var transmit: [VirtqueueOSDriver]
  private var control: VirtqueueOSDriver
  /// The number that the device has for the control queue; nil without one.
  private var controlNumber: Int?
  /// The frame whose buffers come in on a pair, until its last.
  private var frames: [[UInt8]]
  private var buffersToCome: [Int]
  /// Frames that each pair has received.
  public private(set) var receivedByPair: [UInt64]

  public init(layout: Layout) {
    self.layout = layout
    func queue(_ index: Int) -> VirtqueueOSDriver {
      VirtqueueOSDriver(base: layout.queue(index), size: layout.queueSize, isPacked: layout.usesPackedQueues)
    }
    let pairs = 0..<layout.queuePairs
    receive = pairs.map { queue(2 * $0) }
    transmit = pairs.map { queue(2 * $0 + 1) }
    control = queue(layout.controlQueue)
    frames = pairs.map { _ in [] }
    buffersToCome = pairs.map { _ in 0 }
    receivedByPair = pairs.map { _ in 0 }
  }

  public var memoryByteCount: UInt64 { layout.byteCount }
  /// Transmit buffers that the NIC has not given back.
  public var unfinishedTransmissions: UInt32 { transmit.reduce(0) { $0 + $1.buffersInUse } }

  /// Resets the NIC and brings it up (§3.1.1). The station address stays the device's own.
  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress address: UInt64, on environment: inout Environment
  ) {
    isUp = false
    for pair in frames.indices {
      frames[pair].removeAll(keepingCapacity: true)
      buffersToCome[pair] = 0
    }
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
    let count = 2 * layout.queuePairs
    let hasMessages = layout.usesMessages && environment.requestMessages(count + 1)
    if hasMessages { guard set(Register.configurationVector, to: 0, on: &environment) else { return } }
    controlNumber =
      count > 2 ? 2 * Int(environment.readRegister(Register.maximumPairs, width: .word)) : nil
    for index in 0..<count {
      guard setUp(index, as: index, message: hasMessages ? index + 1 : nil, on: &environment) else { return }
    }
    if let controlNumber {
      guard setUp(count, as: controlNumber, message: nil, on: &environment) else { return }
    }
    for pair in receive.indices {
      for index in 0..<layout.queueSize { postReceive(UInt16(index), pair, on: &environment) }
    }
    environment.writeRegister(Register.status, 15, width: .byte)
    isUp = environment.readRegister(Register.status, width: .byte) == 15
    askForInterrupts(on: &environment)
    for pair in receive.indices { notify(2 * pair, on: &environment) }
    useAllPairs(on: &environment)
  }

  /// Sets a queue up; false when the device does not have it so.
  private mutating func setUp<Environment: OSEnvironment & ~Copyable>(
    _ index: Int, as number: Int, message: Int?, on environment: inout Environment
  ) -> Bool {
    switch index {
    case layout.controlQueue: control.reset(on: &environment)
    case let index where index % 2 == 0: receive[index / 2].reset(on: &environment)
    default: transmit[index / 2].reset(on: &environment)
    }
    let base = layout.queue(index).rawValue
    environment.writeRegister(Register.queueSelect, UInt32(number), width: .word)
    guard environment.readRegister(Register.queueSize, width: .word) >= layout.queueSize else { return false }
    environment.writeRegister(Register.queueSize, layout.queueSize, width: .word)
    for (register, part) in [
      (Register.queueDescriptors, base), (Register.queueDriver, base + VirtqueueOSDriver.driverArea),
      (Register.queueDevice, base + VirtqueueOSDriver.deviceArea),
    ] {
      environment.writeRegister(register, UInt32(truncatingIfNeeded: part))
      environment.writeRegister(register + 4, UInt32(truncatingIfNeeded: part >> 32))
    }
    if let message { guard set(Register.queueVector, to: UInt32(message), on: &environment) else { return false } }
    environment.writeRegister(Register.queueEnable, 1, width: .word)
    return true
  }

  /// Tells the device to spread what it receives over all pairs: VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET (§5.1.6.5.5).
  private mutating func useAllPairs<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    guard let controlNumber else { return }
    let place = layout.command.rawValue
    environment.store(4 | UInt64(layout.queuePairs) << 16, at: layout.command)
    environment.store(0xFF, at: layout.command.advanced(by: 8))
    control.post(0, [(place, 4), (place + 8, 1)], writableFrom: 1, on: &environment)
    notify(controlNumber, on: &environment)
  }

  /// Whether the device has answered the last command well.
  public func hasAllPairs<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) -> Bool {
    controlNumber != nil && environment.load(layout.command.advanced(by: 8)) & 0xFF == 0
  }

  /// Gives a message to what a vector register is of; false when the device has no such message (§4.1.5.1.2.2).
  private func set<Environment: OSEnvironment & ~Copyable>(
    _ register: UInt32, to vector: UInt32, on environment: inout Environment
  ) -> Bool {
    environment.writeRegister(register, vector, width: .word)
    return environment.readRegister(register, width: .word) == vector
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
    for pair in receive.indices {
      receive[pair].askForInterrupt(hasEventIndex: layout.usesEventIndex, on: &environment)
      transmit[pair].askForInterrupt(hasEventIndex: layout.usesEventIndex, on: &environment)
    }
  }

  /// Where a buffer of a pair is, by its number.
  private func receiveBuffer(_ number: UInt16, _ pair: Int) -> PhysicalAddress {
    let index = UInt64(pair) * UInt64(layout.queueSize) + UInt64(number)
    return layout.receiveBuffers.advanced(by: index * UInt64(layout.bufferLength))
  }

  private mutating func postReceive<Environment: OSEnvironment & ~Copyable>(
    _ number: UInt16, _ pair: Int, on environment: inout Environment
  ) {
    let address = receiveBuffer(number, pair).rawValue
    receive[pair].post(number, [(address, layout.bufferLength)], writableFrom: 0, on: &environment)
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
    for pair in receive.indices {
      var taken = 0
      for _ in 0..<4 * layout.queueSize {
        guard let used = receive[pair].takeUsed(on: &environment) else { break }
        taken += 1
        guard let number = used.number else {
          counters.unknownBuffers += 1
          continue
        }
        take(number, pair, length: Int(used.length), on: &environment, deliver: deliver)
        postReceive(number, pair, on: &environment)
      }
      while let used = transmit[pair].takeUsed(on: &environment) {
        if used.number == nil { counters.unknownBuffers += 1 }
      }
      if taken > 0 { notify(2 * pair, on: &environment) }
    }
    askForInterrupts(on: &environment)
  }

  /// A buffer of a received frame: the first begins with the header, which says how many there are.
  private mutating func take<Environment: OSEnvironment & ~Copyable>(
    _ number: UInt16, _ pair: Int, length: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) {
    let address = receiveBuffer(number, pair)
    if buffersToCome[pair] == 0 {
      frames[pair].removeAll(keepingCapacity: true)
      guard length >= 12, length <= Int(layout.bufferLength),
        environment.read(address, count: length, into: &frames[pair])
      else {
        counters.receiveErrors += 1
        return
      }
      buffersToCome[pair] = Int(frames[pair][10]) | Int(frames[pair][11]) << 8
      frames[pair].removeFirst(12)
    } else if length > Int(layout.bufferLength) || !environment.read(address, count: length, into: &frames[pair]) {
      counters.receiveErrors += 1
    }
    buffersToCome[pair] -= 1
    guard buffersToCome[pair] <= 0 else { return }
    buffersToCome[pair] = 0
    counters.framesReceived += 1
    receivedByPair[pair] += 1
    counters.bytesReceived += UInt64(frames[pair].count)
    // Bytes of initialized integers: any of them may be read raw.
    let frame = frames[pair]
    unsafe deliver(frame.span.bytes)
  }

  /// The pair for a frame of a connection: ports choose it.
  private func pairIndex(for bytes: RawSpan) -> Int {
    guard layout.queuePairs > 1, bytes.byteCount >= 38 else { return 0 }
    return (34..<38).reduce(0) { $0 + Int(unsafe bytes.unsafeLoad(fromByteOffset: $1, as: UInt8.self)) }
      % layout.queuePairs
  }

  /// Queues a frame: header and frame in a descriptor each, through an indirect table when that was negotiated.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    let pair = pairIndex(for: bytes)
    guard bytes.byteCount > 0, bytes.byteCount + 16 <= Int(layout.transmitBufferLength),
      let number = transmit[pair].freeNumber(descriptors: layout.usesIndirectDescriptors ? 1 : 2)
    else { return false }
    let index = UInt64(pair) * UInt64(layout.queueSize) + UInt64(number)
    let buffer = layout.transmitBuffers.advanced(by: index * UInt64(layout.transmitBufferLength))
    environment.store(0, at: buffer)
    environment.store(0, at: buffer.advanced(by: 8))
    guard environment.write(bytes, to: buffer.advanced(by: 16)) else { return false }
    let parts = [(buffer.rawValue + 4, UInt32(12)), (buffer.rawValue + 16, UInt32(bytes.byteCount))]
    if layout.usesIndirectDescriptors {
      let table = layout.tables.advanced(by: index * 32)
      for (place, part) in parts.enumerated() {
        let next: UInt64 = place == 0 && !layout.usesPackedQueues ? 1 << 32 | 1 << 48 : 0
        environment.store(part.0, at: table.advanced(by: 16 * UInt64(place)))
        environment.store(UInt64(part.1) | next, at: table.advanced(by: 16 * UInt64(place) + 8))
      }
      transmit[pair].post(number, [(table.rawValue, 32)], isIndirect: true, on: &environment)
    } else {
      transmit[pair].post(number, parts, on: &environment)
    }
    counters.framesSent += 1
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    for pair in transmit.indices { notify(2 * pair + 1, on: &environment) }
  }
}
