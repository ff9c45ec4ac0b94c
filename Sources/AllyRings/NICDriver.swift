public import AllyHW

/// What Ally must know of a NIC family (the paper's "modified NIC driver"): its descriptor formats, which registers
/// are intercepted, what they mean, and how the real NIC is pointed at the DPI queues.
///
/// A value without pointers: it holds what the OS has programmed so far and is kept in persistent DPI memory, so
/// that a new worker knows it (of several queue pairs in an `InlineArray`). Its calls are never concurrent, and none is
/// made per frame. A conformance needs no experimental language feature.
public protocol NICDriver: BitwiseCopyable, Sendable {
  /// The receive descriptors that the OS's driver writes.
  associatedtype OSReceive: ReceiveDescriptor
  /// The receive descriptors that the NIC is given; those that the OS's driver writes, unless said otherwise.
  associatedtype NICReceive: ReceiveDescriptor = OSReceive
  /// The transmit descriptors that the OS's driver writes.
  associatedtype OSTransmit: TransmitDescriptor
  /// The transmit descriptors that the NIC is given; those that the OS's driver writes, unless said otherwise.
  associatedtype NICTransmit: TransmitDescriptor = OSTransmit

  /// What becomes of OS accesses to the NIC's registers; fewer than ten runs. Registers not listed pass through.
  static var registers: [RegisterRange] { get }

  /// What the OS's driver sees of a received frame that was dropped in place.
  static var receiveDrop: ReceiveDropAppearance { get }

  /// Whether the NIC can do what a protection level asks of it: all but ``PacketProtection/checksum`` by default. With that,
  /// ``NICReceive`` and ``NICTransmit`` have frame checksums.
  static func supports(_ protection: PacketProtection) -> Bool

  /// The key of the NIC's frame checksums, where there are such; known once the NIC was taken over (``attach(registers:nic:)``).
  var checksumKey: ChecksumKey { get }

  /// What the NIC demands of queues.
  static var queueRules: QueueRules { get }

  /// How many queue pairs the NIC has; 1 to 32. Queue pairs have numbers from 0 on, as the NIC's registers have them.
  static var queuePairs: Int { get }

  /// The state after power-on.
  init()

  /// A receive queue as the OS has programmed it so far.
  func receiveQueue(_ queue: Int) -> ProgrammedQueue

  /// A transmit queue as the OS has programmed it so far.
  func transmitQueue(_ queue: Int) -> ProgrammedQueue

  /// An OS core accessed a redirected register; the access has taken effect on the shadow copy.
  ///
  /// Updates this value, corrects shadow copies whose reads give something else than the last write, and passes on to
  /// the NIC what is not about its queues. Must accept any offset, width and value.
  ///
  /// A worker may die in here; its successor then calls it again with the same access on the value as it was before, and
  /// perhaps a third time on the value as it is afterwards.
  ///
  /// - Returns: what the caller has to act upon.
  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects

  /// The appliance takes the NIC over: fills the shadow copies of redirected registers with what the NIC has in them.
  mutating func attach<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC)

  /// Points the NIC at a receive queue's twin in DPI memory and enables reception into it.
  mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)

  /// Stops reception into a queue; the NIC then touches neither the twin nor its buffers.
  mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC)

  /// Tells the NIC how far a receive queue is filled (paper Figure 4(b)).
  func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC)

  /// Points the NIC at a transmit queue's twin in DPI memory and enables transmission from it.
  mutating func startTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)

  /// Stops transmission from a queue; the NIC then touches neither the twin nor its buffers.
  mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC)

  /// Tells the NIC how far a transmit queue is filled.
  func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC)

  /// Acknowledges the NIC's interrupt and hands causes that have nothing to do with queues (link changes, lost
  /// frames) on to the OS.
  ///
  /// - Returns: whether the NIC had interrupted.
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) -> Bool

  /// Frames were published to an OS queue: moves the shadow head and adds the cause that the NIC would have.
  mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile)

  /// Transmit descriptors were completed in an OS queue: moves the shadow head and adds the causes that the NIC would have.
  mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile)

  /// What the OS is to hear now; see ``NICVirtualizer/takeOSInterrupts(at:by:registers:)``. With one cause register that is
  /// ``InterruptMimic/takeInterrupts(at:)``.
  mutating func takeOSInterrupts(at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile)
    -> NICInterrupts

  /// A worker died, perhaps between ``takeOSInterrupts(at:by:registers:)`` and sending what that said: what is pending is said
  /// again. An interrupt too many does an OS driver no harm, one too few may stop it.
  mutating func repeatOSInterrupts()

  /// When a rate limit lets the next pending interrupt out, in nanoseconds; nil when none is pending.
  var nextOSInterrupt: UInt64? { get }
}

extension NICDriver {
  public static var queuePairs: Int { 1 }

  public mutating func repeatOSInterrupts() {}

  public static func supports(_ protection: PacketProtection) -> Bool { protection != .checksum }

  public var checksumKey: ChecksumKey { ChecksumKey() }
}

/// What a NIC demands of descriptor queues.
@frozen
public struct QueueRules: Sendable, BitwiseCopyable, Equatable {
  /// Base addresses are multiples of this many bytes.
  public var baseAlignment: UInt64
  /// Lengths are multiples of this many bytes, and not 0.
  public var lengthMultiple: UInt32

  @inlinable
  public init(baseAlignment: UInt64, lengthMultiple: UInt32) {
    self.baseAlignment = baseAlignment
    self.lengthMultiple = lengthMultiple
  }
}

/// A queue as the OS has programmed it: values of registers, none of them checked.
@frozen
public struct ProgrammedQueue: Sendable, BitwiseCopyable, Equatable {
  /// The base address.
  public var base: BusAddress
  /// The length in bytes.
  public var byteLength: UInt32
  /// The head register.
  public var head: UInt32
  /// The tail register.
  public var tail: UInt32
  /// Whether the OS has enabled it.
  public var isEnabled: Bool
  /// Receive: the bytes of each buffer. Transmit: 0.
  public var bufferLength: UInt32
  /// Receive: the bytes at a frame's end that are its frame check sequence; 4, or 0 when the NIC strips it.
  public var trailerLength: UInt32
  /// Whether the descriptor format that the OS has chosen is the one that the driver module has. A queue with another is
  /// not served (``RingFault/descriptorFormat``).
  public var hasKnownFormat: Bool

  @inlinable
  public init(
    base: BusAddress, byteLength: UInt32, head: UInt32, tail: UInt32, isEnabled: Bool, bufferLength: UInt32 = 0,
    trailerLength: UInt32 = 0, hasKnownFormat: Bool = true
  ) {
    self.base = base
    self.byteLength = byteLength
    self.head = head
    self.tail = tail
    self.isEnabled = isEnabled
    self.bufferLength = bufferLength
    self.trailerLength = trailerLength
    self.hasKnownFormat = hasKnownFormat
  }
}
