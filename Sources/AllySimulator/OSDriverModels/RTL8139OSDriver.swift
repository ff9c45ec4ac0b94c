public import AllyHW

/// A plain driver for the RTL8139C as an operating system has it, with the queue of frames that its network stack keeps before
/// it: the NIC takes four at a time.
///
/// Written from the datasheet (chapter 5), without the types of the vendor module that it is a test of.
public struct RTL8139OSDriver: OSDriverModel, ~Copyable {
  /// Where the driver has its ring and buffers.
  public struct Layout: Sendable {
    /// The first byte, a multiple of 4,096; see ``byteCount``.
    public var base: PhysicalAddress
    /// Bytes of the receive ring: 8, 16, 32 or 64 KiB.
    public var ringLength: UInt32
    /// Whether frames go on behind the ring's end (WRAP). Not with 64 KiB.
    public var runsOver: Bool
    /// Frames that wait for a transmit descriptor, at most.
    public var backlog: Int

    public init(base: PhysicalAddress, ringLength: UInt32 = 32_768, runsOver: Bool = true, backlog: Int = 64) {
      self.base = base
      self.ringLength = ringLength
      self.runsOver = runsOver
      self.backlog = backlog
    }

    public var ring: PhysicalAddress { base }
    /// Four of 2,048 bytes. The ring has 16 bytes more than its length, and the longest frame behind its end.
    public var transmitBuffers: PhysicalAddress { base.advanced(by: UInt64(ringLength) + 4096) }
    /// All that the driver uses, in bytes.
    public var byteCount: UInt64 { UInt64(ringLength) + 4096 + 4 * 2048 }
  }

  /// What the driver counted, as `ip -s link` would show it.
  public struct Counters: Sendable, Equatable {
    public var framesReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Headers that made no sense, or said that a frame is damaged: the receiver was started anew.
    public var receiveErrors: UInt64 = 0
    /// Looks at the ring that came upon a frame which the NIC was still writing.
    public var unfinishedFrames: UInt64 = 0
    public var framesSent: UInt64 = 0
    public var transmitErrors: UInt64 = 0
    public var overflows: UInt64 = 0
    public var interrupts: UInt64 = 0
    /// Interrupts without a cause.
    public var spuriousInterrupts: UInt64 = 0
  }

  enum Register {
    static let stationAddress: UInt32 = 0x00
    static let multicastFilter: UInt32 = 0x08
    static let transmitStatus: UInt32 = 0x10
    static let transmitAddress: UInt32 = 0x20
    static let receiveBufferStart: UInt32 = 0x30
    static let command: UInt32 = 0x37
    static let readPointer: UInt32 = 0x38
    static let interruptMask: UInt32 = 0x3C
    static let interruptStatus: UInt32 = 0x3E
    static let transmitConfiguration: UInt32 = 0x40
    static let receiveConfiguration: UInt32 = 0x44
    static let missedPackets: UInt32 = 0x4C
    static let eepromCommand: UInt32 = 0x50
    static let multipleInterrupt: UInt32 = 0x5C
  }

  /// The longest frame that the NIC sends (datasheet 5.3).
  private static var longestFrame: Int { 1792 }
  /// ROK, RER, RXOVW and FOVW (datasheet 5.7).
  private static var receiveCauses: UInt32 { 0x53 }
  /// TOK and TER.
  private static var transmitCauses: UInt32 { 0x0C }

  public let layout: Layout
  public private(set) var counters = Counters()
  /// Where in the ring the driver reads next.
  private var readPlace: UInt32 = 0
  private var posted: UInt32 = 0
  private var reclaimed: UInt32 = 0
  private var backlog: [[UInt8]] = []

  public init(layout: Layout) { self.layout = layout }

  public var memoryByteCount: UInt64 { layout.byteCount }

  /// Frames that were sent off and that the NIC has not completed yet.
  public var unfinishedTransmissions: UInt32 { posted - reclaimed + UInt32(backlog.count) }

  // MARK: - Bring-up

  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress address: UInt64, on environment: inout Environment
  ) {
    environment.writeRegister(Register.command, 0x10, width: .byte)
    for _ in 0..<1000 where environment.readRegister(Register.command, width: .byte) & 0x10 == 0 { break }
    readPlace = 0
    posted = 0
    reclaimed = 0
    backlog.removeAll(keepingCapacity: true)
    // The ID registers are written behind the lock of 9346CR (datasheet 5.10).
    environment.writeRegister(Register.eepromCommand, 0xC0, width: .byte)
    environment.writeRegister(Register.stationAddress, UInt32(truncatingIfNeeded: address))
    environment.writeRegister(Register.stationAddress + 4, UInt32(truncatingIfNeeded: address >> 32) & 0xFFFF)
    environment.writeRegister(Register.eepromCommand, 0, width: .byte)
    // Thresholds are set with both directions enabled.
    environment.writeRegister(Register.command, 0x0C, width: .byte)
    environment.writeRegister(Register.receiveConfiguration, receiveConfiguration)
    environment.writeRegister(Register.transmitConfiguration, 0x0300_0600)
    environment.writeRegister(Register.receiveBufferStart, UInt32(truncatingIfNeeded: layout.ring.rawValue))
    environment.writeRegister(Register.missedPackets, 0)
    environment.writeRegister(Register.multicastFilter, .max)
    environment.writeRegister(Register.multicastFilter + 4, .max)
    environment.writeRegister(Register.multipleInterrupt, 0, width: .word)
    for index in 0..<UInt32(4) {
      environment.writeRegister(
        Register.transmitAddress + 4 * index, UInt32(truncatingIfNeeded: transmitBuffer(index).rawValue))
    }
    // ROK, RER, TOK, TER, RXOVW, PUN, FOVW, TimeOut, SERR (datasheet 5.6).
    environment.writeRegister(Register.interruptMask, 0xC07F, width: .word)
  }

  /// Takes the NIC down: no interrupts, no reception, no transmission.
  public mutating func stop<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.interruptMask, 0, width: .word)
    environment.writeRegister(Register.command, 0, width: .byte)
  }

  /// AAP, APM, AM, AB; bursts and threshold without limit; the ring (datasheet 5.9).
  private var receiveConfiguration: UInt32 {
    let length = UInt32(layout.ringLength.trailingZeroBitCount) - 13
    return 0x0F | (layout.runsOver ? 1 << 7 : 0) | 7 << 8 | length << 11 | 7 << 13
  }

  private func transmitBuffer(_ place: UInt32) -> PhysicalAddress {
    layout.transmitBuffers.advanced(by: UInt64(place & 3) * 2048)
  }

  // MARK: - Interrupts

  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    counters.interrupts += 1
    let status = environment.readRegister(Register.interruptStatus, width: .word)
    guard status != 0 else {
      counters.spuriousInterrupts += 1
      return false
    }
    environment.writeRegister(Register.interruptStatus, status, width: .word)
    if status & 0x50 != 0 { counters.overflows += 1 }
    if status & Self.receiveCauses != 0 { poll(on: &environment, deliver: deliver) }
    if status & Self.transmitCauses != 0 { reclaim(on: &environment) }
    return true
  }

  // MARK: - Reception

  /// Takes all frames out of the ring, until the NIC says that it is empty (CR.BUFE) or that it is still writing; no more
  /// than the ring could hold.
  public mutating func poll<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) {
    for _ in 0..<(layout.ringLength / 16) {
      guard environment.readRegister(Register.command, width: .byte) & 1 == 0 else { return }
      var header: [UInt8] = []
      guard environment.read(layout.ring.advanced(by: UInt64(readPlace)), count: 4, into: &header) else { return }
      let status = UInt32(header[0]) | UInt32(header[1]) << 8
      let length = UInt32(header[2]) | UInt32(header[3]) << 8
      guard length != 0xFFF0 else {
        counters.unfinishedFrames += 1
        return
      }
      guard status & 1 == 1, length > 4, Int(length) <= Self.longestFrame + 4,
        let frame = frame(length - 4, on: &environment)
      else { return restartReceiver(on: &environment) }
      counters.framesReceived += 1
      counters.bytesReceived += UInt64(frame.count)
      // Bytes of initialized integers.
      deliver(unsafe frame.span.bytes)
      readPlace = (readPlace + length + 7) & ~3 & (layout.ringLength - 1)
      environment.writeRegister(Register.readPointer, (readPlace &- 16) & 0xFFFF, width: .word)
    }
  }

  private func frame<Environment: OSEnvironment & ~Copyable>(
    _ length: UInt32, on environment: inout Environment
  ) -> [UInt8]? {
    var frame: [UInt8] = []
    // The frame check sequence, which the stack does not want, may lie beyond the end alone.
    let start = layout.runsOver ? readPlace + 4 : (readPlace + 4) & (layout.ringLength - 1)
    let first = layout.runsOver ? length : min(length, layout.ringLength - start)
    guard environment.read(layout.ring.advanced(by: UInt64(start)), count: Int(first), into: &frame),
      first == length || environment.read(layout.ring, count: Int(length - first), into: &frame)
    else { return nil }
    return frame
  }

  private mutating func restartReceiver<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    counters.receiveErrors += 1
    environment.writeRegister(Register.command, 0x04, width: .byte)
    environment.writeRegister(Register.command, 0x0C, width: .byte)
    environment.writeRegister(Register.receiveConfiguration, receiveConfiguration)
    readPlace = 0
  }

  // MARK: - Transmission

  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    precondition(bytes.byteCount <= Self.longestFrame, "the stack keeps to the MTU")
    guard backlog.count < max(1, layout.backlog) else { return false }
    backlog.append(unsafe bytes.withUnsafeBytes { unsafe Array($0) })
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  /// Posts what waits, as far as there are descriptors.
  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    var taken = 0
    while taken < backlog.count, posted - reclaimed < 4 {
      var frame = backlog[taken]
      // The NIC does not pad.
      while frame.count < 60 { frame.append(0) }
      _ = environment.write(unsafe frame.span.bytes, to: transmitBuffer(posted))
      // The length, and a threshold of 256 bytes; OWN is cleared (datasheet 5.3).
      environment.writeRegister(Register.transmitStatus + 4 * (posted & 3), UInt32(frame.count) | 8 << 16)
      posted += 1
      taken += 1
    }
    backlog.removeFirst(taken)
  }

  /// Takes back the transmit descriptors that are done, and posts what waits for them.
  public mutating func reclaim<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    while reclaimed < posted {
      let status = environment.readRegister(Register.transmitStatus + 4 * (reclaimed & 3))
      // TOK, TUN or TABT.
      guard status & (1 << 15 | 1 << 14 | 1 << 30) != 0 else { break }
      if status & 1 << 15 != 0 { counters.framesSent += 1 } else { counters.transmitErrors += 1 }
      // CLRABT (datasheet 5.8).
      if status & 1 << 30 != 0 { environment.writeRegister(Register.transmitConfiguration, 0x0300_0601) }
      reclaimed += 1
    }
    ringDoorbell(on: &environment)
  }
}
