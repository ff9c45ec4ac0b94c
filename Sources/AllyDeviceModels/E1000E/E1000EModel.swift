public import AllyHW

/// A model of the Intel 82574L Gigabit Ethernet controller, written from its datasheet (Intel 82574 GbE Controller Family
/// Datasheet, revision 3.4).
///
/// Two receive and two transmit queues with receive-side scaling, legacy and extended descriptors, checksum and segmentation
/// offload, NVM, PHY, filters, statistics; interrupts by pin, MSI and five MSI-X messages with auto-clear, auto-mask and
/// throttling. Where it differs from the chip:
///
/// - Delay timers (RDTR, RADV, TIDV, TADV) have always expired at the end of a run. Throttling (ITR, EITR) needs a clock:
///   see ``advance(to:)``.
/// - Between wire and rings, of short and of long frames, and after a bus error it is like the ``E1000Model``.
/// - Packet-split descriptors, wake-up, manageability and time stamps are not there; their registers keep what is written.
/// - Link and NVM are ready at once, and all of the flash's address space reads as empty.
public struct E1000EModel: DeviceModel, ~Copyable {
  /// The length of the register BAR, in bytes.
  public static var registerSpace: UInt64 { 0x2_0000 }
  /// The longest frame that the chip takes, in bytes with its frame check sequence (§10.2.5.1, RCTL.LPE).
  public static var datasheetFrameLength: Int { 16_384 }
  /// How many receive and transmit queues there are, each.
  static var queues: Int { 2 }
  /// How many MSI-X messages (§7.4.2).
  static var vectors: Int { 5 }

  public let macAddress: [UInt8]
  var controller: IntelController
  var interrupts = E1000EInterrupts()
  let nvm: IntelNVM
  var eepromControl: UInt32 = 0
  var eepromRead: UInt32 = 0

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
      transmitQueues: Self.queues, transmitFormat: .extended, phyIdentifier: 0x0141_0CB1,
      statisticsRegisters: E1000ERegister.statisticsCount)
    nvm = IntelNVM(
      macAddress: macAddress,
      function: IntelNVM.PCIFunctionIDs(
        vendor: Self.vendorID, device: Self.deviceID, subsystemVendor: Self.vendorID, subsystem: Self.subsystemID),
      // Initialization Control Word 1 with its signature; no alternate MAC address.
      contents: [0x0A: 0x4049, 0x37: 0xFFFF], fill: 0)
    reset()
  }

  private static var vendorID: UInt16 { 0x8086 }
  private static var deviceID: UInt16 { 0x10D3 }
  private static var subsystemID: UInt16 { 0x0000 }

  public var requester: RequesterID { controller.requester }
  /// The longest frame, in bytes with its frame check sequence, that is received while RCTL.LPE is set, and that is sent.
  public var maximumFrameLength: Int { controller.maximumFrameLength }
  public var faults: IntelFaults { controller.faults }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: Self.vendorID, deviceID: Self.deviceID, revision: 0, classCode: 0x02_0000,
      subsystemVendorID: Self.vendorID, subsystemID: Self.subsystemID, interruptPin: 1,
      baseAddressRegisters: [
        BaseAddressRegister(kind: .memory32, length: Self.registerSpace),
        // The flash.
        BaseAddressRegister(kind: .memory32, length: 0x2_0000),
        BaseAddressRegister(kind: .io, length: Self.portSpace),
        BaseAddressRegister(kind: .memory32, length: 0x4000),
      ],
      capabilities: [
        PCICapability(kind: .powerManagement, offset: 0xC8),
        PCICapability(kind: .messageSignaledInterrupts, offset: 0xD0),
        PCICapability(kind: .pciExpress, offset: 0xE0),
        PCICapability(kind: .messageSignaledInterruptsExtended, offset: 0xA0),
      ],
      msix: MSIXLayout(vectors: Self.vectors, register: 3, tableOffset: 0, pendingOffset: 0x2000))
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

  // MARK: Reset

  /// A hardware reset: every register has its initial value, statistics included, and the PHY is reset.
  public mutating func reset() {
    controller.hardwareReset()
    resetByControl()
  }

  /// What CTRL.RST does (§4.6): all but the PCI configuration, the PHY and the statistics.
  mutating func resetByControl() {
    controller.resetByControl(control: 0x0000_0241, macAddress: macAddress)
    interrupts.reset()
    eepromControl = 0
    eepromRead = 0
    // 20 KiB of the packet buffer each way (§10.2.2.18).
    controller[IntelRegister.packetBufferAllocation] = 0x0014_0014
    // Both transmit queues take part in arbitration (§10.2.6.11).
    for queue in 0..<UInt32(Self.queues) {
      controller[E1000ERegister.transmitArbitration + queue * E1000ERegister.queueStride] = 0x403
    }
  }
}

// MARK: - Surviving

extension E1000EModel: PersistentModel {
  public mutating func exchange(with record: inout StateRecord) {
    controller.exchange(with: &record)
    record.exchange(&interrupts)
    record.exchange(&eepromControl)
    record.exchange(&eepromRead)
  }
}

// MARK: - Sending

extension E1000EModel {
  private mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard controller.isTransmitEnabled else { return 0 }
    var sent = 0
    for queue in 0..<Self.queues {
      let stride = UInt32(queue) * E1000ERegister.queueStride
      // TARC.ENABLE.
      guard controller[E1000ERegister.transmitArbitration + stride] >> 10 & 1 == 1 else { continue }
      let pass = controller.transmit(
        queue: queue, ring: IntelRegister.transmitBaseLow + stride, on: &bus, wire: &wire, frames: frames - sent)
      interrupts.raise(pass.causes)
      if pass.wroteBack { interrupts.raise(queue == 0 ? E1000ECause.transmitQueue0 : E1000ECause.transmitQueue1) }
      sent += pass.sent
    }
    return sent
  }
}

// MARK: - Receiving

extension E1000EModel {
  /// One frame from the wire to one of the receive rings.
  private mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, on bus: inout Bus, isPaced: Bool
  ) -> FrameReception {
    let filter: IntelReceiveFilter
    let tag: UInt16?
    switch controller.admit(frame, isPaced: isPaced) {
    case .refused(let reception): return reception
    case .admitted(let itsFilter, let itsTag): (filter, tag) = (itsFilter, itsTag)
    }
    let layers = IntelFrameLayers(frame, isTagged: tag != nil)
    var report = IntelReceiveReport()
    controller.checkChecksums(frame, layers, report: &report)
    let queue = scale(frame, layers, report: &report)
    let isExtended = controller[E1000ERegister.receiveFilterControl] & E1000ERegister.extendedStatus != 0
    let delivery = controller.deliver(
      frame, tag: tag, report: report,
      to: IntelReceiveTarget(
        ring: IntelRegister.receiveBaseLow + UInt32(queue) * E1000ERegister.queueStride,
        bufferSize: bufferSize(filter.control), format: isExtended ? .extended : .legacy,
        stripsFrameCheckSequence: filter.control.contains(.stripFrameCheckSequence),
        stripsTag: controller.isVLANEnabled),
      isPaced: isPaced, on: &bus)
    interrupts.raise(controller.causes(of: delivery, frameLength: frame.count))
    if delivery.reception == .completed {
      interrupts.raise(queue == 0 ? E1000ECause.receiveQueue0 : E1000ECause.receiveQueue1)
    }
    return delivery.reception
  }

  /// RCTL.BSIZE and BSEX, unless FLXBUF has the size in KiB (§10.2.5.1).
  private func bufferSize(_ control: IntelReceiveControl) -> Int {
    let flexible = Int(control.rawValue >> 27 & 15)
    return flexible == 0 ? control.bufferSize : flexible * 1024
  }

  /// The frame's queue, and the first word of an extended descriptor (§7.1.5.2): RSS type and queue, then either the hash
  /// or the IP identification and the packet checksum.
  private func scale(_ frame: Span<UInt8>, _ layers: IntelFrameLayers?, report: inout IntelReceiveReport) -> Int {
    var scaling = IntelRSS()
    var queue = 0
    let mode = controller[E1000ERegister.multipleQueues]
    if mode & 3 == 1 {
      scaling = IntelRSS(frame, layers, fields: mode) { controller[E1000ERegister.scalingKey + 4 * $0] }
      if scaling.type != .none {
        queue = Int(scaling.redirection { controller[E1000ERegister.redirectionTable + 4 * $0] } >> 7)
      }
    }
    let checksum = controller[IntelRegister.receiveChecksum]
    report.firstWord = UInt64(scaling.type.rawValue) | UInt64(queue) << 8
    if checksum & E1000ERegister.hashInsteadOfChecksum != 0 {
      report.firstWord |= UInt64(scaling.hash) << 32
    } else {
      controller.reportPacketChecksum(frame, layers, &report)
    }
    return queue
  }
}
