public import AllyHW

/// A model of the Intel 82576 Gigabit Ethernet controller, one port of it, written from its datasheet (Intel 82576EB Gigabit
/// Ethernet Controller Datasheet, revision 2.63).
///
/// 16 receive and 16 transmit queues, legacy and advanced descriptors, receive-side scaling, pools, checksum and segmentation
/// offload, NVM, PHY, filters, statistics, 25 interrupt vectors with auto-clear, auto-mask and throttling, and eight virtual
/// functions with two queues, three vectors and a mailbox each; see ``IGBVirtualFunctionModel``. Where it differs from the
/// chip:
///
/// - Throttling (EITR) needs a clock: see ``advance(to:)``. There is no packet buffer, and short and long frames are treated
///   as in the ``E1000Model``.
/// - Header split, head write-back, direct cache access, LinkSec, IPsec, wake-up, manageability, time stamps and rate limits
///   are not there; their registers keep what is written.
/// - Link and NVM are ready at once, and all of the flash's address space reads as empty.
public struct IGBModel: DeviceModel, ~Copyable {
  /// The length of the register BAR, in bytes.
  public static var registerSpace: UInt64 { 0x2_0000 }
  /// The longest frame that the chip takes, in bytes with its frame check sequence (§8.10.5, RLPML).
  public static var datasheetFrameLength: Int { 16_383 }
  /// How many receive and transmit queues there are, each.
  static var queues: Int { 16 }
  /// How many pools of queues, and virtual functions.
  static var pools: Int { 8 }
  /// How many MSI-X messages the physical function has, as the NVM of stock cards says (§6.2.23).
  static var messages: Int { 10 }

  public let macAddress: [UInt8]
  var controller: IntelController
  var interrupts = IGBInterrupts()
  var mailboxes = IGBMailboxes()
  let nvm: IntelNVM
  var eepromControl: UInt32 = 0
  var eepromRead: UInt32 = 0
  /// VTIVAR and VTIVAR_MISC of each virtual function, as it wrote them.
  var functionVectors = InlineArray<8, UInt32>(repeating: 0)
  var mailboxVectors = InlineArray<8, UInt32>(repeating: 0)
  /// What goes between the functions while DTXSWC says so; made when it is first needed.
  var fabric: Wire<Int>?

  /// - Parameters:
  ///   - requester: the requester id of the model's DMA.
  ///   - macAddress: six bytes, which the NVM holds.
  ///   - maximumFrameLength: see ``maximumFrameLength``.
  public init(
    requester: RequesterID, macAddress: [UInt8], maximumFrameLength: Int = Self.datasheetFrameLength
  ) {
    precondition(macAddress.count == 6, "a MAC address has six bytes")
    self.macAddress = macAddress
    controller = IntelController(
      requester: requester, maximumFrameLength: maximumFrameLength, registerSpace: Self.registerSpace,
      transmitQueues: Self.queues, transmitFormat: .advanced, phyIdentifier: 0x02A8_0391,
      statisticsRegisters: IGBRegister.statisticsCount)
    nvm = IntelNVM(
      macAddress: macAddress,
      function: IntelNVM.PCIFunctionIDs(
        vendor: Self.vendorID, device: Self.deviceID, subsystemVendor: Self.vendorID, subsystem: Self.subsystemID),
      contents: [0x0A: 0x4080, 0x0F: 0x4002, 0x24: 0x4000, 0x37: 0xFFFF], fill: 0)
    fabric = nil
    reset()
  }

  static var vendorID: UInt16 { 0x8086 }
  private static var deviceID: UInt16 { 0x10C9 }
  static var subsystemID: UInt16 { 0xA03C }

  public var requester: RequesterID { controller.requester }
  /// The longest frame, in bytes with its frame check sequence, that is received while RCTL.LPE is set and RLPML is at its
  /// maximum, and that is sent.
  public var maximumFrameLength: Int { controller.maximumFrameLength }
  public var faults: IntelFaults { controller.faults }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: Self.vendorID, deviceID: Self.deviceID, revision: 1, classCode: 0x02_0000,
      subsystemVendorID: Self.vendorID, subsystemID: Self.subsystemID, interruptPin: 1,
      baseAddressRegisters: [
        BaseAddressRegister(kind: .memory32, length: Self.registerSpace),
        // The flash.
        BaseAddressRegister(kind: .memory32, length: 0x2_0000),
        BaseAddressRegister(kind: .io, length: Self.portSpace),
        BaseAddressRegister(kind: .memory32, length: 0x4000),
      ],
      capabilities: [
        PCICapability(kind: .powerManagement, offset: 0x40),
        PCICapability(kind: .messageSignaledInterrupts, offset: 0x50),
        PCICapability(kind: .messageSignaledInterruptsExtended, offset: 0x70),
        PCICapability(kind: .pciExpress, offset: 0xA0),
      ],
      msix: MSIXLayout(vectors: Self.messages, register: 3, tableOffset: 0, pendingOffset: 0x2000))
  }

  /// Plugs the cable in or out. Without a link nothing is sent or received.
  public var isLinkUp: Bool {
    get { controller.phy.isLinkUp }
    set {
      guard newValue != controller.phy.isLinkUp else { return }
      controller.phy.isLinkUp = newValue
      interrupts.raise(.linkStatusChange)
    }
  }

  @discardableResult
  public mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard isLinkUp else { return 0 }
    let sent = transmit(on: &bus, wire: &wire, frames: frames)
    let isPaced = wire.isPaced
    return sent + wire.offer(atMost: frames) { frame in receive(frame, on: &bus, isPaced: isPaced) }
  }

  // MARK: Interrupts

  public var assertsInterrupt: Bool { interrupts.isPinAsserted }

  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    let taken = interrupts.take(1 << UInt32(Self.messages) - 1)
    for _ in 0..<taken.count { controller.statistics.count(.interruptsAsserted) }
    return taken
  }

  public mutating func advance(to now: UInt64) { interrupts.advance(to: now) }

  public var nextTimer: UInt64? { interrupts.nextTimer(1 << UInt32(Self.messages) - 1) }

  // MARK: Reset

  /// A hardware reset: every register has its initial value, statistics included, and the PHY is reset.
  public mutating func reset() {
    controller.hardwareReset()
    resetByControl()
  }

  /// What CTRL.RST does (§4.2.1.5): all but the PCI configuration, the PHY and the statistics. The virtual functions are told
  /// by their mailboxes.
  mutating func resetByControl() {
    controller.resetByControl(control: 0x0008_0241, macAddress: macAddress)
    interrupts.reset()
    mailboxes.reset()
    functionVectors = InlineArray(repeating: 0)
    mailboxVectors = InlineArray(repeating: 0)
    eepromControl = 0
    eepromRead = 0
    // Both ports' configuration has been loaded (§8.4.5).
    controller[IGBRegister.managementEEPROMControl] = 1 << 18 | 1 << 19
    controller[IGBRegister.receiveLongMaximum] = 0x0600
    // The first queue of each direction is enabled (§8.10.8, §8.12.15).
    controller[IGBRegister.receiveQueue + IGBRegister.descriptorControl] = IGBRegister.queueEnable
    controller[IGBRegister.transmitQueue + IGBRegister.descriptorControl] = IGBRegister.queueEnable
  }
}

// MARK: - Surviving

extension IGBModel: PersistentModel {
  /// All but what is between the functions: that is lost, as in a switch that loses power.
  public mutating func exchange(with record: inout StateRecord) {
    controller.exchange(with: &record)
    record.exchange(&interrupts)
    record.exchange(&mailboxes)
    record.exchange(&functionVectors)
    record.exchange(&mailboxVectors)
    record.exchange(&eepromControl)
    record.exchange(&eepromRead)
  }
}
