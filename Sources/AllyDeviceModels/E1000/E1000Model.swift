public import AllyHW

/// A model of the Intel 82540EM Gigabit Ethernet controller, written from its manual (PCI/PCI-X Family of Gigabit
/// Ethernet Controllers Software Developer's Manual, 317453; "SDM" below).
///
/// Registers, EEPROM, PHY, filters, statistics, legacy and extended descriptors with checksum and segmentation offload,
/// and the interrupt pin. Where it differs from the chip:
///
/// - Delay timers (RDTR, RADV, TIDV, TADV) have always expired at the end of a run. Throttling (ITR) needs a clock: see
///   ``advance(to:)``.
/// - The packet checksum of a receive descriptor is 0.
/// - There is no packet buffer between wire and rings: a frame that finds too few descriptors is lost at once (RNBC, MPC
///   and RXO), or, on a paced wire, waits there.
/// - Frames shorter than 64 bytes are received: capture files hold frames as they were before the sender padded them.
///   Empty ones are not.
/// - Frames may be longer than 16,384 bytes when the owner says so, as capture files hold frames that some host's
///   offloads put together. Such a frame fills more descriptors, each as the manual has it.
/// - With a checksum key it has what the paper (§4.3) proposes as an enhancement, and no chip has: 64-bit checksums (SipHash-2-4)
///   in descriptors of 32 bytes, computed of received frames and verified of sent ones. Off after a reset; software that
///   knows nothing of it finds the 82540EM.
/// - A bus error completes the descriptor with the RXE error and length 0 and loses the rest of its frame; the chip would
///   stop until it is reset.
public struct E1000Model: DeviceModel, ~Copyable {
  /// The length of the register BAR, in bytes.
  public static var registerSpace: UInt64 { 0x2_0000 }
  /// The longest frame that the chip takes, in bytes with its frame check sequence (SDM, RCTL.LPE).
  public static var datasheetFrameLength: Int { 16_384 }

  public let macAddress: [UInt8]
  var controller: IntelController
  var cause: IntelCause = []
  var mask: IntelCause = []
  private var pin = InterruptPin()
  var eeprom: E1000EEPROM
  var eepromRead: UInt32 = 0

  /// - Parameters:
  ///   - requester: the requester id of the model's DMA.
  ///   - macAddress: six bytes, which the EEPROM holds.
  ///   - maximumFrameLength: see ``maximumFrameLength``.
  public init(
    requester: RequesterID, macAddress: [UInt8], maximumFrameLength: Int = Self.datasheetFrameLength
  ) {
    self.init(
      requester: requester, macAddress: macAddress, maximumFrameLength: maximumFrameLength, checksumKey: nil)
  }

  /// A NIC with frame checksums, or without.
  ///
  /// - Parameters:
  ///   - requester: the requester id of the model's DMA.
  ///   - macAddress: six bytes, which the EEPROM holds.
  ///   - maximumFrameLength: see ``maximumFrameLength``.
  ///   - checksumKey: the key of the frame checksums, of a NIC that has them: 16 bytes, in two halves of which each has its
  ///     first byte in bits 7–0. Hardware would draw it; whoever needs secrecy draws it here.
  public init(
    requester: RequesterID, macAddress: [UInt8], maximumFrameLength: Int = Self.datasheetFrameLength,
    checksumKey: (UInt64, UInt64)?
  ) {
    precondition(macAddress.count == 6, "a MAC address has six bytes")
    self.macAddress = macAddress
    controller = IntelController(
      requester: requester, maximumFrameLength: maximumFrameLength, registerSpace: Self.registerSpace,
      transmitQueues: 1, transmitFormat: .extended, phyIdentifier: 0x0141_0C20, statisticsRegisters: 64)
    if let checksumKey { controller.checksums = IntelFrameChecksums(key: checksumKey) }
    eeprom = E1000EEPROM(
      IntelNVM(
        macAddress: macAddress,
        function: IntelNVM.PCIFunctionIDs(
          vendor: Self.vendorID, device: Self.deviceID, subsystemVendor: Self.vendorID, subsystem: Self.subsystemID),
        // Initialization Control Word 1: the signature in bits 15–14 makes the rest valid; bits 1 and 0 load the ids.
        contents: [0x0A: 0x4003, 0x0F: 0x4000], fill: 0xFFFF))
    reset()
  }

  public var requester: RequesterID { controller.requester }
  /// The longest frame, in bytes with its frame check sequence, that is received while RCTL.LPE is set, and that is sent.
  public var maximumFrameLength: Int { controller.maximumFrameLength }
  public var faults: IntelFaults { controller.faults }

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

  private var wantsInterrupt: Bool { !cause.isDisjoint(with: mask) }
  /// ITR, in nanoseconds.
  private var pinInterval: UInt64 { UInt64(controller[IntelRegister.interruptThrottling]) * 256 }

  public var assertsInterrupt: Bool { pin.level(isWanted: wantsInterrupt, interval: pinInterval) }

  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    let hasRisen = pin.update(isWanted: wantsInterrupt, interval: pinInterval)
    return NICInterrupts(isPinAsserted: assertsInterrupt, messages: hasRisen ? 1 : 0)
  }

  public mutating func advance(to now: UInt64) { pin.now = now }

  public var nextTimer: UInt64? { pin.nextRise(isWanted: wantsInterrupt, interval: pinInterval) }

  /// Plugs the cable in or out. Without a link nothing is sent or received.
  public var isLinkUp: Bool {
    get { controller.phy.isLinkUp }
    set {
      guard newValue != controller.phy.isLinkUp else { return }
      controller.phy.isLinkUp = newValue
      cause.insert(.linkStatusChange)
    }
  }

  @discardableResult
  public mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard isLinkUp else { return 0 }
    var sent = 0
    if controller.isTransmitEnabled {
      let pass = controller.transmit(
        queue: 0, ring: IntelRegister.transmitBaseLow, on: &bus, wire: &wire, frames: frames)
      cause.formUnion(pass.causes)
      sent = pass.sent
    }
    let isPaced = wire.isPaced
    return sent + wire.offer(atMost: frames) { frame in receive(frame, on: &bus, isPaced: isPaced) }
  }

  // MARK: Reset

  private static var controlAfterReset: UInt32 { 0x0000_0241 }

  /// A hardware reset: every register has its initial value, statistics included, and the PHY is reset.
  public mutating func reset() {
    controller.hardwareReset()
    resetByControl()
  }

  /// What CTRL.RST does (SDM chapter 14): all but the PCI configuration, the PHY and the statistics.
  mutating func resetByControl() {
    controller.resetByControl(control: Self.controlAfterReset, macAddress: macAddress)
    cause = []
    mask = []
    pin.reset()
    eepromRead = 0
    // 48 KiB of the packet buffer for receiving, 16 KiB for sending (SDM, PBA).
    controller[IntelRegister.packetBufferAllocation] = 0x30
  }
}

// MARK: - Surviving

extension E1000Model: PersistentModel {
  public mutating func exchange(with record: inout StateRecord) {
    controller.exchange(with: &record)
    record.exchange(&cause)
    record.exchange(&mask)
    record.exchange(&pin)
    eeprom.exchange(with: &record)
    record.exchange(&eepromRead)
  }
}

// MARK: - Receiving

extension E1000Model {
  /// One frame from the wire to the receive ring.
  private mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, on bus: inout Bus, isPaced: Bool
  ) -> FrameReception {
    let filter: IntelReceiveFilter
    let tag: UInt16?
    switch controller.admit(frame, isPaced: isPaced) {
    case .refused(let reception): return reception
    case .admitted(let itsFilter, let itsTag): (filter, tag) = (itsFilter, itsTag)
    }
    var report = IntelReceiveReport()
    // The 82540EM does not look into IPv6 (SDM §3.2.9).
    let layers = IntelFrameLayers(frame, isTagged: tag != nil)
    controller.checkChecksums(frame, layers?.isIPv4 == true ? layers : nil, report: &report)
    // CTRL.VME: the tag goes to the descriptor instead of memory (SDM chapter 9).
    let delivery = controller.deliver(
      frame, tag: tag, report: report,
      to: IntelReceiveTarget(
        ring: IntelRegister.receiveBaseLow, bufferSize: filter.control.bufferSize, format: .legacy,
        stripsFrameCheckSequence: filter.control.contains(.stripFrameCheckSequence),
        stripsTag: controller.isVLANEnabled),
      isPaced: isPaced, on: &bus)
    cause.formUnion(controller.causes(of: delivery, frameLength: frame.count))
    return delivery.reception
  }
}

// MARK: - Registers

extension E1000Model: IntelRegisterSpace {
  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 { read(offset, width: width) }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    write(offset, value: value, width: width)
  }

  mutating func read(_ offset: UInt32) -> UInt32 {
    switch offset {
    case IntelRegister.control, IntelRegister.controlDuplicate: return controller.control
    // Full duplex and 1000 Mbit/s, detected and used; link up.
    case IntelRegister.status: return isLinkUp ? 0x0000_0283 : 0x0000_0281
    case IntelRegister.eepromControl: return eeprom.control
    case IntelRegister.eepromRead: return eepromRead
    case IntelRegister.mdiControl: return controller.mdiControl
    case IntelRegister.interruptCauseRead:
      defer { cause = [] }
      return cause.rawValue
    case IntelRegister.interruptMaskSet: return mask.rawValue
    // PBA's upper half is what the lower leaves of 64 KiB.
    case IntelRegister.packetBufferAllocation:
      let receive = controller[offset]
      return receive | (receive < 64 ? 64 - receive : 0) << 16
    case IntelRegister.statistics..<IntelRegister.statisticsEnd:
      return controller.statistics.read(Int(offset - IntelRegister.statistics))
    case IntelFrameChecksums.Register.control..<IntelFrameChecksums.Register.end:
      return controller.checksums?.read(offset) ?? 0
    default: return controller[offset]
    }
  }

  mutating func write(_ offset: UInt32, _ value: UInt32) {
    switch offset {
    case IntelRegister.control, IntelRegister.controlDuplicate: writeControl(value)
    case IntelRegister.eepromControl: eeprom.writeControl(value)
    case IntelRegister.eepromRead: eepromRead = eeprom.read(value)
    case IntelRegister.mdiControl: if controller.accessPHY(value) { cause.insert(.mdiAccessComplete) }
    case IntelRegister.interruptCauseRead: cause.subtract(IntelCause(rawValue: value))
    case IntelRegister.interruptCauseSet:
      cause.formUnion(IntelCause(rawValue: value).intersection(.all))
    case IntelRegister.interruptMaskSet: mask.formUnion(IntelCause(rawValue: value).intersection(.all))
    case IntelRegister.interruptMaskClear: mask.subtract(IntelCause(rawValue: value))
    case IntelFrameChecksums.Register.control..<IntelFrameChecksums.Register.end:
      controller.checksums?.write(offset, value)
    default: controller[offset] = value & IntelRegister.storedBits(offset)
    }
  }

  private mutating func writeControl(_ value: UInt32) {
    if value & IntelRegister.ControlBit.physicalReset != 0 { controller.phy.reset() }
    if value & IntelRegister.ControlBit.reset != 0 { return resetByControl() }
    controller.control = value & ~IntelRegister.ControlBit.physicalReset
  }
}
