import AllyHW

/// A model of an operating system's stock driver for the Intel 82576 (Intel 82576EB Gigabit Ethernet Controller Datasheet,
/// revision 2.63), as Linux's `igb` uses it: advanced descriptors, several queues with receive-side scaling, an MSI-X message
/// for each direction of a queue and one for all else, polling while a message is masked, checksums and segmentation left to
/// the NIC.
public struct IGBOSDriver: OSDriverModel, ~Copyable {
  public typealias Layout = IntelOSQueuePair.Layout

  enum Register {
    static let control: UInt32 = 0x0000
    static let interruptCause: UInt32 = 0x00C0
    static let interruptMaskSet: UInt32 = 0x00D0
    static let interruptMaskClear: UInt32 = 0x00D8
    static let interruptAutoMask: UInt32 = 0x00E0
    static let receiveControl: UInt32 = 0x0100
    static let transmitControl: UInt32 = 0x0400
    static let generalInterrupts: UInt32 = 0x1514
    static let vectorMaskSet: UInt32 = 0x1524
    static let vectorMaskClear: UInt32 = 0x1528
    static let vectorAutoClear: UInt32 = 0x152C
    static let vectorAutoMask: UInt32 = 0x1530
    static let vectorThrottle: UInt32 = 0x1680
    static let vectors: UInt32 = 0x1700
    static let otherVectors: UInt32 = 0x1740
    static let receiveQueue: UInt32 = 0x2800
    static let transmitQueue: UInt32 = 0x3800
    static let queueStride: UInt32 = 0x100
    static let splitControl: UInt32 = 0x0C
    static let queueControl: UInt32 = 0x28
    static let receiveChecksum: UInt32 = 0x5000
    static let receiveLongMaximum: UInt32 = 0x5004
    static let multicastTable: UInt32 = 0x5200
    static let receiveAddressLow: UInt32 = 0x5400
    static let receiveAddressHigh: UInt32 = 0x5404
    static let multipleQueues: UInt32 = 0x5818
    static let redirectionTable: UInt32 = 0x5C00
    static let scalingKey: UInt32 = 0x5C80
  }

  enum Cause {
    static let linkStatusChange: UInt32 = 1 << 2
    /// With one vector: TXDW, LSC, RXSEQ, RXDMT0, RXO, RXDW.
    static let all: UInt32 = 0x01 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
    static let asserted: UInt32 = 1 << 31
  }

  static let queueEnable: UInt32 = 1 << 25

  public private(set) var queues: [IntelOSQueuePair]
  public private(set) var interrupts: UInt64 = 0
  /// Interrupts that brought nothing.
  public private(set) var spuriousInterrupts: UInt64 = 0
  public private(set) var linkChanges: UInt64 = 0
  /// The longest frame of the link in bytes; longer ones are left to the NIC to segment.
  public let largestFrame: Int
  private var hasMessages = false

  /// - Parameters:
  ///   - layout: where rings and buffers of the first queue pair are, the others' behind it; buffers of whole KiB.
  ///   - queues: how many queue pairs, 1 to 4.
  ///   - largestFrame: see ``largestFrame``.
  public init(layout: Layout, queues: Int = 4, largestFrame: Int = 1514) {
    precondition((1...4).contains(queues), "the driver has one to four queue pairs")
    var base = layout.base
    self.queues = (0..<UInt32(queues)).map { index in
      var own = layout
      own.base = base
      base = base.advanced(by: layout.byteCount)
      return IntelOSQueuePair(
        layout: own, receiveRegister: Register.receiveQueue + index * Register.queueStride,
        transmitRegister: Register.transmitQueue + index * Register.queueStride)
    }
    self.largestFrame = largestFrame
  }

  public var memoryByteCount: UInt64 { queues.reduce(0) { $0 + $1.layout.byteCount } }
  public var completions: UInt64 { queues.reduce(0) { ($0 << 1 | $0 >> 63) ^ $1.completions } }

  /// What all queues counted.
  public var counters: IntelOSQueuePair.Counters {
    queues.reduce(into: IntelOSQueuePair.Counters()) { $0.add($1.counters) }
  }

  /// The message of a queue's direction; message 0 is for other causes.
  public func message(queue: Int, isTransmit: Bool) -> Int { 1 + queue + (isTransmit ? queues.count : 0) }

  // MARK: Bring-up

  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress address: UInt64, on environment: inout Environment
  ) {
    environment.writeRegister(Register.interruptMaskClear, .max)
    environment.writeRegister(Register.vectorMaskClear, .max)
    environment.writeRegister(Register.receiveControl, 0)
    environment.writeRegister(Register.transmitControl, 1 << 3)
    environment.writeRegister(Register.control, 1 << 26)
    environment.writeRegister(Register.interruptMaskClear, .max)
    _ = environment.readRegister(Register.interruptCause)
    // Set link up, full duplex.
    environment.writeRegister(Register.control, 1 << 6 | 1)
    IntelOSLink.negotiate(on: &environment)
    environment.writeRegister(Register.receiveAddressLow, UInt32(truncatingIfNeeded: address))
    environment.writeRegister(Register.receiveAddressHigh, UInt32(truncatingIfNeeded: address >> 32) & 0xFFFF | 1 << 31)
    for index in 0..<UInt32(128) { environment.writeRegister(Register.multicastTable + 4 * index, 0) }
    hasMessages = environment.requestMessages(1 + 2 * queues.count)
    configure(on: &environment)
    enableInterrupts(on: &environment)
  }

  private mutating func configure<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    // EN, PSP, RTLC.
    environment.writeRegister(Register.transmitControl, 1 << 1 | 1 << 3 | 1 << 24)
    for index in 0..<UInt32(10) {
      environment.writeRegister(Register.scalingKey + 4 * index, 0x9E37_79B9 &* (index + 1))
    }
    for index in 0..<UInt32(32) {
      // Entry j goes to queue j * queues / 128.
      let entries = (0..<UInt32(4)).map { ((4 * index + $0) * UInt32(queues.count) / 128) << (8 * $0) }
      environment.writeRegister(Register.redirectionTable + 4 * index, entries.reduce(0, |))
    }
    // TUOFLD, IPOFLD, PCSD.
    environment.writeRegister(Register.receiveChecksum, 1 << 9 | 1 << 8 | 1 << 13)
    environment.writeRegister(Register.multipleQueues, 0x00F7_0000 | (queues.count > 1 ? 2 : 0))
    environment.writeRegister(Register.receiveLongMaximum, 0x3FFF)
    // EN, UPE, MPE, LPE, BAM, SECRC.
    environment.writeRegister(Register.receiveControl, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 15 | 1 << 26)
    for index in queues.indices {
      let receive = queues[index].receiveRegister
      let transmit = queues[index].transmitRegister
      environment.writeRegister(transmit + Register.queueControl, 0)
      environment.writeRegister(receive + Register.queueControl, 0)
      queues[index].prepare(on: &environment)
      environment.writeRegister(transmit + Register.queueControl, Self.queueEnable | 1 << 16 | 1 << 8 | 8)
      // One buffer, advanced descriptors.
      environment.writeRegister(receive + Register.splitControl, 1 << 25 | queues[index].layout.bufferLength / 1024)
      environment.writeRegister(receive + Register.queueControl, Self.queueEnable | 1 << 16 | 8 << 8 | 8)
      queues[index].post(on: &environment)
    }
  }

  private func enableInterrupts<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    guard hasMessages else {
      environment.writeRegister(Register.interruptMaskSet, Cause.all)
      return environment.writeRegister(Register.interruptAutoMask, Cause.all)
    }
    // PBA, EIAME, several vectors, NSICR.
    environment.writeRegister(Register.generalInterrupts, 1 << 31 | 1 << 30 | 1 << 4 | 1)
    environment.writeRegister(Register.otherVectors, 0x80 << 8)
    for queue in queues.indices {
      let receive = UInt32(message(queue: queue, isTransmit: false)) | 0x80
      let transmit = UInt32(message(queue: queue, isTransmit: true)) | 0x80
      environment.writeRegister(Register.vectors + 4 * UInt32(queue), receive | transmit << 8)
    }
    let all: UInt32 = 1 << UInt32(1 + 2 * queues.count) - 1
    for vector in 1...UInt32(2 * queues.count) {
      // 162 microseconds.
      environment.writeRegister(Register.vectorThrottle + 4 * vector, 648)
    }
    environment.writeRegister(Register.vectorAutoClear, all)
    environment.writeRegister(Register.vectorAutoMask, all)
    environment.writeRegister(Register.vectorMaskSet, all)
    environment.writeRegister(Register.interruptMaskSet, Cause.linkStatusChange)
  }

  /// Takes the NIC down: no interrupts, no reception, no transmission.
  public mutating func stop<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.vectorMaskClear, .max)
    environment.writeRegister(Register.interruptMaskClear, .max)
    environment.writeRegister(Register.receiveControl, 0)
    environment.writeRegister(Register.transmitControl, 0)
  }

  // MARK: Interrupts

  /// The handler of the only vector.
  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupts += 1
    let cause = environment.readRegister(Register.interruptCause)
    guard cause & Cause.asserted != 0 else {
      spuriousInterrupts += 1
      return false
    }
    if cause & Cause.linkStatusChange != 0 { linkChanges += 1 }
    for index in queues.indices {
      _ = queues[index].poll(budget: .max, on: &environment, deliver: deliver)
      queues[index].reclaim(on: &environment)
    }
    // The read has masked all.
    environment.writeRegister(Register.interruptMaskSet, Cause.all)
    return true
  }

  /// The handlers of the messages. Each enables its message again when it is done, a receive queue's by way of a poll that
  /// ends when there is nothing.
  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    message: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupts += 1
    if message == 0 {
      let cause = environment.readRegister(Register.interruptCause)
      if cause & Cause.linkStatusChange != 0 { linkChanges += 1 } else { spuriousInterrupts += 1 }
    } else if message <= queues.count {
      while queues[message - 1].poll(budget: 64, on: &environment, deliver: deliver) == 64 {}
    } else if message <= 2 * queues.count {
      queues[message - 1 - queues.count].reclaim(on: &environment)
    }
    environment.writeRegister(Register.vectorMaskSet, 1 << UInt32(message))
    return true
  }

  // MARK: Sending

  /// Queues a frame for transmission, TCP and UDP in the queue that the ports select; their checksums and segmentation are
  /// left to the NIC.
  ///
  /// Without `doorbell` the tail register is left alone, so that several frames share one write.
  ///
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    var frame = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    let offload = OSTransmitOffload(frame, largest: largestFrame)
    var queue = 0
    if let offload {
      let ports = offload.transportStart..<(offload.transportStart + 4)
      queue = ports.reduce(0) { $0 + Int(frame[$1]) } % queues.count
    }
    offload?.apply(to: &frame)
    guard
      unsafe queues[queue].sendAdvanced(frame.span.bytes, offload, on: &environment)
    else { return false }
    if doorbell { queues[queue].ringDoorbell(on: &environment) } else { unannounced.insert(queue) }
    return true
  }

  /// Queues whose tail has not been written since a frame was posted there.
  private var unannounced: Set<Int> = []

  /// Writes the transmit tails.
  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    for queue in queues.indices where unannounced.contains(queue) { queues[queue].ringDoorbell(on: &environment) }
    unannounced.removeAll(keepingCapacity: true)
  }
}

extension IntelOSQueuePair {
  /// Posts a frame in advanced descriptors (82576 datasheet 7.2.2.2, 7.2.2.3).
  ///
  /// - Returns: false when the ring has no room.
  mutating func sendAdvanced<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, _ offload: OSTransmitOffload?, on environment: inout Environment
  ) -> Bool {
    let total = bytes.byteCount
    let isSegmented = (offload?.segmentSize ?? 0) > 0
    let payload = isSegmented ? total - (offload?.headerLength ?? 0) : total
    return send(bytes, context: offload.map(Self.advancedContext), on: &environment) { length, isLast in
      // DTYP 3, IFCS, DEXT; EOP and RS; TSE.
      var word = UInt64(length) | 3 << 20 | 1 << 25 | 1 << 29 | UInt64(payload & 0x3_FFFF) << 46
      if isLast { word |= 1 << 24 | 1 << 27 }
      if let offload {
        word |= 1 << 41
        if isSegmented { word |= 1 << 31 | (offload.isIPv4 ? 1 << 40 : 0) }
      }
      return word
    }
  }

  private static func advancedContext(_ offload: OSTransmitOffload) -> (UInt64, UInt64) {
    let first = UInt64(offload.ipLength) | UInt64(offload.linkLength) << 9
    // DTYP 2, DEXT; IPV4; L4T.
    var second: UInt64 = 2 << 20 | 1 << 29 | (offload.isIPv4 ? 1 << 10 : 0) | (offload.isTCP ? 1 << 11 : 0)
    if offload.segmentSize > 0 {
      second |= UInt64(offload.transportLength) << 40 | UInt64(offload.segmentSize) << 48
    }
    return (first, second)
  }
}

extension IntelOSQueuePair.Counters {
  mutating func add(_ other: Self) {
    framesReceived += other.framesReceived
    bytesReceived += other.bytesReceived
    receiveErrors += other.receiveErrors
    checksumsVerified += other.checksumsVerified
    framesSent += other.framesSent
  }
}
