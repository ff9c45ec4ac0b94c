public import AllyHW

/// What an 82540EM would not count, or would fail over: errors that software or the bus put before the model.
@frozen
public struct E1000Faults: Sendable, BitwiseCopyable, Equatable {
  /// Descriptor reads that the bus refused; the ring stands still for this run.
  public var descriptorReads: UInt64 = 0
  /// Descriptor write-backs that the bus refused.
  public var descriptorWrites: UInt64 = 0
  /// Reads or writes of frame data that the bus refused.
  public var buffers: UInt64 = 0
  /// Runs that found a head or tail pointer outside its ring.
  public var badRings: UInt64 = 0
  /// Frames that software posted and that were not sent: longer than a frame may be, or with offload offsets outside.
  public var unsendableFrames: UInt64 = 0
  /// Frames that found no room on the wire.
  public var wireOverruns: UInt64 = 0
  /// Frames whose destination had room for a part only: a buffer in the middle was refused.
  public var cutFrames: UInt64 = 0

  @inlinable
  public init() {}
}

/// A model of the Intel 82540EM Gigabit Ethernet controller, written from its manual (PCI/PCI-X Family of Gigabit
/// Ethernet Controllers Software Developer's Manual, 317453; "SDM" below).
///
/// Registers, EEPROM, PHY, filters, statistics, legacy and extended descriptors with checksum and segmentation offload,
/// and the interrupt pin. Where it differs from the chip:
///
/// - There is no clock. Delay timers (RDTR, RADV, TIDV, TADV, ITR) have always expired at the end of a run.
/// - There is no packet buffer between wire and rings: a frame that finds too few descriptors is lost at once (RNBC, MPC
///   and RXO), or, on a paced wire, waits there.
/// - Frames shorter than 64 bytes are received: capture files hold frames as they were before the sender padded them.
///   Empty ones are not.
/// - Frames may be longer than 16,384 bytes when the owner says so, as capture files hold frames that some host's
///   offloads put together. Such a frame fills more descriptors, each as the manual has it.
/// - A bus error completes the descriptor with the RXE error and length 0 and loses the rest of its frame; the chip would
///   stop until it is reset.
public struct E1000Model: DeviceModel, ~Copyable {
  /// The length of the register BAR, in bytes.
  public static var registerSpace: UInt64 { 0x2_0000 }
  /// The longest frame that the chip takes, in bytes with its frame check sequence (SDM, RCTL.LPE).
  public static var datasheetFrameLength: Int { 16_384 }

  public let requester: RequesterID
  /// The longest frame, in bytes with its frame check sequence, that is received while RCTL.LPE is set, and that is sent.
  public let maximumFrameLength: Int
  public let macAddress: [UInt8]
  public internal(set) var faults = E1000Faults()

  /// The registers without behaviour of their own, by offset / 4.
  var registers: [UInt32]
  var control: UInt32 = Self.controlAfterReset
  var cause: E1000Cause = []
  var mask: E1000Cause = []
  var eeprom: E1000EEPROM
  var eepromRead: UInt32 = 0
  var phy = E1000PHY()
  var mdiControl: UInt32 = 1 << 28
  var statistics = E1000Statistics()
  var transmission: E1000Transmission
  /// IOADDR: the register that the I/O BAR's data window shows.
  var portAddress: UInt32 = 0
  let frameCheckSequence = FrameCheckSequence()

  /// - Parameters:
  ///   - requester: the requester id of the model's DMA.
  ///   - macAddress: six bytes, which the EEPROM holds.
  ///   - maximumFrameLength: see ``maximumFrameLength``.
  public init(
    requester: RequesterID, macAddress: [UInt8], maximumFrameLength: Int = Self.datasheetFrameLength
  ) {
    precondition(macAddress.count == 6, "a MAC address has six bytes")
    precondition(maximumFrameLength >= 1522, "an Ethernet NIC takes frames of 1,522 bytes")
    self.requester = requester
    self.macAddress = macAddress
    self.maximumFrameLength = maximumFrameLength
    self.registers = [UInt32](repeating: 0, count: Int(Self.registerSpace) / 4)
    self.transmission = E1000Transmission(maximumFrameLength: maximumFrameLength)
    self.eeprom = E1000EEPROM(
      macAddress: macAddress,
      function: E1000EEPROM.PCIFunctionIDs(
        vendor: Self.vendorID, device: Self.deviceID, subsystemVendor: Self.vendorID, subsystem: Self.subsystemID))
    reset()
  }

  private static var vendorID: UInt16 { 0x8086 }
  private static var deviceID: UInt16 { 0x100E }
  private static var subsystemID: UInt16 { 0x001E }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: Self.vendorID, deviceID: Self.deviceID, revision: 3, classCode: 0x02_0000,
      subsystemVendorID: Self.vendorID, subsystemID: Self.subsystemID, interruptPin: 1,
      baseAddressRegisters: [
        BaseAddressRegister(kind: .memory32, length: Self.registerSpace),
        BaseAddressRegister(kind: .io, length: Self.portSpace),
      ],
      capabilities: [PCICapability(kind: .powerManagement, offset: 0xDC)])
  }

  public var assertsInterrupt: Bool { !cause.isDisjoint(with: mask) }

  /// Plugs the cable in or out. Without a link nothing is sent or received.
  public var isLinkUp: Bool {
    get { phy.isLinkUp }
    set {
      guard newValue != phy.isLinkUp else { return }
      phy.isLinkUp = newValue
      cause.insert(.linkStatusChange)
    }
  }

  @discardableResult
  public mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard isLinkUp else { return 0 }
    let sent = transmit(on: &bus, wire: &wire, frames: frames)
    let received = receive(on: &bus, wire: &wire, frames: frames)
    return sent + received
  }

  // MARK: Reset

  private static var controlAfterReset: UInt32 { 0x0000_0241 }

  /// A hardware reset: every register has its initial value, statistics included, and the PHY is reset.
  public mutating func reset() {
    statistics = E1000Statistics()
    portAddress = 0
    phy.reset()
    resetByControl()
  }

  /// What CTRL.RST does (SDM chapter 14): all but the PCI configuration, the PHY and the statistics.
  mutating func resetByControl() {
    for index in registers.indices { registers[index] = 0 }
    control = Self.controlAfterReset
    cause = []
    mask = []
    eepromRead = 0
    mdiControl = 1 << 28
    transmission.reset()
    // 48 KiB of the packet buffer for receiving, 16 KiB for sending (SDM, PBA).
    self[E1000Register.packetBufferAllocation] = 0x30
    self[E1000Register.vlanEtherType] = 0x8100
    // The first receive address comes from the EEPROM (SDM, RAL and RAH).
    self[E1000Register.receiveAddress] = UInt32(eeprom.words[0]) | UInt32(eeprom.words[1]) << 16
    self[E1000Register.receiveAddress + 4] = UInt32(eeprom.words[2]) | 1 << 31
  }

  /// A register without behaviour of its own.
  subscript(_ offset: UInt32) -> UInt32 {
    get { registers[Int(offset >> 2)] }
    set { registers[Int(offset >> 2)] = newValue }
  }
}

// MARK: - Registers

extension E1000Model {
  /// Registers are 32 bits wide, and the manual asks for 32-bit accesses (SDM §13.2). A narrower read gives its part of
  /// the register; a wider one reads two.
  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard UInt64(offset) + width.byteCount <= Self.registerSpace else { return 0 }
    let shift = UInt64(offset & 3) * 8
    var value = UInt64(read(offset & ~3)) >> shift
    if UInt64(offset & 3) + width.byteCount > 4, UInt64(offset & ~3) + 8 <= Self.registerSpace {
      value |= UInt64(read(offset & ~3 + 4)) << (32 - shift)
    }
    return value & width.mask
  }

  /// A write of 32 bits, or of 64 to two registers. Others are ignored: what the chip does is not defined.
  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard offset & 3 == 0, UInt64(offset) + width.byteCount <= Self.registerSpace else { return }
    switch width {
    case .doubleWord: write(offset, UInt32(truncatingIfNeeded: value))
    case .quadWord:
      write(offset, UInt32(truncatingIfNeeded: value))
      write(offset + 4, UInt32(truncatingIfNeeded: value >> 32))
    case .byte, .word: return
    }
  }

  private mutating func read(_ offset: UInt32) -> UInt32 {
    switch offset {
    case E1000Register.control, E1000Register.controlDuplicate: return control
    // Full duplex and 1000 Mbit/s, detected and used; link up.
    case E1000Register.status: return phy.isLinkUp ? 0x0000_0283 : 0x0000_0281
    case E1000Register.eepromControl: return eeprom.control
    case E1000Register.eepromRead: return eepromRead
    case E1000Register.mdiControl: return mdiControl
    case E1000Register.interruptCauseRead:
      defer { cause = [] }
      return cause.rawValue
    case E1000Register.interruptMaskSet: return mask.rawValue
    // PBA's upper half is what the lower leaves of 64 KiB.
    case E1000Register.packetBufferAllocation:
      let receive = self[offset]
      return receive | (receive < 64 ? 64 - receive : 0) << 16
    case E1000Register.statistics..<E1000Register.statisticsEnd:
      return statistics.read(Int(offset - E1000Register.statistics))
    default: return self[offset]
    }
  }

  private mutating func write(_ offset: UInt32, _ value: UInt32) {
    switch offset {
    case E1000Register.control, E1000Register.controlDuplicate: writeControl(value)
    case E1000Register.eepromControl: eeprom.writeControl(value)
    case E1000Register.eepromRead: eepromRead = eeprom.read(value)
    case E1000Register.mdiControl:
      mdiControl = phy.access(value & 0x2FFF_FFFF)
      if value >> 29 & 1 == 1 { cause.insert(.mdiAccessComplete) }
    case E1000Register.interruptCauseRead: cause.subtract(E1000Cause(rawValue: value))
    case E1000Register.interruptCauseSet:
      cause.formUnion(E1000Cause(rawValue: value).intersection(.all))
    case E1000Register.interruptMaskSet: mask.formUnion(E1000Cause(rawValue: value).intersection(.all))
    case E1000Register.interruptMaskClear: mask.subtract(E1000Cause(rawValue: value))
    default: self[offset] = value & E1000Register.storedBits(offset)
    }
  }

  private mutating func writeControl(_ value: UInt32) {
    let reset: UInt32 = 1 << 26
    let physicalReset: UInt32 = 1 << 31
    if value & physicalReset != 0 {
      phy.reset()
    }
    if value & reset != 0 { return resetByControl() }
    control = value & ~physicalReset
  }
}

/// A descriptor ring as its four registers describe it.
struct E1000Ring {
  var base: UInt64
  /// Descriptors, a multiple of 8; 0 when the length register is 0.
  var count: Int
  var head: Int
  var tail: Int

  /// The descriptors that software has posted and the device has not used.
  var available: Int { tail >= head ? tail - head : tail + count - head }

  /// A descriptor's place.
  func address(_ index: Int) -> BusAddress { BusAddress(base &+ UInt64(index) &* 16) }
}

extension E1000Model {
  /// The ring whose base register is at `offset`, or nil when it has no descriptors or its pointers lie outside; the
  /// latter is counted. The registers of both rings have the same layout.
  mutating func ring(at offset: UInt32) -> E1000Ring? {
    let ring = E1000Ring(
      base: UInt64(self[offset + 4]) << 32 | UInt64(self[offset]), count: Int(self[offset + 8]) / 16,
      head: Int(self[offset + 0x10]), tail: Int(self[offset + 0x18]))
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
