/// A model of an operating system's stock driver for the Intel 82574L (Intel 82574 GbE Controller Family Datasheet, revision
/// 3.4), as Linux's `e1000e` uses it: extended receive descriptors, three MSI-X messages that clear and mask themselves,
/// polling while their causes are masked, checksums and segmentation left to the NIC.
public struct E1000EOSDriver: OSDriverModel, ~Copyable {
  public typealias Layout = IntelOSQueuePair.Layout

  enum Register {
    static let control: UInt32 = 0x0000
    static let extendedControl: UInt32 = 0x0018
    static let interruptCause: UInt32 = 0x00C0
    static let interruptCauseSet: UInt32 = 0x00C8
    static let interruptMaskSet: UInt32 = 0x00D0
    static let interruptMaskClear: UInt32 = 0x00D8
    static let autoClear: UInt32 = 0x00DC
    static let vectors: UInt32 = 0x00E4
    static let vectorThrottle: UInt32 = 0x00E8
    static let receiveControl: UInt32 = 0x0100
    static let transmitControl: UInt32 = 0x0400
    static let receiveQueue: UInt32 = 0x2800
    static let receiveDelay: UInt32 = 0x2820
    static let transmitQueue: UInt32 = 0x3800
    static let transmitDelay: UInt32 = 0x3820
    static let transmitArbitration: UInt32 = 0x3840
    static let receiveChecksum: UInt32 = 0x5000
    static let receiveFilterControl: UInt32 = 0x5008
    static let multicastTable: UInt32 = 0x5200
    static let receiveAddressLow: UInt32 = 0x5400
    static let receiveAddressHigh: UInt32 = 0x5404
    static let multipleQueues: UInt32 = 0x5818
    static let redirectionTable: UInt32 = 0x5C00
    static let scalingKey: UInt32 = 0x5C80
  }

  enum Cause {
    static let receiveQueue: UInt32 = 1 << 20
    static let transmitQueue: UInt32 = 1 << 22
    static let other: UInt32 = 1 << 24
    static let linkStatusChange: UInt32 = 1 << 2
    static let receiverOverrun: UInt32 = 1 << 6
    static let asserted: UInt32 = 1 << 31
    /// With the pin: TXDW, LSC, RXSEQ, RXDMT0, RXO, RXT0.
    static let pin: UInt32 = 0x01 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
  }

  public private(set) var queue: IntelOSQueuePair
  public private(set) var interrupts: UInt64 = 0
  /// Interrupts that brought nothing.
  public private(set) var spuriousInterrupts: UInt64 = 0
  public private(set) var linkChanges: UInt64 = 0
  /// The longest frame of the link in bytes; longer ones are left to the NIC to segment.
  public let largestFrame: Int
  private var hasMessages = false

  /// - Parameters:
  ///   - layout: where rings and buffers are; buffers of 2,048 bytes, or of 4, 8 or 16 KiB.
  ///   - largestFrame: see ``largestFrame``.
  public init(layout: Layout, largestFrame: Int = 1514) {
    queue = IntelOSQueuePair(
      layout: layout, receiveRegister: Register.receiveQueue, transmitRegister: Register.transmitQueue)
    self.largestFrame = largestFrame
  }

  public var memoryByteCount: UInt64 { queue.layout.byteCount }
  public var completions: UInt64 { queue.completions }
  public var counters: IntelOSQueuePair.Counters { queue.counters }

  // MARK: Bring-up

  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress address: UInt64, on environment: inout Environment
  ) {
    environment.writeRegister(Register.interruptMaskClear, .max)
    environment.writeRegister(Register.autoClear, 0)
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
    hasMessages = environment.requestMessages(3)
    configureTransmit(on: &environment)
    configureReceive(on: &environment)
    queue.post(on: &environment)
    enableInterrupts(on: &environment)
  }

  private mutating func configureTransmit<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    queue.prepare(on: &environment)
    environment.writeRegister(Register.transmitDelay, 8)
    let arbitration = environment.readRegister(Register.transmitArbitration)
    environment.writeRegister(Register.transmitArbitration, arbitration | 1)
    // EN, PSP, RTLC.
    environment.writeRegister(Register.transmitControl, 1 << 1 | 1 << 3 | 1 << 24)
  }

  private func configureReceive<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.receiveDelay, 0)
    // EXSTEN; no interrupts for acknowledgements.
    environment.writeRegister(Register.receiveFilterControl, 1 << 15 | 1 << 12)
    // One queue, and the hash in the descriptor.
    for index in 0..<UInt32(10) {
      environment.writeRegister(Register.scalingKey + 4 * index, 0x9E37_79B9 &* (index + 1))
    }
    for index in 0..<UInt32(32) { environment.writeRegister(Register.redirectionTable + 4 * index, 0) }
    // TUOFLD, IPOFLD, PCSD.
    environment.writeRegister(Register.receiveChecksum, 1 << 9 | 1 << 8 | 1 << 13)
    environment.writeRegister(Register.multipleQueues, 0x0037_0001)
    // EN, UPE, MPE, LPE, BAM, SECRC.
    environment.writeRegister(
      Register.receiveControl, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 15 | 1 << 26 | queue.receiveBufferSize)
  }

  private func enableInterrupts<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    guard hasMessages else { return environment.writeRegister(Register.interruptMaskSet, Cause.pin) }
    // 20,000 interrupts a second for receive and other causes, in units of 256 ns.
    for (vector, interval) in [(UInt32(0), UInt32(195)), (1, 1), (2, 195)] {
      environment.writeRegister(Register.vectorThrottle + 4 * vector, interval)
    }
    environment.writeRegister(Register.vectors, 1 << 31 | 0xA_0908)
    // PBA_CLR and EIAME, without IAME.
    environment.writeRegister(Register.extendedControl, 1 << 31 | 1 << 24)
    environment.writeRegister(Register.autoClear, Cause.receiveQueue | Cause.transmitQueue)
    environment.writeRegister(
      Register.interruptMaskSet,
      Cause.receiveQueue | Cause.transmitQueue | Cause.other | Cause.linkStatusChange | Cause.receiverOverrun)
    // A link change, so that the link is looked at.
    environment.writeRegister(Register.interruptCauseSet, Cause.linkStatusChange | Cause.other)
  }

  /// Takes the NIC down: no interrupts, no reception, no transmission.
  public mutating func stop<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.interruptMaskClear, .max)
    environment.writeRegister(Register.receiveControl, 0)
    environment.writeRegister(Register.transmitControl, 0)
  }

  // MARK: Interrupts

  /// The handler of the pin.
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
    _ = queue.poll(budget: .max, on: &environment, deliver: deliver)
    queue.reclaim(on: &environment)
    return true
  }

  /// The handlers of the three messages: received frames, sent frames, other causes. Each enables its cause again when it is
  /// done, received frames by way of a poll that ends when there are none.
  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    message: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupts += 1
    switch message {
    case 0:
      var taken = 0
      while queue.poll(budget: 64, on: &environment, deliver: deliver) == 64 { taken += 64 }
      environment.writeRegister(Register.interruptMaskSet, Cause.receiveQueue)
    case 1:
      queue.reclaim(on: &environment)
      environment.writeRegister(Register.interruptMaskSet, Cause.transmitQueue)
    default:
      let cause = environment.readRegister(Register.interruptCause)
      // The read has cleared the queues' causes as well.
      let queues = cause & (Cause.receiveQueue | Cause.transmitQueue)
      if queues != 0 { environment.writeRegister(Register.interruptCauseSet, queues) }
      if cause & Cause.linkStatusChange != 0 { linkChanges += 1 }
      if cause & Cause.other == 0 { spuriousInterrupts += 1 }
      environment.writeRegister(Register.interruptMaskSet, Cause.other | Cause.linkStatusChange)
    }
    return true
  }

  // MARK: Sending

  /// Queues a frame for transmission; checksums and segmentation of TCP and UDP are left to the NIC.
  ///
  /// Without `doorbell` the tail register is left alone, so that several frames share one write.
  ///
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    var frame = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    let offload = OSTransmitOffload(frame, largest: largestFrame)
    offload?.apply(to: &frame)
    let context = offload.map { Self.context($0, length: frame.count) }
    let isPosted = unsafe queue.send(frame.span.bytes, context: context, on: &environment) { length, isLast in
      Self.describe(length, isLast: isLast, offload)
    }
    guard isPosted else { return false }
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  /// Writes the transmit tail.
  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    queue.ringDoorbell(on: &environment)
  }

  /// A TCP/IP context descriptor (82574 datasheet 7.2.10.2).
  private static func context(_ offload: OSTransmitOffload, length: Int) -> (UInt64, UInt64) {
    let isSegmented = offload.segmentSize > 0
    var first = UInt64(offload.transportStart) << 32 | UInt64(offload.checksumStart) << 40
    // DEXT; TCP; IPv4; TSE.
    var second: UInt64 = 1 << 29 | (offload.isTCP ? 1 << 24 : 0)
    if isSegmented {
      if offload.isIPv4 {
        first |=
          UInt64(offload.linkLength) | UInt64(offload.linkLength + 10) << 8
          | UInt64(offload.transportStart - 1) << 16
        second |= 1 << 25
      }
      second |=
        UInt64(length - offload.headerLength) | 1 << 26 | UInt64(offload.headerLength) << 40
        | UInt64(offload.segmentSize) << 48
    }
    return (first, second)
  }

  /// A legacy descriptor, or a data descriptor when something is left to the NIC (82574 datasheet 7.2.10.1, 7.2.10.3).
  private static func describe(_ length: Int, isLast: Bool, _ offload: OSTransmitOffload?) -> UInt64 {
    // IFCS; EOP and RS.
    var word = UInt64(length) | 1 << 25 | (isLast ? 1 << 24 | 1 << 27 : 0)
    if let offload {
      // DTYP 1, DEXT, TXSM; TSE and IXSM.
      word |= 1 << 20 | 1 << 29 | 1 << 41
      if offload.segmentSize > 0 { word |= 1 << 26 | (offload.isIPv4 ? 1 << 40 : 0) }
    }
    return word
  }
}
