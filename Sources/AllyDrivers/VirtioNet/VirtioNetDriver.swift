public import AllyHW
public import AllyRings

/// The driver module for virtio network devices behind the modern PCI transport (Virtual I/O Device Version 1.2): what the
/// common configuration means, and how the NIC is pointed at the twins of the OS's queues.
///
/// Features and status go on to the NIC as the OS negotiates them, without those that concern the layout of queues: the OS may
/// use packed queues on a NIC that is driven by split ones. Several queue pairs are offered when the NIC has no more than
/// ``queuePairs``.
public struct VirtioNetDriver: VirtqueueDriver {
  public static var registers: [RegisterRange] { VirtioNetRegisters.map }
  public static var queuePairs: Int { 4 }

  /// Those of every pair, and the control queue.
  private static var queueCount: Int { 2 * queuePairs + 1 }

  /// The registers of a queue, as the OS wrote them, and what the NIC says of it.
  private struct QueueRegisters: BitwiseCopyable, Sendable {
    var maximumSize: UInt16 = 0
    var notifyOffset: UInt16 = 0
    var size: UInt16 = 0
    var vector: UInt16 = 0xFFFF
    var isEnabled = false
    var descriptors: UInt64 = 0
    var driverArea: UInt64 = 0
    var deviceArea: UInt64 = 0

    mutating func reset() {
      var fresh = QueueRegisters()
      fresh.maximumSize = maximumSize
      fresh.notifyOffset = notifyOffset
      fresh.size = maximumSize
      self = fresh
    }
  }

  private var offered: UInt64 = 0
  private var accepted: UInt64 = 0
  private var deviceFeatureSelect: UInt32 = 0
  private var driverFeatureSelect: UInt32 = 0
  private var configurationVector: UInt16 = 0xFFFF
  private var queuesOfNIC: UInt16 = 0
  private var pairsOfNIC = 1
  private var status: UInt8 = 0
  private var generation: UInt8 = 0
  private var queueSelect: UInt16 = 0
  private var queues: InlineArray<9, QueueRegisters> = .init(repeating: QueueRegisters())
  private var interrupts = InterruptMimic()
  /// Messages that are to be sent, a bit for each vector.
  private var messages: UInt32 = 0

  public init() {}

  public func queue(_ index: Int) -> ProgrammedVirtqueue {
    var programmed = ProgrammedVirtqueue()
    guard index < Self.queueCount else { return programmed }
    let queue = queues[index]
    programmed.size = UInt32(queue.size)
    programmed.descriptors = BusAddress(queue.descriptors)
    programmed.driverArea = BusAddress(queue.driverArea)
    programmed.deviceArea = BusAddress(queue.deviceArea)
    programmed.isEnabled = queue.isEnabled
    programmed.isPacked = accepts(VirtioFeatureBits.packedRing)
    programmed.hasIndirectDescriptors = accepts(VirtioFeatureBits.indirectDescriptors)
    programmed.hasEventIndex = accepts(VirtioFeatureBits.eventIndex)
    return programmed
  }

  /// Behind the queues of every pair that the NIC has, when several are negotiated (virtio 1.2, §5.1.2).
  public var controlQueue: Int? {
    guard accepts(VirtioFeatureBits.controlQueue) else { return nil }
    return accepts(VirtioFeatureBits.multipleQueues) ? 2 * pairsOfNIC : 2
  }

  public var isLive: Bool {
    status & VirtioStatusBits.driverOK != 0 && status & (VirtioStatusBits.needsReset | VirtioStatusBits.failed) == 0
  }

  public var mergesBuffers: Bool { accepts(VirtioFeatureBits.mergeableBuffers) }

  public var receiveBufferLength: UInt32 {
    // Without mergeable buffers one has to hold a super-frame of 64 KiB (§5.1.6.3.1).
    !mergesBuffers && accepted & VirtioFeatureBits.guestSegments != 0 ? 65_600 : 2048
  }

  private func accepts(_ features: UInt64) -> Bool { accepted & features != 0 }

  // MARK: - Register accesses of the OS

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> VirtqueueSet {
    if access.offset >= VirtioNetRegisters.interruptStatus, access.offset < VirtioNetRegisters.interruptStatus + 4 {
      // Reading has cleared the shadow; what is left the OS has not seen. It is read-only.
      if access.isWrite { registers.store(UInt64(interrupts.cause), at: VirtioNetRegisters.interruptStatus) }
      interrupts.acknowledge(
        remaining: UInt32(truncatingIfNeeded: registers.load(VirtioNetRegisters.interruptStatus)) & 3)
      return VirtqueueSet()
    }
    guard access.isWrite, access.offset < VirtioNetRegisters.commonLength else {
      // A notification says that a queue has new buffers; the pass that follows looks at all of them. It reads as 0.
      if access.isWrite { registers.store(0, at: access.offset, width: access.width) }
      return VirtqueueSet()
    }
    let changed = write(access.offset, access.value & access.width.mask, access.width, nic: &nic)
    restoreShadows(registers)
    return changed
  }

  /// Drivers write each field with its own width, 64-bit fields in two halves (§4.1.3.1).
  private mutating func write<NIC: NICDevice & ~Copyable>(
    _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth, nic: inout NIC
  ) -> VirtqueueSet {
    switch (offset, width) {
    case (VirtioNetRegisters.deviceFeatureSelect, .doubleWord):
      deviceFeatureSelect = UInt32(truncatingIfNeeded: value)
    case (VirtioNetRegisters.driverFeatureSelect, .doubleWord):
      driverFeatureSelect = UInt32(truncatingIfNeeded: value)
    case (VirtioNetRegisters.driverFeature, .doubleWord):
      guard driverFeatureSelect < 2, status & VirtioStatusBits.featuresOK == 0 else { break }
      let shift = UInt64(32 &* driverFeatureSelect)
      accepted = accepted & ~(0xFFFF_FFFF << shift) | value << shift
    case (VirtioNetRegisters.configurationVector, .word):
      nic.writeRegister(VirtioNetRegisters.configurationVector, value: value, width: .word)
      configurationVector = UInt16(
        truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.configurationVector, width: .word))
    case (VirtioNetRegisters.status, .byte):
      return writeStatus(UInt8(truncatingIfNeeded: value), nic: &nic)
    case (VirtioNetRegisters.queueSelect, .word):
      queueSelect = UInt16(truncatingIfNeeded: value)
    default:
      let queue = Int(queueSelect)
      guard queue < Self.queueCount, queues[queue].maximumSize > 0 else { break }
      return writeQueue(queue, offset, value, width, nic: &nic)
    }
    return VirtqueueSet()
  }

  private mutating func writeStatus<NIC: NICDevice & ~Copyable>(_ value: UInt8, nic: inout NIC) -> VirtqueueSet {
    guard value != 0 else {
      reset(nic: &nic)
      return VirtqueueSet(bits: 1 << UInt64(Self.queueCount) &- 1)
    }
    var value = value
    if value & VirtioStatusBits.featuresOK != 0, status & VirtioStatusBits.featuresOK == 0 {
      if accepted & ~offered != 0 {
        value &= ~VirtioStatusBits.featuresOK
      } else {
        let features = accepted & ~VirtioFeatureBits.osSide
        for half: UInt64 in [0, 1] {
          nic.writeRegister(VirtioNetRegisters.driverFeatureSelect, value: half, width: .doubleWord)
          nic.writeRegister(
            VirtioNetRegisters.driverFeature, value: features >> (32 &* half) & 0xFFFF_FFFF, width: .doubleWord)
        }
      }
    }
    nic.writeRegister(VirtioNetRegisters.status, value: UInt64(value), width: .byte)
    let answer = UInt8(truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.status, width: .byte))
    status = answer | status & VirtioStatusBits.needsReset
    return VirtqueueSet()
  }

  private mutating func writeQueue<NIC: NICDevice & ~Copyable>(
    _ queue: Int, _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth, nic: inout NIC
  ) -> VirtqueueSet {
    switch (offset, width) {
    case (VirtioNetRegisters.queueVector, .word):
      select(queue, nic: &nic)
      nic.writeRegister(VirtioNetRegisters.queueVector, value: value, width: .word)
      queues[queue].vector = UInt16(
        truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.queueVector, width: .word))
    case (VirtioNetRegisters.queueEnable, .word):
      guard value == 1, !queues[queue].isEnabled else { break }
      queues[queue].isEnabled = true
      return VirtqueueSet(queue)
    case (VirtioNetRegisters.queueSize, .word):
      let isAllowed = accepts(VirtioFeatureBits.packedRing) || value & (value &- 1) == 0
      guard !queues[queue].isEnabled, value > 0, value <= UInt64(queues[queue].maximumSize), isAllowed else { break }
      queues[queue].size = UInt16(truncatingIfNeeded: value)
    default:
      guard !queues[queue].isEnabled else { break }
      switch offset & ~7 {
      case VirtioNetRegisters.queueDescriptors: Self.set(&queues[queue].descriptors, offset & 7, value, width)
      case VirtioNetRegisters.queueDriver: Self.set(&queues[queue].driverArea, offset & 7, value, width)
      case VirtioNetRegisters.queueDevice: Self.set(&queues[queue].deviceArea, offset & 7, value, width)
      default: break
      }
    }
    return VirtqueueSet()
  }

  /// Writes a 64-bit field whole, or one of its halves.
  private static func set(_ field: inout UInt64, _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) {
    switch (offset, width) {
    case (0, .quadWord): field = value
    case (0, .doubleWord): field = field & 0xFFFF_FFFF_0000_0000 | value
    case (4, .doubleWord): field = field & 0xFFFF_FFFF | value << 32
    default: break
    }
  }

  // MARK: - Shadow copies

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    reset(nic: &nic)
    var features: UInt64 = 0
    for half: UInt64 in [0, 1] {
      nic.writeRegister(VirtioNetRegisters.deviceFeatureSelect, value: half, width: .doubleWord)
      features |= nic.readRegister(VirtioNetRegisters.deviceFeature, width: .doubleWord) << (32 &* half)
    }
    offered = features & VirtioFeatureBits.served
    if features & VirtioFeatureBits.multipleQueues != 0 {
      pairsOfNIC = Int(nic.readRegister(VirtioNetRegisters.maximumPairs, width: .word))
      if !(1...Self.queuePairs).contains(pairsOfNIC) {
        pairsOfNIC = 1
        offered &= ~VirtioFeatureBits.multipleQueues
      }
    }
    queuesOfNIC = UInt16(
      clamping: min(nic.readRegister(VirtioNetRegisters.queueCount, width: .word), UInt64(Self.queueCount)))
    for queue in 0..<Int(queuesOfNIC) {
      select(queue, nic: &nic)
      queues[queue].maximumSize = UInt16(
        truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.queueSize, width: .word))
      queues[queue].notifyOffset = UInt16(
        truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.queueNotifyOffset, width: .word))
      queues[queue].reset()
    }
    interrupts.enable(3)
    restoreShadows(registers)
  }

  private func select<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    nic.writeRegister(VirtioNetRegisters.queueSelect, value: UInt64(queue), width: .word)
  }

  private mutating func reset<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    nic.writeRegister(VirtioNetRegisters.status, value: 0, width: .byte)
    // It is over when the status reads 0 (§4.1.4.3.2).
    for _ in 0..<1000 where nic.readRegister(VirtioNetRegisters.status, width: .byte) == 0 { break }
    status = 0
    accepted = 0
    deviceFeatureSelect = 0
    driverFeatureSelect = 0
    configurationVector = 0xFFFF
    generation = 0
    queueSelect = 0
    messages = 0
    interrupts.reset()
    interrupts.enable(3)
    for queue in 0..<Self.queueCount { queues[queue].reset() }
  }

  private func restoreShadows(_ registers: RegisterFile) {
    let half = { (value: UInt64, select: UInt32) in select < 2 ? value >> UInt64(32 &* select) & 0xFFFF_FFFF : 0 }
    let queue = Int(queueSelect) < Self.queueCount ? queues[Int(queueSelect)] : QueueRegisters()
    registers.store(UInt64(deviceFeatureSelect), at: VirtioNetRegisters.deviceFeatureSelect)
    registers.store(half(offered, deviceFeatureSelect), at: VirtioNetRegisters.deviceFeature)
    registers.store(UInt64(driverFeatureSelect), at: VirtioNetRegisters.driverFeatureSelect)
    registers.store(half(accepted, driverFeatureSelect), at: VirtioNetRegisters.driverFeature)
    registers.store(UInt64(configurationVector), at: VirtioNetRegisters.configurationVector, width: .word)
    registers.store(UInt64(queuesOfNIC), at: VirtioNetRegisters.queueCount, width: .word)
    registers.store(UInt64(status), at: VirtioNetRegisters.status, width: .byte)
    registers.store(UInt64(generation), at: VirtioNetRegisters.generation, width: .byte)
    registers.store(UInt64(queueSelect), at: VirtioNetRegisters.queueSelect, width: .word)
    registers.store(UInt64(queue.size), at: VirtioNetRegisters.queueSize, width: .word)
    registers.store(UInt64(queue.vector), at: VirtioNetRegisters.queueVector, width: .word)
    registers.store(queue.isEnabled ? 1 : 0, at: VirtioNetRegisters.queueEnable, width: .word)
    registers.store(UInt64(queue.notifyOffset), at: VirtioNetRegisters.queueNotifyOffset, width: .word)
    registers.store(queue.descriptors, at: VirtioNetRegisters.queueDescriptors, width: .quadWord)
    registers.store(queue.driverArea, at: VirtioNetRegisters.queueDriver, width: .quadWord)
    registers.store(queue.deviceArea, at: VirtioNetRegisters.queueDevice, width: .quadWord)
    // Queue notification data and queue reset are not offered.
    registers.store(0, at: 0x38)
  }

  private mutating func raise(_ bit: UInt32, _ vector: UInt16, _ registers: RegisterFile) {
    interrupts.add(cause: bit)
    registers.set(bit, at: VirtioNetRegisters.interruptStatus)
    if vector < 32 { messages |= 1 << UInt32(vector) }
  }

  // MARK: - The real NIC

  public func maximumSize<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) -> UInt32 {
    queue < Self.queueCount ? UInt32(queues[queue].maximumSize) : 0
  }

  public mutating func startQueue<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: ProgrammedVirtqueue, nic: inout NIC
  ) {
    select(queue, nic: &nic)
    nic.writeRegister(VirtioNetRegisters.queueSize, value: UInt64(twin.size), width: .word)
    Self.write(twin.descriptors, at: VirtioNetRegisters.queueDescriptors, nic: &nic)
    Self.write(twin.driverArea, at: VirtioNetRegisters.queueDriver, nic: &nic)
    Self.write(twin.deviceArea, at: VirtioNetRegisters.queueDevice, nic: &nic)
    nic.writeRegister(VirtioNetRegisters.queueEnable, value: 1, width: .word)
  }

  private static func write<NIC: NICDevice & ~Copyable>(_ address: BusAddress, at offset: UInt32, nic: inout NIC) {
    nic.writeRegister(offset, value: address.rawValue & 0xFFFF_FFFF, width: .doubleWord)
    nic.writeRegister(offset &+ 4, value: address.rawValue >> 32, width: .doubleWord)
  }

  public func notify<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    guard queue < Self.queueCount else { return }
    let offset = UInt32(queues[queue].notifyOffset) &* VirtioNetRegisters.notificationMultiplier
    guard offset < VirtioNetRegisters.notificationLength else { return }
    nic.writeRegister(VirtioNetRegisters.notification &+ offset, value: UInt64(queue), width: .word)
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    let cause = nic.readRegister(VirtioNetRegisters.interruptStatus, width: .byte)
    if cause & 2 != 0 {
      generation = UInt8(truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.generation, width: .byte))
      status |=
        UInt8(truncatingIfNeeded: nic.readRegister(VirtioNetRegisters.status, width: .byte))
        & VirtioStatusBits
        .needsReset
      restoreShadows(registers)
      raise(2, configurationVector, registers)
    }
    return cause != 0
  }

  // MARK: - What the OS hears

  public mutating func noteUsed(_ queue: Int, registers: RegisterFile) {
    guard queue < Self.queueCount else { return }
    raise(1, queues[queue].vector, registers)
  }

  public mutating func noteBroken(registers: RegisterFile) {
    status |= VirtioStatusBits.needsReset
    generation &+= 1
    restoreShadows(registers)
    raise(2, configurationVector, registers)
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    defer { messages = 0 }
    if delivery == .messageTable { return NICInterrupts(messages: messages) }
    return interrupts.takeInterrupts(at: now)
  }
}
