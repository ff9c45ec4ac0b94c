internal import AllyDeviceModels
public import AllyHW
public import AllyPacket
public import AllyRings

/// What of a guest's NIC is behind its protocol: registers, memory, interrupts, and its share of the work.
///
/// One thread calls. A class, because a server has several of different kinds; a call comes for each message or batch, not
/// for each frame.
public protocol GuestDevice: AnyObject {
  var function: PCIFunction { get }
  /// The guest reads from behind a base address register.
  func read(bar: Int, offset: UInt64, width: RegisterWidth) -> UInt64
  func write(bar: Int, offset: UInt64, value: UInt64, width: RegisterWidth)
  /// Lends the memory that the NIC's DMA and the guest reach, to change what is mapped.
  func withMemory<Result>(_ body: (inout PhysicalMemory) -> Result) -> Result
  /// Addresses from here on are not the guest's.
  var endOfGuestMemory: UInt64 { get }
  /// A hardware reset.
  func reset()
  /// Lets NIC and DPI core work, as far as there is something to do; bounded.
  ///
  /// - Returns: whether there may be more.
  func work(at now: UInt64) -> Bool
  func takeInterrupts(at now: UInt64, by delivery: InterruptDelivery) -> NICInterrupts
  /// When there is work without anything else happening; nil when there is none.
  var nextTimer: UInt64? { get }
  /// What is readable when frames come; nil when none would be taken now.
  var uplinkDescriptor: Int32? { get }
  /// Makes the guest's link follow the uplink's carrier.
  func followCarrier()
  var report: GuestReport { get }
  /// Why the NIC does not work any more; nil as long as it does.
  var failure: HostError? { get }
}

/// A guest's virtio network device, of which the rings can be taken up where somebody else left them.
public protocol VirtioGuestDevice: GuestDevice {
  /// How well its frames are protected.
  var protection: PacketProtection { get }
  /// Where a queue that works stands; nil when it does not.
  func position(ofQueue queue: Int) -> VirtqueuePosition?
  /// Says where a queue begins when it is enabled next.
  func setBeginning(_ position: VirtqueuePosition, ofQueue queue: Int)
  /// Says over how many queue pairs received frames are spread.
  func spreadReceived(over pairs: Int)
  /// The device was reset by its registers: frames that it had received and not handed over are gone.
  func forgetReceived()
}

/// What happened to a guest's frames.
public struct GuestReport: Sendable {
  public var interception: InterceptionCounters
  /// Frames that came from the uplink, and that went to it.
  public var fromWire: UInt64
  public var toWire: UInt64
  /// Frames that the uplink did not take.
  public var refused: UInt64
  /// Frames that waited for the guest too long.
  public var expired: UInt64
  /// Frames that were inspected.
  public var inspected: UInt64
  /// Frames that were lost with a worker that died while it took them.
  public var lost: UInt64

  public init(
    interception: InterceptionCounters, fromWire: UInt64, toWire: UInt64, refused: UInt64, expired: UInt64,
    inspected: UInt64, lost: UInt64 = 0
  ) {
    self.interception = interception
    self.fromWire = fromWire
    self.toWire = toWire
    self.refused = refused
    self.expired = expired
    self.inspected = inspected
    self.lost = lost
  }
}

/// The appliance of a process: one inspector, which all its guests' frames pass.
@safe
public final class SharedInspector<Inspector: PacketInspector & ~Copyable> {
  /// Invariant: initialized until ``take()``.
  private let place: UnsafeMutablePointer<Inspector>
  private var isTaken = false

  public init(_ inspector: consuming Inspector) {
    unsafe place = .allocate(capacity: 1)
    unsafe place.initialize(to: inspector)
  }

  deinit {
    if !isTaken { unsafe place.deinitialize(count: 1) }
    unsafe place.deallocate()
  }

  /// Lends the inspector.
  ///
  /// - Precondition: it was not taken.
  public func withInspector<Result>(_ body: (inout Inspector) -> Result) -> Result {
    precondition(!isTaken, "the inspector was taken")
    return unsafe body(&place.pointee)
  }

  /// Gives the inspector back; nothing works any more that needs it.
  ///
  /// - Precondition: it was not taken.
  public func take() -> Inspector {
    precondition(!isTaken, "the inspector was taken")
    isTaken = true
    return unsafe place.move()
  }
}

/// What is behind a base address register of a guest's NIC.
public enum RegisterWindow: Sendable {
  /// The registers, intercepted.
  case registers
  /// Two ports, an address and a data window, through which all registers are reached (8254x SDM §13.2); intercepted too.
  case indirect
  /// Nothing of the NIC's own: zeros. The table of interrupt messages is one, because the client emulates it.
  case empty
}

/// A guest's NIC: a virtualizer, a device model with an uplink, and the appliance that sees the frames.
public final class GuestNIC<
  Virtualizer: NICVirtualizer & ~Copyable, NIC: HostedNIC & ~Copyable, Inspector: PacketInspector & ~Copyable
>: GuestDevice {
  private var intercepted: InterceptedNIC<Virtualizer, NIC>
  private let shared: SharedInspector<Inspector>
  private let windows: [RegisterWindow]
  private let dpiMemory: MappedMemory
  /// What the address port of ``RegisterWindow/indirect`` holds.
  private var portAddress: UInt32 = 0

  /// DPI memory is at bus addresses that no guest has: PCI devices reach 2^63 at the most, guests have less than 2^52.
  private static var dpiBase: UInt64 { 1 << 60 }
  private static var roundsAtOnce: Int { 16 }

  /// Where what outlives a worker is noted; nil of a NIC that does not.
  private let kept: KeptMemory?
  /// Tells the inspector whose frames come next.
  private let introduce: ((inout Inspector) -> Void)?

  /// - Parameters:
  ///   - nic: the NIC behind Ally.
  ///   - windows: what is behind each base address register, from 0 on.
  ///   - shared: the appliance.
  ///   - settings: limits and protection.
  ///   - link: to an inspector in another process, which is to see the frames in DPI memory.
  ///   - kept: memory that outlives a worker; DPI memory then does too, as that of `link` does in any case.
  ///   - introduce: tells the inspector, before each batch, whose frames come next.
  public convenience init(
    _ nic: consuming NIC, windows: [RegisterWindow], inspecting shared: SharedInspector<Inspector>,
    settings: InterceptionSettings, link: InspectorLink? = nil, keeping kept: KeptMemory? = nil,
    introduce: ((inout Inspector) -> Void)? = nil
  ) throws(HostError) {
    let length = InterceptedNIC<Virtualizer, NIC>.requiredMemory(settings)
    let dpiMemory =
      if let link { try link.makeFrameMemory(length) } else if let kept { try kept.dpiMemory(length: length) } else {
        try MappedMemory(zeros: length)
      }
    try self.init(nic, windows, shared, settings, dpiMemory: dpiMemory, kept, introduce)
  }

  /// - Parameter dpiMemory: at least as much as the settings ask for.
  private init(
    _ nic: consuming NIC, _ windows: [RegisterWindow], _ shared: SharedInspector<Inspector>,
    _ settings: InterceptionSettings, dpiMemory: MappedMemory, _ kept: KeptMemory?,
    _ introduce: ((inout Inspector) -> Void)?
  ) throws(HostError) {
    let length = UInt64(dpiMemory.length)
    self.kept = kept
    self.introduce = introduce
    var memory = PhysicalMemory(capacity: DMAMap.capacity + 1)
    do {
      // The object keeps the storage as long as it exists.
      unsafe try memory.map(
        base: PhysicalAddress(Self.dpiBase), length: length, storage: dpiMemory.storage, rights: .readWrite)
    } catch {
      throw HostError("DPI memory cannot be mapped: \(error)")
    }
    self.dpiMemory = dpiMemory
    self.windows = windows
    self.shared = shared
    intercepted = try InterceptedNIC(
      nic, memory: memory, dpiMemory: DPIRegion(base: PhysicalAddress(Self.dpiBase), length: length),
      settings: settings)
  }

  public var function: PCIFunction { intercepted.nic.function }
  public var endOfGuestMemory: UInt64 { Self.dpiBase }
  public var nextTimer: UInt64? { intercepted.nextTimer }
  public var uplinkDescriptor: Int32? { intercepted.nic.inputDescriptor }

  private func window(_ bar: Int) -> RegisterWindow { windows.indices.contains(bar) ? windows[bar] : .empty }

  public func read(bar: Int, offset: UInt64, width: RegisterWidth) -> UInt64 {
    guard let offset = UInt32(exactly: offset) else { return 0 }
    switch window(bar) {
    case .registers: return intercepted.readRegister(offset, width: width)
    case .indirect where width == .doubleWord && offset == 0: return UInt64(portAddress)
    case .indirect where width == .doubleWord && offset == 4: return intercepted.readRegister(portAddress, width: width)
    case .indirect, .empty: return 0
    }
  }

  public func write(bar: Int, offset: UInt64, value: UInt64, width: RegisterWidth) {
    guard let offset = UInt32(exactly: offset) else { return }
    switch window(bar) {
    case .registers: intercepted.writeRegister(offset, value: value, width: width)
    // The address has 20 bits, of which the low two are fixed at zero.
    case .indirect where width == .doubleWord && offset == 0:
      portAddress = UInt32(truncatingIfNeeded: value) & 0xF_FFFC
    case .indirect where width == .doubleWord && offset == 4:
      intercepted.writeRegister(portAddress, value: value, width: width)
    case .indirect, .empty: return
    }
  }

  public func withMemory<Result>(_ body: (inout PhysicalMemory) -> Result) -> Result { body(&intercepted.bus.memory) }

  public func reset() {
    portAddress = 0
    kept?.records.isResetting = true
    intercepted.reset()
    kept?.records.isResetting = false
  }

  public func work(at now: UInt64) -> Bool {
    shared.withInspector { inspector in
      introduce?(&inspector)
      for _ in 0..<Self.roundsAtOnce where !intercepted.work(inspecting: &inspector, at: now) { return false }
      return true
    }
  }

  public func takeInterrupts(at now: UInt64, by delivery: InterruptDelivery) -> NICInterrupts {
    intercepted.takeInterrupts(at: now, by: delivery)
  }

  public func followCarrier() { intercepted.nic.followCarrier() }
  public var failure: HostError? { intercepted.nic.failure }

  public var report: GuestReport {
    let traffic = intercepted.nic.traffic
    return GuestReport(
      interception: intercepted.counters, fromWire: traffic.received, toWire: traffic.sent, refused: traffic.refused,
      expired: traffic.expired, inspected: intercepted.nic.clock.stamped,
      lost: traffic.lost)
  }
}

extension GuestNIC where Virtualizer: ~Copyable, NIC == QEMUDevice, Inspector: ~Copyable {
  /// One of QEMU's NIC models behind a driver module: the whole chain of the paper. DPI memory is QEMU's, and the NIC reaches that and
  /// none of the guest's.
  ///
  /// - Parameters:
  ///   - qemu: what to start; its memory and where that is are set here.
  ///   - uplink: where the guest's cable leads.
  ///   - windows: what the base address registers are, in their order.
  ///   - shared: the appliance.
  ///   - settings: limits; frames are copied.
  ///   - introduce: tells the inspector, before each batch, whose frames come next.
  public convenience init(
    _ qemu: QEMUDevice.Settings, uplink: consuming Uplink, windows: [RegisterWindow],
    inspecting shared: SharedInspector<Inspector>, settings: InterceptionSettings,
    introduce: ((inout Inspector) -> Void)? = nil
  ) throws(HostError) {
    guard settings.protection == .copyToDPIMemory else {
      throw HostError("a NIC in another process does not reach the guest's memory: expected frames to be copied")
    }
    var qemu = qemu
    qemu.memoryBase = Self.dpiBase
    qemu.memory = 1 << 20
    while qemu.memory < InterceptedNIC<Virtualizer, NIC>.requiredMemory(settings) { qemu.memory <<= 1 }
    let device = try QEMUDevice(qemu, uplink: uplink)
    let memory = device.ram
    try self.init(device, windows, shared, settings, dpiMemory: memory, nil, introduce)
  }
}

/// A guest's NIC that outlives the worker that serves it.
protocol KeptGuestDevice: GuestDevice {
  var records: KeptRecords { get }
  var messages: KeptMessages { get }
  /// Exchanges what is in neither the NIC's record nor DPI memory.
  func exchange(with record: inout StateRecord)
  /// The guest's accesses are those of the message with this number.
  func begin(message: UInt64)
  /// Writes the NIC's record, which does not count yet.
  func writeNIC()
  /// What it is, for ``KeptLayout``, and bytes of its record.
  var kind: String { get }
  var recordLength: Int { get }
  /// Leaves what outlives a worker to the executable that comes after this one, or takes over what the one before has left.
  func leave(as name: String, layout: String, in starter: WorkerStarter) throws(HostError)
  /// Becomes the NIC of a worker that died. The guest's memory is mapped; ``exchange(with:)`` has been called.
  func resume(at now: UInt64) throws(HostError)
}

extension GuestNIC: KeptGuestDevice
where Virtualizer: ~Copyable, NIC: PersistentNIC & ~Copyable, Inspector: ~Copyable {
  /// - Precondition: it was made with memory that outlives a worker.
  private var memory: KeptMemory {
    guard let kept else { preconditionFailure("a NIC that was made for one worker is to outlive it") }
    return kept
  }

  var records: KeptRecords { memory.records }
  var messages: KeptMessages { memory.messages }

  func exchange(with record: inout StateRecord) {
    record.exchange(&portAddress)
    intercepted.exchangeCounters(with: &record)
  }

  func begin(message: UInt64) { intercepted.reads = (memory.records, message) }

  func writeNIC() { intercepted.nic.write() }

  var kind: String { NIC.kind }
  var recordLength: Int { intercepted.nic.recordLength }

  func leave(as name: String, layout: String, in starter: WorkerStarter) throws(HostError) {
    try memory.leave(as: name, layout: layout, in: starter)
  }

  func resume(at now: UInt64) throws(HostError) {
    intercepted.restoreNIC()
    if memory.records.isResetting { return reset() }
    try intercepted.resume(at: now)
  }
}

extension GuestNIC: VirtioGuestDevice
where Virtualizer: PositionedVirtqueues & ~Copyable, NIC: ~Copyable, Inspector: ~Copyable {
  public var protection: PacketProtection { intercepted.protection }

  public func position(ofQueue queue: Int) -> VirtqueuePosition? {
    intercepted.withVirtualizer { $0.position(ofQueue: queue) }
  }

  public func setBeginning(_ position: VirtqueuePosition, ofQueue queue: Int) {
    intercepted.withVirtualizer { $0.setBeginning(position, ofQueue: queue) }
  }

  public func spreadReceived(over pairs: Int) { intercepted.nic.spreadReceived(over: pairs) }

  public func forgetReceived() { intercepted.nic.clock.forgetCompleted() }
}
