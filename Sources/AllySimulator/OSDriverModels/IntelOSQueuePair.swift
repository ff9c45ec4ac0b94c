public import AllyHW

/// The rings and buffers of one queue pair, as a stock driver for Intel NICs keeps them: 16-byte descriptors, buffers of one
/// length, one receive descriptor always left free.
public struct IntelOSQueuePair: Sendable {
  /// Where the driver has its rings and buffers.
  public struct Layout: Sendable {
    /// The first byte, a multiple of 4,096; see ``byteCount``.
    public var base: PhysicalAddress
    /// Descriptors of each ring: a multiple of 8, at least 8.
    public var receiveDescriptors: UInt32
    public var transmitDescriptors: UInt32
    /// Bytes of each receive and transmit buffer.
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
      Layout.page(transmitBuffers.rawValue + UInt64(transmitDescriptors) * UInt64(bufferLength) - base.rawValue)
    }

    private static func page(_ length: UInt64) -> UInt64 { (length + 0xFFF) & ~0xFFF }
  }

  /// What the driver counted, as `ip -s link` would show it.
  public struct Counters: Sendable, Equatable {
    public var framesReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Frames whose descriptors said that they are damaged: discarded, their buffers reused.
    public var receiveErrors: UInt64 = 0
    /// Received frames whose checksums the NIC had verified.
    public var checksumsVerified: UInt64 = 0
    public var framesSent: UInt64 = 0
  }

  /// The formats of receive descriptors.
  enum Format {
    /// 8254x SDM §3.2.3.
    case legacy
    /// 82574 datasheet 7.1.5.2; the 82576's advanced descriptors have their fields at the same places.
    case extended
  }

  public let layout: Layout
  private let format: Format
  /// The offset of the receive queue's first register, and of the transmit queue's.
  let receiveRegister: UInt32
  let transmitRegister: UInt32
  public private(set) var counters = Counters()
  /// The words with status, errors, length and tag of all completed receive descriptors, folded. Without IPIDV, which says that
  /// the other word holds an IP identification: no driver looks.
  private(set) var completions: UInt64 = 0
  /// The next receive descriptor to look at.
  private var nextToClean: UInt32 = 0
  /// Descriptors given back since the tail was last written.
  private var unposted: UInt32 = 0
  private var nextToSend: UInt32 = 0
  private var nextToReclaim: UInt32 = 0
  /// The last descriptors of the frames that have been posted, oldest first.
  private var frameEnds: [UInt32] = []
  /// The frame whose descriptors come in, until its last.
  private var frame: [UInt8] = []
  private var frameIsDamaged = false

  init(layout: Layout, format: Format = .extended, receiveRegister: UInt32, transmitRegister: UInt32) {
    self.layout = layout
    self.format = format
    self.receiveRegister = receiveRegister
    self.transmitRegister = transmitRegister
  }

  // MARK: Bring-up

  /// Empties both rings and programs base, length, head and tail of both queues.
  mutating func prepare<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    for index in 0..<layout.receiveDescriptors { offer(index, on: &environment) }
    for index in 0..<layout.transmitDescriptors {
      environment.store(0, at: transmitDescriptor(index))
      environment.store(0, at: transmitDescriptor(index).advanced(by: 8))
    }
    program(receiveRegister, layout.receiveRing, layout.receiveDescriptors, on: &environment)
    program(transmitRegister, layout.transmitRing, layout.transmitDescriptors, on: &environment)
    nextToClean = 0
    unposted = 0
    nextToSend = 0
    nextToReclaim = 0
    frameEnds.removeAll(keepingCapacity: true)
    frame.removeAll(keepingCapacity: true)
    frameIsDamaged = false
  }

  private func program<Environment: OSEnvironment & ~Copyable>(
    _ register: UInt32, _ ring: PhysicalAddress, _ count: UInt32, on environment: inout Environment
  ) {
    environment.writeRegister(register, UInt32(truncatingIfNeeded: ring.rawValue))
    environment.writeRegister(register + 4, UInt32(truncatingIfNeeded: ring.rawValue >> 32))
    environment.writeRegister(register + 8, count * 16)
    environment.writeRegister(register + 0x10, 0)
    environment.writeRegister(register + 0x18, 0)
  }

  private func offer<Environment: OSEnvironment & ~Copyable>(_ index: UInt32, on environment: inout Environment) {
    environment.store(receiveBuffer(index).rawValue, at: receiveDescriptor(index))
    environment.store(0, at: receiveDescriptor(index).advanced(by: 8))
  }

  /// Gives the NIC what is free, all but one descriptor: head and tail equal would mean none.
  mutating func post<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    unposted = 0
    let tail = nextToClean == 0 ? layout.receiveDescriptors - 1 : nextToClean - 1
    environment.writeRegister(receiveRegister + 0x18, tail)
  }

  // MARK: Receiving

  /// Takes completed frames out of the receive ring and gives their buffers back, as a NAPI poll does.
  ///
  /// - Parameters:
  ///   - budget: the most frames to take.
  ///   - environment: registers and memory.
  ///   - deliver: the network stack; called for each good frame, in order.
  /// - Returns: how many frames were taken, damaged ones included.
  mutating func poll<Environment: OSEnvironment & ~Copyable>(
    budget: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Int {
    var taken = 0
    // One round of the ring at the most.
    for _ in 0..<layout.receiveDescriptors where taken < budget {
      let given = environment.load(receiveDescriptor(nextToClean).advanced(by: 8))
      let word = completion(given)
      guard word & 1 != 0 else { break }
      let identified: UInt64 = format == .legacy ? 0 : 1 << 9
      completions = (completions ^ given & ~identified) &* 0x9E37_79B9_7F4A_7C15
      let length = Int(word >> 32 & 0xFFFF)
      if !environment.read(receiveBuffer(nextToClean), count: length, into: &frame) { frameIsDamaged = true }
      // CE, SE, SEQ, CXE, RXE: what stock drivers discard a frame for.
      if word >> 24 & 0x97 != 0 { frameIsDamaged = true }
      if word & 2 != 0 {
        finishFrame(status: word, deliver: deliver)
        taken += 1
      }
      offer(nextToClean, on: &environment)
      nextToClean = next(nextToClean, layout.receiveDescriptors)
      unposted += 1
      if unposted == 16 { post(on: &environment) }
    }
    if unposted > 0 { post(on: &environment) }
    return taken
  }

  /// The second word of a descriptor with its fields where the extended format has them: status below, errors above, length
  /// in the upper half.
  private func completion(_ word: UInt64) -> UInt64 {
    guard format == .legacy else { return word }
    return (word & 0xFFFF) << 32 | word >> 32 & 0xFF | (word >> 40 & 0xFF) << 24
  }

  private mutating func finishFrame(status: UInt64, deliver: (RawSpan) -> Void) {
    if frameIsDamaged {
      counters.receiveErrors += 1
    } else {
      counters.framesReceived += 1
      counters.bytesReceived += UInt64(frame.count)
      // TCPCS without IXSM and without an error.
      if status & 0x24 == 0x20, status >> 29 & 3 == 0 { counters.checksumsVerified += 1 }
      // Bytes of initialized integers: any of them may be read raw.
      unsafe deliver(frame.span.bytes)
    }
    frame.removeAll(keepingCapacity: true)
    frameIsDamaged = false
  }

  // MARK: Sending

  /// Posts a frame, in several descriptors when it is longer than a buffer, behind a context descriptor if there is one.
  ///
  /// - Parameters:
  ///   - bytes: the frame.
  ///   - context: the words of a context descriptor.
  ///   - environment: registers and memory.
  ///   - describe: the second word of the descriptor of a piece with so many bytes, the last or not.
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, context: (UInt64, UInt64)?, on environment: inout Environment,
    describe: (_ length: Int, _ isLast: Bool) -> UInt64
  ) -> Bool {
    let piece = Int(layout.bufferLength)
    let count = max(1, (bytes.byteCount + piece - 1) / piece)
    let needed = UInt32(count) + (context == nil ? 0 : 1)
    guard bytes.byteCount > 0, needed < layout.transmitDescriptors - unfinishedTransmissions else { return false }
    if let context {
      environment.store(context.0, at: transmitDescriptor(nextToSend))
      environment.store(context.1, at: transmitDescriptor(nextToSend).advanced(by: 8))
      nextToSend = next(nextToSend, layout.transmitDescriptors)
    }
    for index in 0..<count {
      let from = index * piece
      let length = min(piece, bytes.byteCount - from)
      guard environment.write(bytes.extracting(from..<(from + length)), to: transmitBuffer(nextToSend)) else {
        return false
      }
      environment.store(transmitBuffer(nextToSend).rawValue, at: transmitDescriptor(nextToSend))
      environment.store(describe(length, index == count - 1), at: transmitDescriptor(nextToSend).advanced(by: 8))
      if index == count - 1 { frameEnds.append(nextToSend) }
      nextToSend = next(nextToSend, layout.transmitDescriptors)
    }
    counters.framesSent += 1
    return true
  }

  /// Writes the transmit tail.
  func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(transmitRegister + 0x18, nextToSend)
  }

  /// Takes back the transmit descriptors of frames whose last one is done, which is the one that reports.
  mutating func reclaim<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    while let last = frameEnds.first {
      guard environment.load(transmitDescriptor(last).advanced(by: 8)) >> 32 & 1 != 0 else { return }
      frameEnds.removeFirst()
      nextToReclaim = next(last, layout.transmitDescriptors)
    }
  }

  /// Transmit descriptors that the NIC has not completed yet.
  public var unfinishedTransmissions: UInt32 {
    (nextToSend &- nextToReclaim &+ layout.transmitDescriptors) % layout.transmitDescriptors
  }

  /// RCTL.BSIZE and BSEX for the buffers' length (8254x SDM §13.4.22).
  var receiveBufferSize: UInt32 {
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

/// What stock drivers do to the PHY when they set a link up.
enum IntelOSLink {
  /// Restarts autonegotiation: PHY register 0 through MDIC.
  static func negotiate<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    let control: UInt32 = 0x1340
    environment.writeRegister(0x0020, 1 << 26 | 1 << 21 | control)
    // Ready at once, or not at all.
    for _ in 0..<64 where environment.readRegister(0x0020) >> 28 & 1 == 0 {}
  }
}
