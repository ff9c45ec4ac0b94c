public import AllyHW

/// What Ally must know of a NIC family (the paper's "modified NIC driver"): its descriptor formats, which registers
/// are intercepted, what they mean, and how the real NIC is pointed at the DPI queues.
///
/// A value without pointers: it holds what the OS has programmed so far and is kept in persistent DPI memory, so
/// that a new worker knows it. It runs on the DPI core that owns the NIC's queue pair; nothing here is called per
/// frame. A conformance needs no experimental language feature.
public protocol NICDriver: BitwiseCopyable, Sendable {
  /// The receive descriptors that the OS's driver writes.
  associatedtype OSReceive: ReceiveDescriptor
  /// The receive descriptors that the NIC is given.
  associatedtype NICReceive: ReceiveDescriptor
  /// The transmit descriptors that the OS's driver writes.
  associatedtype OSTransmit: TransmitDescriptor
  /// The transmit descriptors that the NIC is given.
  associatedtype NICTransmit: TransmitDescriptor

  /// What becomes of OS accesses to the NIC's registers; fewer than ten runs. Registers not listed pass through.
  static var registers: [RegisterRange] { get }

  /// What the OS's driver sees of a received frame that was dropped in place.
  static var receiveDrop: ReceiveDropAppearance { get }

  /// What the NIC demands of queues.
  static var queueRules: QueueRules { get }

  /// The state after power-on.
  init()

  /// The receive queue as the OS has programmed it so far.
  var receiveQueue: ProgrammedQueue { get }

  /// The transmit queue as the OS has programmed it so far.
  var transmitQueue: ProgrammedQueue { get }

  /// The NIC's interrupt side as the OS sees it.
  var interrupts: InterruptMimic { get set }

  /// An OS core accessed a redirected register; the access has taken effect on the shadow copy.
  ///
  /// Updates this value, corrects shadow copies whose reads give something else than the last write, and passes on to
  /// the NIC what is not about its queues. Must accept any offset, width and value.
  ///
  /// - Returns: what the caller has to act upon.
  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects

  /// The appliance takes the NIC over: fills the shadow copies of redirected registers with what the NIC has in them.
  mutating func attach<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC)

  /// Points the NIC at a receive queue in DPI memory and enables reception.
  mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: DescriptorQueue, on nic: inout NIC)

  /// Stops reception; the NIC then touches neither queue nor buffers.
  mutating func stopReceive<NIC: NICDevice & ~Copyable>(on nic: inout NIC)

  /// Tells the NIC how far the receive queue is filled (paper Figure 4(b)).
  func setReceiveTail<NIC: NICDevice & ~Copyable>(_ tail: UInt32, on nic: inout NIC)

  /// Points the NIC at a transmit queue in DPI memory and enables transmission.
  mutating func startTransmit<NIC: NICDevice & ~Copyable>(_ queue: DescriptorQueue, on nic: inout NIC)

  /// Stops transmission; the NIC then touches neither queue nor buffers.
  mutating func stopTransmit<NIC: NICDevice & ~Copyable>(on nic: inout NIC)

  /// Tells the NIC how far the transmit queue is filled.
  func setTransmitTail<NIC: NICDevice & ~Copyable>(_ tail: UInt32, on nic: inout NIC)

  /// Acknowledges the NIC's interrupt and hands causes that have nothing to do with queues (link changes, lost
  /// frames) on to the OS.
  ///
  /// - Returns: whether the NIC had interrupted.
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(
    registers: RegisterFile, nic: inout NIC
  ) -> Bool

  /// Frames were published to the OS queue: moves the shadow head and adds the cause that the NIC would have.
  mutating func notePublished(
    head: UInt32, descriptors: UInt32, registers: RegisterFile)

  /// Transmit descriptors were completed in the OS queue: moves the shadow head and adds the causes that the NIC
  /// would have.
  ///
  /// `isReported` tells whether the OS wanted any of them reported, `isEmpty` whether the OS queue is empty now.
  mutating func noteTransmitted(
    head: UInt32, isReported: Bool, isEmpty: Bool, registers: RegisterFile)
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

  @inlinable
  public init(
    base: BusAddress, byteLength: UInt32, head: UInt32, tail: UInt32, isEnabled: Bool, bufferLength: UInt32 = 0,
    trailerLength: UInt32 = 0
  ) {
    self.base = base
    self.byteLength = byteLength
    self.head = head
    self.tail = tail
    self.isEnabled = isEnabled
    self.bufferLength = bufferLength
    self.trailerLength = trailerLength
  }
}

/// What an OS core's access to a redirected register calls for.
@frozen
public struct RegisterEffects: OptionSet, Sendable, BitwiseCopyable {
  public var rawValue: UInt8

  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The receive tail was written.
  @inlinable public static var receiveTail: RegisterEffects { RegisterEffects(rawValue: 1) }
  /// The transmit tail was written.
  @inlinable public static var transmitTail: RegisterEffects { RegisterEffects(rawValue: 2) }
  /// The receive queue was enabled, disabled, moved or resized.
  @inlinable public static var receiveQueue: RegisterEffects { RegisterEffects(rawValue: 4) }
  /// The transmit queue was enabled, disabled, moved or resized.
  @inlinable public static var transmitQueue: RegisterEffects { RegisterEffects(rawValue: 8) }
  /// The interrupt mask or causes changed.
  @inlinable public static var interrupts: RegisterEffects { RegisterEffects(rawValue: 16) }
}
