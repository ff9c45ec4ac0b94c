import AllyHW

/// What the gigabit controllers of Intel have in common: plain registers, PHY, statistics, filters, rings and the two data
/// paths. What tells them apart (interrupts, queues, descriptor formats, NVM access) is in each model.
struct IntelController {
  /// Which transmit descriptors a controller knows besides the legacy ones.
  enum TransmitFormat {
    /// TCP/IP context and data descriptors, DTYP 0 and 1: 8254x and 82574.
    case extended
    /// Advanced context and data descriptors, DTYP 2 and 3: 82575 and later.
    case advanced
  }

  let requester: RequesterID
  /// The longest frame, in bytes with its frame check sequence.
  let maximumFrameLength: Int
  let transmitFormat: TransmitFormat
  /// The registers without behaviour of their own, by offset / 4.
  private var registers: [UInt32]
  /// What of them a record does not have yet.
  private var changes = ChangedBlocks()
  var control: UInt32 = 0
  var phy: IntelPHY
  var mdiControl: UInt32 = 1 << 28
  var statistics: IntelStatistics
  /// What the transmitter keeps, by queue.
  var transmissions: [IntelTransmission]
  /// The frame as it goes out.
  var outgoing: [UInt8]
  /// Frames and octets that went to the wire since somebody set this to zero; wrapping.
  var onWire: (frames: UInt32, octets: UInt32) = (0, 0)
  var faults = IntelFaults()
  /// Frame checksums, in a controller that has them.
  var checksums: IntelFrameChecksums?
  /// IOADDR: the register that the I/O BAR's data window shows.
  var portAddress: UInt32 = 0
  let frameCheckSequence = FrameCheckSequence()

  init(
    requester: RequesterID, maximumFrameLength: Int, registerSpace: UInt64, transmitQueues: Int,
    transmitFormat: TransmitFormat, phyIdentifier: UInt32, statisticsRegisters: Int
  ) {
    precondition(maximumFrameLength >= 1522, "an Ethernet NIC takes frames of 1,522 bytes")
    self.requester = requester
    self.maximumFrameLength = maximumFrameLength
    self.transmitFormat = transmitFormat
    registers = [UInt32](repeating: 0, count: Int(registerSpace) / 4)
    phy = IntelPHY(identifier: phyIdentifier)
    statistics = IntelStatistics(count: statisticsRegisters)
    transmissions = [IntelTransmission](repeating: IntelTransmission(), count: transmitQueues)
    outgoing = []
  }

  /// A register without behaviour of its own.
  subscript(_ offset: UInt32) -> UInt32 {
    get { registers[Int(offset >> 2)] }
    set {
      registers[Int(offset >> 2)] = newValue
      changes.note(Int(offset >> 2))
    }
  }

  /// What both kinds of reset do to the common part; a hardware reset does more.
  mutating func resetByControl(control: UInt32, macAddress: [UInt8]) {
    for index in registers.indices { registers[index] = 0 }
    changes.noteAll()
    self.control = control
    checksums?.isEnabled = false
    mdiControl = 1 << 28
    for queue in transmissions.indices { transmissions[queue].reset() }
    self[IntelRegister.vlanEtherType] = 0x8100
    // The first receive address comes from the NVM (SDM, RAL and RAH).
    let bytes = macAddress.map { UInt32($0) }
    self[IntelRegister.receiveAddress] = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24
    self[IntelRegister.receiveAddress + 4] = bytes[4] | bytes[5] << 8 | 1 << 31
  }

  mutating func hardwareReset() {
    statistics.reset()
    portAddress = 0
    phy.reset()
  }

  /// What changes of all this; see ``PersistentModel/exchange(with:)``.
  mutating func exchange(with record: inout StateRecord) {
    record.exchange(&registers, &changes)
    record.exchange(&control)
    record.exchange(&phy)
    record.exchange(&mdiControl)
    statistics.exchange(with: &record)
    for queue in transmissions.indices { transmissions[queue].exchange(with: &record) }
    record.exchange(&onWire)
    record.exchange(&faults)
    record.exchange(&portAddress)
    guard var checksums else { return }
    record.exchange(&checksums.isEnabled)
    self.checksums = checksums
  }

  /// CTRL.VME: VLAN tags are taken out of received frames and put into sent ones.
  var isVLANEnabled: Bool { control >> 30 & 1 == 1 }

  /// A write of MDIC; true when software wants an interrupt for its end.
  mutating func accessPHY(_ value: UInt32) -> Bool {
    mdiControl = phy.access(value & 0x2FFF_FFFF)
    return value >> 29 & 1 == 1
  }
}

/// A descriptor ring as its four registers describe it.
struct IntelRing {
  /// The offset of the ring's first register.
  var register: UInt32
  var base: UInt64
  /// Descriptors, a multiple of 8; 0 when the length register is 0.
  var count: Int
  var head: Int
  var tail: Int
  /// Bytes of a descriptor.
  var descriptorLength: UInt64

  /// The descriptors that software has posted and the device has not used.
  var available: Int { tail >= head ? tail - head : tail + count - head }

  /// A descriptor's place.
  func address(_ index: Int) -> BusAddress { BusAddress(base &+ UInt64(index) &* descriptorLength) }
}

extension IntelController {
  /// The ring whose base register is at `offset`, or nil when it has no descriptors or its pointers lie outside; the
  /// latter is counted. The registers of all rings have the same layout.
  mutating func ring(at offset: UInt32) -> IntelRing? {
    let ring = IntelRing(
      register: offset, base: UInt64(self[offset + 4]) << 32 | UInt64(self[offset]),
      count: Int(self[offset + 8]) / Int(descriptorLength),
      head: Int(self[offset + 0x10]), tail: Int(self[offset + 0x18]),
      descriptorLength: descriptorLength)
    guard ring.count > 0 else { return nil }
    guard ring.head < ring.count, ring.tail < ring.count else {
      faults.badRings &+= 1
      return nil
    }
    return ring
  }

  /// Reads a descriptor; nil, counted, when the bus refuses.
  mutating func readDescriptor<Bus: DMABus & ~Copyable>(
    _ address: BusAddress, on bus: inout Bus
  ) -> (UInt64, UInt64)? {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    var span = bytes.mutableSpan
    guard bus.readMemory(address, into: &span, range: 0..<16, requester: requester) else {
      faults.descriptorReads &+= 1
      return nil
    }
    var first: UInt64 = 0
    var second: UInt64 = 0
    for index in 0..<8 {
      first |= UInt64(bytes[index]) << UInt64(8 * index)
      second |= UInt64(bytes[8 + index]) << UInt64(8 * index)
    }
    return (first, second)
  }
}
