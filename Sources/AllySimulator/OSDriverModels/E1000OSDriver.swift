public import AllyHW

/// A plain driver for the 82540EM as an operating system has it: it knows nothing of Ally, and touches the NIC and its
/// rings only through the core's MMU.
///
/// Written from the 8254x SDM (§13.4 registers, §3.2.3 receive and §3.3.3 transmit descriptors, §14 initialization),
/// without the types of the vendor module that it is a test of.
public struct E1000OSDriver: OSDriverModel, ~Copyable {
  /// Where the driver has its rings and buffers.
  public struct Layout: Sendable {
    /// The first byte, a multiple of 4,096; see ``byteCount``.
    public var base: PhysicalAddress
    /// Descriptors of each ring: a multiple of 8, at least 8.
    public var receiveDescriptors: UInt32
    public var transmitDescriptors: UInt32
    /// Bytes of each receive and transmit buffer: 2,048 to 16,384 as RCTL.BSIZE can say.
    public var bufferLength: UInt32

    public init(
      base: PhysicalAddress, receiveDescriptors: UInt32 = 1024, transmitDescriptors: UInt32 = 256,
      bufferLength: UInt32 = 2048
    ) {
      self.base = base
      self.receiveDescriptors = receiveDescriptors
      self.transmitDescriptors = transmitDescriptors
      self.bufferLength = bufferLength
    }

    public var receiveRing: PhysicalAddress { base }
    public var transmitRing: PhysicalAddress { base.advanced(by: Layout.page(UInt64(receiveDescriptors) * 16)) }
    public var receiveBuffers: PhysicalAddress {
      transmitRing.advanced(by: Layout.page(UInt64(transmitDescriptors) * 16))
    }
    public var transmitBuffers: PhysicalAddress {
      receiveBuffers.advanced(by: UInt64(receiveDescriptors) * UInt64(bufferLength))
    }
    /// All that the driver uses, in bytes.
    public var byteCount: UInt64 {
      transmitBuffers.rawValue + UInt64(transmitDescriptors) * UInt64(bufferLength) - base.rawValue
    }

    private static func page(_ length: UInt64) -> UInt64 { (length + 0xFFF) & ~0xFFF }
  }

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
    static let receiveBaseLow: UInt32 = 0x2800
    static let receiveBaseHigh: UInt32 = 0x2804
    static let receiveLength: UInt32 = 0x2808
    static let receiveHead: UInt32 = 0x2810
    static let receiveTail: UInt32 = 0x2818
    static let transmitBaseLow: UInt32 = 0x3800
    static let transmitBaseHigh: UInt32 = 0x3804
    static let transmitLength: UInt32 = 0x3808
    static let transmitHead: UInt32 = 0x3810
    static let transmitTail: UInt32 = 0x3818
    static let multicastTable: UInt32 = 0x5200
    static let receiveAddressLow: UInt32 = 0x5400
    static let receiveAddressHigh: UInt32 = 0x5404
  }

  public let layout: Layout
  public private(set) var counters = Counters()
  /// The next receive descriptor to look at.
  private var nextToClean: UInt32 = 0
  /// Descriptors given back since the tail was last written.
  private var unposted: UInt32 = 0
  private var nextToSend: UInt32 = 0
  private var nextToReclaim: UInt32 = 0
  /// The frame whose descriptors come in, until its last.
  private var frame: [UInt8] = []
  private var frameIsDamaged = false

  public init(layout: Layout) { self.layout = layout }

  public var memoryByteCount: UInt64 { layout.byteCount }

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

    for index in 0..<layout.receiveDescriptors {
      environment.store(receiveBuffer(index).rawValue, at: receiveDescriptor(index))
      environment.store(0, at: receiveDescriptor(index).advanced(by: 8))
    }
    environment.writeRegister(Register.receiveBaseLow, UInt32(truncatingIfNeeded: layout.receiveRing.rawValue))
    environment.writeRegister(Register.receiveBaseHigh, UInt32(truncatingIfNeeded: layout.receiveRing.rawValue >> 32))
    environment.writeRegister(Register.receiveLength, layout.receiveDescriptors * 16)
    environment.writeRegister(Register.receiveHead, 0)
    environment.writeRegister(Register.receiveTail, 0)
    for index in 0..<layout.transmitDescriptors {
      environment.store(0, at: transmitDescriptor(index))
      environment.store(0, at: transmitDescriptor(index).advanced(by: 8))
    }
    environment.writeRegister(Register.transmitBaseLow, UInt32(truncatingIfNeeded: layout.transmitRing.rawValue))
    environment.writeRegister(Register.transmitBaseHigh, UInt32(truncatingIfNeeded: layout.transmitRing.rawValue >> 32))
    environment.writeRegister(Register.transmitLength, layout.transmitDescriptors * 16)
    environment.writeRegister(Register.transmitHead, 0)
    environment.writeRegister(Register.transmitTail, 0)
    nextToClean = 0
    unposted = 0
    nextToSend = 0
    nextToReclaim = 0
    frame.removeAll(keepingCapacity: true)
    frameIsDamaged = false

    // EN, PSP (§13.4.33).
    environment.writeRegister(Register.transmitControl, 1 << 1 | 1 << 3)
    // EN, UPE, MPE, LPE, BAM, SECRC (§13.4.22).
    environment.writeRegister(
      Register.receiveControl, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 15 | 1 << 26 | bufferSizeBits)
    // All but one descriptor: head and tail equal would mean none (§3.2.6).
    environment.writeRegister(Register.receiveTail, layout.receiveDescriptors - 1)
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
    counters.interrupts += 1
    let cause = environment.readRegister(Register.interruptCause)
    guard cause != 0 else {
      counters.spuriousInterrupts += 1
      return false
    }
    poll(on: &environment, deliver: deliver)
    reclaim(on: &environment)
    return true
  }

  /// Takes all completed frames out of the receive ring and gives their buffers back.
  public mutating func poll<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) {
    // One round of the ring at the most.
    for _ in 0..<layout.receiveDescriptors {
      let descriptor = receiveDescriptor(nextToClean)
      let word = environment.load(descriptor.advanced(by: 8))
      let status = UInt8(truncatingIfNeeded: word >> 32)
      guard status & 1 != 0 else { break }
      let length = Int(word & 0xFFFF)
      let errors = UInt8(truncatingIfNeeded: word >> 40)
      if !environment.read(receiveBuffer(nextToClean), count: length, into: &frame) { frameIsDamaged = true }
      // CE, SE, SEQ, CXE, RXE (§3.2.3.3): what stock drivers discard a frame for.
      if errors & 0x97 != 0 { frameIsDamaged = true }
      if status & 2 != 0 {
        if frameIsDamaged {
          counters.receiveErrors += 1
        } else {
          counters.framesReceived += 1
          counters.bytesReceived += UInt64(frame.count)
          // Bytes of initialized integers: any of them may be read raw.
          unsafe deliver(frame.span.bytes)
        }
        frame.removeAll(keepingCapacity: true)
        frameIsDamaged = false
      }
      environment.store(receiveBuffer(nextToClean).rawValue, at: descriptor)
      environment.store(0, at: descriptor.advanced(by: 8))
      nextToClean = next(nextToClean, layout.receiveDescriptors)
      unposted += 1
      if unposted == 16 { post(on: &environment) }
    }
    if unposted > 0 { post(on: &environment) }
  }

  private mutating func post<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    unposted = 0
    // The slot before the next to clean stays free.
    let tail = nextToClean == 0 ? layout.receiveDescriptors - 1 : nextToClean - 1
    environment.writeRegister(Register.receiveTail, tail)
  }

  /// Queues a frame for transmission; several descriptors when it is longer than a buffer.
  ///
  /// Without `doorbell` the tail register is left alone, so that several frames share one write.
  ///
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    let piece = Int(layout.bufferLength)
    let count = max(1, (bytes.byteCount + piece - 1) / piece)
    let inUse = (nextToSend &- nextToReclaim &+ layout.transmitDescriptors) % layout.transmitDescriptors
    guard bytes.byteCount > 0, UInt32(count) < layout.transmitDescriptors - inUse else { return false }
    for index in 0..<count {
      let from = index * piece
      let length = min(piece, bytes.byteCount - from)
      let slot = nextToSend
      guard environment.write(bytes.extracting(from..<(from + length)), to: transmitBuffer(slot)) else { return false }
      // EOP, IFCS, RS (§3.3.3.1).
      let command: UInt64 = (index == count - 1 ? 1 : 0) | 2 | 8
      environment.store(transmitBuffer(slot).rawValue, at: transmitDescriptor(slot))
      environment.store(UInt64(length) | command << 24, at: transmitDescriptor(slot).advanced(by: 8))
      nextToSend = next(slot, layout.transmitDescriptors)
    }
    counters.framesSent += 1
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  /// Writes the transmit tail.
  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.transmitTail, nextToSend)
  }

  /// Takes back the transmit descriptors that are done.
  public mutating func reclaim<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    while nextToReclaim != nextToSend {
      guard environment.load(transmitDescriptor(nextToReclaim).advanced(by: 8)) >> 32 & 1 != 0 else { return }
      nextToReclaim = next(nextToReclaim, layout.transmitDescriptors)
    }
  }

  /// Transmit descriptors that the NIC has not completed yet.
  public var unfinishedTransmissions: UInt32 {
    (nextToSend &- nextToReclaim &+ layout.transmitDescriptors) % layout.transmitDescriptors
  }

  private var bufferSizeBits: UInt32 {
    switch layout.bufferLength {
    case 16384: 1 << 25 | 1 << 16
    case 8192: 1 << 25 | 2 << 16
    case 4096: 1 << 25 | 3 << 16
    default: 0
    }
  }

  private func next(_ index: UInt32, _ count: UInt32) -> UInt32 { index + 1 == count ? 0 : index + 1 }
  private func receiveDescriptor(_ index: UInt32) -> PhysicalAddress {
    layout.receiveRing.advanced(by: UInt64(index) * 16)
  }
  private func transmitDescriptor(_ index: UInt32) -> PhysicalAddress {
    layout.transmitRing.advanced(by: UInt64(index) * 16)
  }
  private func receiveBuffer(_ index: UInt32) -> PhysicalAddress {
    layout.receiveBuffers.advanced(by: UInt64(index) * UInt64(layout.bufferLength))
  }
  private func transmitBuffer(_ index: UInt32) -> PhysicalAddress {
    layout.transmitBuffers.advanced(by: UInt64(index) * UInt64(layout.bufferLength))
  }
}
