public import AllyHW
public import AllyPacket

/// A NIC, virtualized for one OS (paper §4.3): what stands between the OS's driver and the NIC, whatever the two exchange
/// frames through.
///
/// ``RingVirtualizer`` is the one for NICs with descriptor rings, of which a ``NICDriver`` says the rest. A NIC whose
/// queues are something else (virtqueues, a receive ring of bytes) brings a conformance of its own.
///
/// DPI cores call, run to completion: ``handle(_:memory:registers:nic:)`` for each access that the Remapping Table
/// redirected; ``takeInterrupt(registers:nic:)`` when the NIC interrupted;
/// ``service(queue:inspecting:receiveClock:transmitClock:memory:registers:nic:)`` for the queue pairs that they own; and
/// then ``takeOSInterrupts(at:by:registers:)``, which says what the OS hears. One core calls all but `service`; not more than
/// one core at a time uses a value.
///
/// What must not be lost when a worker dies is in the DPI memory that ``init(region:memory:partition:limits:protection:start:)``
/// was given, as plain data with indexes instead of pointers; a value made with ``RingStart/resuming`` takes it up. A
/// conformance needs no experimental language feature.
public protocol NICVirtualizer: ~Copyable {
  /// What becomes of OS accesses to the NIC's registers; fewer than ten runs. Registers not listed pass through.
  static var registers: [RegisterRange] { get }

  /// How many bytes of DPI memory a NIC needs.
  static func requiredMemory(limits: RingLimits) -> UInt64

  /// Whether the NIC can do what a protection level asks of it: all but ``PacketProtection/checksum`` by default. Checked when
  /// an appliance is composed.
  static func supports(_ protection: PacketProtection) -> Bool

  /// What inspectors may do on this NIC besides accepting and dropping, at a protection level and with the memory that the
  /// limits give them; nothing by default. Checked when an appliance is composed.
  static func supportedActions(at protection: PacketProtection, limits: RingLimits) -> InspectorActions

  /// Takes possession of DPI memory for a NIC.
  ///
  /// The `region` has at least ``requiredMemory(limits:)`` bytes of DPI memory, 4,096-byte aligned, which must stay mapped
  /// as long as this value exists. `start` tells whether to go on with the state that another worker left there.
  init(
    region: DPIRegion, memory: borrowing PhysicalMemory, partition: Partition, limits: RingLimits,
    protection: PacketProtection, start: RingStart) throws(RingSetupError)

  /// How many queue pairs the NIC has, whether the OS uses them or not; 1 to 32.
  var queuePairs: Int { get }

  /// Takes the NIC over, once, before the OS starts: afterwards the shadow copies read as the NIC's registers do.
  mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC)

  /// Takes up the NIC's queues after ``RingStart/resuming``: tells the NIC again what it may have missed.
  mutating func resume<NIC: NICDevice & ~Copyable>(on nic: inout NIC)

  /// An OS core accessed a redirected register; the access has taken effect on the shadow copy.
  ///
  /// Queues that the OS enables, moves, resizes, resets or disables are rebuilt or stopped here, and tails are checked;
  /// frames move in the `service` calls. Must accept any offset, width and value.
  ///
  /// A worker may die at any point in here. Its successor, after ``resume(on:)``, gets the same access first of all, and
  /// handling it again has the effect of handling it once.
  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC)

  /// Acknowledges the NIC's interrupt, which is redirected to the calling core.
  ///
  /// - Returns: whether the NIC had interrupted.
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool

  /// One pass over both directions of a queue pair: what the OS posted goes to the NIC, what the NIC completed goes to the
  /// OS, each frame inspected on its way. Bounded by the queues' lengths.
  ///
  /// `queue` is less than ``queuePairs``. `receiveClock` stamps the frames that come from the wire, in its order;
  /// `transmitClock` those that the OS sends.
  mutating func service<
    Inspector: PacketInspector & ~Copyable, ReceiveClock: FrameClock & ~Copyable,
    TransmitClock: FrameClock & ~Copyable, NIC: NICDevice & ~Copyable
  >(
    queue: Int, inspecting inspector: inout Inspector, receiveClock: inout ReceiveClock,
    transmitClock: inout TransmitClock, memory: borrowing PhysicalMemory, registers: RegisterFile, nic: inout NIC
  ) -> ServiceResult

  /// What the OS is to hear now in the NIC's place: the pin's level, and messages, each at most once per rise and not more
  /// often than the OS asked for.
  ///
  /// `now` is nanoseconds of a clock that does not run backwards, `delivery` what the OS has set in the function's
  /// configuration space: masks that set themselves when a message is sent depend on it.
  mutating func takeOSInterrupts(at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile)
    -> NICInterrupts

  /// When a rate limit lets the next pending interrupt out, in nanoseconds; nil when none is pending. For a caller that
  /// sleeps.
  var nextOSInterrupt: UInt64? { get }

  /// What happened on a queue pair so far.
  func counters(queue: Int) -> QueuePairCounters
}

extension NICVirtualizer where Self: ~Copyable {
  public static func supportedActions(at protection: PacketProtection, limits: RingLimits) -> InspectorActions { [] }

  public static func supports(_ protection: PacketProtection) -> Bool { protection != .checksum }
}

/// What one pass over a queue pair did.
@frozen
public struct ServiceResult: Sendable, BitwiseCopyable, Equatable {
  /// Bytes of descriptors that were moved between the two queues of either direction (paper Table 2).
  public var descriptorBytes: UInt64
  /// Received frames that were inspected.
  public var received: UInt32
  /// Frames to be transmitted that were inspected, as far as it is known, or their descriptors.
  public var transmitted: UInt32
  /// Whether anything moved at all: a descriptor, a frame or a tail.
  public var hasMoved: Bool

  @inlinable
  public init(received: UInt32 = 0, transmitted: UInt32 = 0, hasMoved: Bool = false, descriptorBytes: UInt64 = 0) {
    self.descriptorBytes = descriptorBytes
    self.received = received
    self.transmitted = transmitted
    self.hasMoved = hasMoved
  }
}

/// What happened on a queue pair so far.
@frozen
public struct QueuePairCounters: Sendable, BitwiseCopyable {
  public var receive: QueueCounters
  public var transmit: QueueCounters

  @inlinable
  public init(receive: QueueCounters = QueueCounters(), transmit: QueueCounters = QueueCounters()) {
    self.receive = receive
    self.transmit = transmit
  }
}
