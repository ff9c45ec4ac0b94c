public import AllyHW

/// A virtual function of an 82576 as a NIC of its own, which stock drivers for virtual functions drive: the controller behind
/// it, and somebody who does for its one virtual function what the driver of the physical function does.
///
/// Register BAR, vectors and mailbox are the virtual function's (82576 datasheet §8.26); DMA has its requester id. Messages
/// that a virtual function may send are reset, MAC address, multicast list, VLAN, largest frame and promiscuous mode; others
/// are answered with "not accepted".
public struct IGBVirtualFunctionModel: DeviceModel, ~Copyable {
  /// The length of the register BAR, in bytes.
  public static var registerSpace: UInt64 { 0x4000 }
  /// How many MSI-X messages: two queues and the mailbox.
  static var messages: Int { 3 }
  /// The number of the virtual function, and of its pool.
  static var number: Int { 0 }

  /// The controller.
  var model: IGBModel
  var physical: IGBPhysicalFunction

  /// - Parameters:
  ///   - requester: the requester id of the function's DMA.
  ///   - macAddress: six bytes, which the physical function gives the virtual one.
  ///   - maximumFrameLength: see ``IGBModel/maximumFrameLength``.
  public init(
    requester: RequesterID, macAddress: [UInt8], maximumFrameLength: Int = IGBModel.datasheetFrameLength
  ) {
    // The physical function's own address differs in the bit for local administration.
    var other = macAddress
    other[0] ^= 2
    model = IGBModel(requester: requester, macAddress: other, maximumFrameLength: maximumFrameLength)
    physical = IGBPhysicalFunction(macAddress: macAddress)
    physical.start(on: &model)
  }

  public var requester: RequesterID { model.requester }
  public var faults: IntelFaults { model.faults }
  /// Virtual functions have no pin (82576 datasheet §9.7).
  public var assertsInterrupt: Bool { false }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: IGBModel.vendorID, deviceID: 0x10CA, revision: 1, classCode: 0x02_0000,
      subsystemVendorID: IGBModel.vendorID, subsystemID: IGBModel.subsystemID, interruptPin: 0,
      baseAddressRegisters: [
        BaseAddressRegister(kind: .memory32, length: Self.registerSpace), .none, .none,
        BaseAddressRegister(kind: .memory32, length: 0x4000),
      ],
      capabilities: [
        PCICapability(kind: .messageSignaledInterruptsExtended, offset: 0x70),
        PCICapability(kind: .pciExpress, offset: 0xA0),
      ],
      msix: MSIXLayout(vectors: Self.messages, register: 3, tableOffset: 0, pendingOffset: 0x2000))
  }

  /// Plugs the cable in or out; see ``IGBModel/isLinkUp``.
  public var isLinkUp: Bool {
    get { model.isLinkUp }
    set { model.isLinkUp = newValue }
  }

  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    let taken = model.interrupts.take(IGBModel.vectors(of: Self.number))
    return NICInterrupts(messages: taken.messages >> IGBModel.firstVector(of: Self.number))
  }

  public mutating func advance(to now: UInt64) { model.advance(to: now) }

  public var nextTimer: UInt64? { model.interrupts.nextTimer(IGBModel.vectors(of: Self.number)) }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard width == .doubleWord, offset & 3 == 0, UInt64(offset) + 4 <= Self.registerSpace else { return 0 }
    return UInt64(model.read(offset, ofFunction: Self.number))
  }

  /// A write of 32 bits; others are ignored. What the physical function has to do about it, it does at once.
  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard width == .doubleWord, offset & 3 == 0, UInt64(offset) + 4 <= Self.registerSpace else { return }
    model.write(offset, UInt32(truncatingIfNeeded: value), ofFunction: Self.number)
    physical.takeInterrupt(on: &model)
  }

  /// A register of the physical function, as its driver reads it.
  public mutating func physicalRegister(_ offset: UInt32) -> UInt32 { model.read(offset) }

  /// Writes a register of the physical function, as its driver does.
  public mutating func writePhysicalRegister(_ offset: UInt32, _ value: UInt32) { model.write(offset, value) }

  @discardableResult
  public mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    model.run(on: &bus, wire: &wire, frames: frames)
  }

  /// A reset of the virtual function.
  public mutating func reset() {
    model.resetFunction(Self.number)
    physical.takeInterrupt(on: &model)
  }
}
