/// A plain driver for the 82540EM as an operating system has it: it knows nothing of Ally, and touches the NIC and its
/// rings only through the core's MMU.
///
/// Written from the 8254x SDM (§13.4 registers, §3.2.3 receive and §3.3.3 transmit descriptors, §14 initialization),
/// without the types of the vendor module that it is a test of.
public struct E1000OSDriver: OSDriverModel, ~Copyable {
  public typealias Layout = IntelOSQueuePair.Layout

  /// What the driver counted, as `ip -s link` would show it.
  public struct Counters: Sendable, Equatable {
    public var framesReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Frames whose descriptors said that they are damaged: discarded, their buffers reused.
    public var receiveErrors: UInt64 = 0
    public var framesSent: UInt64 = 0
    public var interrupts: UInt64 = 0
    /// Interrupts whose cause register was empty.
    public var spuriousInterrupts: UInt64 = 0
  }

  enum Register {
    static let control: UInt32 = 0x0000
    static let interruptCause: UInt32 = 0x00C0
    static let interruptMaskSet: UInt32 = 0x00D0
    static let interruptMaskClear: UInt32 = 0x00D8
    static let receiveControl: UInt32 = 0x0100
    static let transmitControl: UInt32 = 0x0400
    static let receiveQueue: UInt32 = 0x2800
    static let transmitQueue: UInt32 = 0x3800
    static let multicastTable: UInt32 = 0x5200
    static let receiveAddressLow: UInt32 = 0x5400
    static let receiveAddressHigh: UInt32 = 0x5404
  }

  private var queue: IntelOSQueuePair
  private var interrupts: UInt64 = 0
  private var spuriousInterrupts: UInt64 = 0

  /// Buffers have 2,048 bytes, or 4, 8 or 16 KiB, as RCTL.BSIZE can say.
  public init(layout: Layout) {
    queue = IntelOSQueuePair(
      layout: layout, format: .legacy, receiveRegister: Register.receiveQueue,
      transmitRegister: Register.transmitQueue)
  }

  public var layout: Layout { queue.layout }
  public var memoryByteCount: UInt64 { layout.byteCount }
  public var completions: UInt64 { queue.completions }

  public var counters: Counters {
    var counters = Counters()
    counters.framesReceived = queue.counters.framesReceived
    counters.bytesReceived = queue.counters.bytesReceived
    counters.receiveErrors = queue.counters.receiveErrors
    counters.framesSent = queue.counters.framesSent
    counters.interrupts = interrupts
    counters.spuriousInterrupts = spuriousInterrupts
    return counters
  }

  /// Resets the NIC and brings it up: rings, buffers, promiscuous reception of long frames, interrupts.
  ///
  /// The station address has six bytes in the order of the wire, in the low 48 bits.
  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress address: UInt64, on environment: inout Environment
  ) {
    environment.writeRegister(Register.interruptMaskClear, .max)
    environment.writeRegister(Register.control, 1 << 26)
    environment.writeRegister(Register.interruptMaskClear, .max)
    _ = environment.readRegister(Register.interruptCause)
    // Set link up, full duplex (§13.4.1).
    environment.writeRegister(Register.control, 1 << 6 | 1)
    environment.writeRegister(Register.receiveAddressLow, UInt32(truncatingIfNeeded: address))
    environment.writeRegister(Register.receiveAddressHigh, UInt32(truncatingIfNeeded: address >> 32) & 0xFFFF | 1 << 31)
    for index in 0..<UInt32(128) { environment.writeRegister(Register.multicastTable + 4 * index, 0) }

    queue.prepare(on: &environment)

    // EN, PSP (§13.4.33).
    environment.writeRegister(Register.transmitControl, 1 << 1 | 1 << 3)
    // EN, UPE, MPE, LPE, BAM, SECRC (§13.4.22).
    environment.writeRegister(
      Register.receiveControl, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 15 | 1 << 26 | queue.receiveBufferSize)
    queue.post(on: &environment)
    // TXDW, LSC, RXSEQ, RXDMT0, RXO, RXT0 (§13.4.20).
    environment.writeRegister(Register.interruptMaskSet, 0x01 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80)
  }

  /// Takes the NIC down: no interrupts, no reception, no transmission.
  public mutating func stop<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.interruptMaskClear, .max)
    environment.writeRegister(Register.receiveControl, 0)
    environment.writeRegister(Register.transmitControl, 0)
  }

  /// The interrupt handler: reads (and so clears) the causes, then takes all completed frames.
  ///
  /// `deliver` is the network stack; called for each good frame, in order.
  ///
  /// - Returns: whether the interrupt was this NIC's.
  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupts += 1
    let cause = environment.readRegister(Register.interruptCause)
    guard cause != 0 else {
      spuriousInterrupts += 1
      return false
    }
    poll(on: &environment, deliver: deliver)
    reclaim(on: &environment)
    return true
  }

  /// Takes completed frames out of the receive ring, `budget` at the most, and gives their buffers back.
  ///
  /// - Returns: how many frames were taken, damaged ones included.
  @discardableResult
  public mutating func poll<Environment: OSEnvironment & ~Copyable>(
    budget: Int = .max, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Int {
    queue.poll(budget: budget, on: &environment, deliver: deliver)
  }

  /// Queues a frame for transmission; several descriptors when it is longer than a buffer.
  ///
  /// Without `doorbell` the tail register is left alone, so that several frames share one write.
  ///
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    let isPosted = queue.send(bytes, context: nil, on: &environment) { length, isLast in
      // EOP, IFCS, RS (§3.3.3.1).
      UInt64(length) | ((isLast ? 1 : 0) | 2 | 8) << 24
    }
    if isPosted, doorbell { ringDoorbell(on: &environment) }
    return isPosted
  }

  /// Writes the transmit tail.
  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    queue.ringDoorbell(on: &environment)
  }

  /// Takes back the transmit descriptors that are done.
  public mutating func reclaim<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    queue.reclaim(on: &environment)
  }

  /// Transmit descriptors that the NIC has not completed yet.
  public var unfinishedTransmissions: UInt32 { queue.unfinishedTransmissions }
}
