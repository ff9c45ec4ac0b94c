public import AllyHW

/// What an RTL8139C would not count, or would fail over: errors that software or the bus put before the model.
@frozen
public struct RTL8139Faults: Sendable, BitwiseCopyable, Equatable {
  /// Reads of frames to be sent that the bus refused.
  public var transmitReads: UInt64 = 0
  /// Writes to the receive ring that the bus refused.
  public var receiveWrites: UInt64 = 0
  /// Frames that software posted and that were not sent: empty, or longer than a frame may be.
  public var unsendableFrames: UInt64 = 0
  /// Frames that found no room on the wire.
  public var wireOverruns: UInt64 = 0

  @inlinable
  public init() {}
}

/// A model of the Realtek RTL8139C Fast Ethernet controller, written from its datasheet ("RTL8139C(L) Single-Chip Fast
/// Ethernet Controller").
///
/// The receive ring of bytes, four transmit descriptors, receive filter, EEPROM, PHY, timer, and the interrupt pin. Where it
/// differs from the chip:
///
/// - There is no FIFO between wire and ring: a frame that finds no room there is lost at once (RXOVW and MPC), or, on a paced
///   wire, waits.
/// - Frames shorter than 64 bytes are received: capture files hold frames as they were before the sender padded them.
/// - Early receive and transmit thresholds are kept and do nothing: a frame is moved whole.
/// - A bus error is a system error (SERR) and loses the frame; the chip would stop until it is reset.
public struct RTL8139Model: DeviceModel, ~Copyable {
  /// The length of the register BARs, in bytes: the same registers in I/O and in memory space.
  public static var registerSpace: UInt64 { 0x100 }
  /// The longest frame that is sent, in bytes without frame check sequence (datasheet 5.3: 0x700).
  public static var maximumTransmitLength: Int { 1792 }
  /// The longest frame that is received, in bytes without frame check sequence: what fits behind a ring's end.
  public static var maximumReceiveLength: Int { 1792 }

  public let requester: RequesterID
  public internal(set) var faults = RTL8139Faults()

  var stationAddress: [UInt8]
  var multicast: UInt64 = 0
  var transmitStatus: InlineArray<4, UInt32> = .init(repeating: RTL8139TransmitStatus.own)
  var transmitAddress: InlineArray<4, UInt32> = .init(repeating: 0)
  /// The descriptor that is sent next.
  var transmitNext = 0
  var receiveBuffer: UInt32 = 0
  var command: RTL8139Command = []
  /// The places in the ring where the driver reads next (CAPR and 16) and where the chip writes next (CBR).
  var readPlace = 0
  var writePlace = 0
  var interruptMask: RTL8139Interrupt = []
  var interruptStatus: RTL8139Interrupt = []
  var transmitConfiguration: UInt32 = 0
  var receiveConfiguration: RTL8139ReceiveConfiguration = []
  var missedPackets: UInt32 = 0
  var eeprom: RTL8139EEPROM
  var configuration: InlineArray<6, UInt8> = .init(repeating: 0)
  var multipleInterrupt: UInt16 = 0
  var phy = RTL8139PHY()
  var receiveErrors: UInt16 = 0
  var physicalParameters: InlineArray<12, UInt8> = .init(repeating: 0)
  var timer = RTL8139Timer()
  var frame: [UInt8]
  let frameCheckSequence = FrameCheckSequence()

  /// - Parameters:
  ///   - requester: the requester id of the model's DMA.
  ///   - macAddress: six bytes, which the EEPROM holds.
  public init(requester: RequesterID, macAddress: [UInt8]) {
    precondition(macAddress.count == 6, "a MAC address has six bytes")
    self.requester = requester
    stationAddress = macAddress
    eeprom = RTL8139EEPROM(macAddress: macAddress, vendor: Self.vendorID, device: Self.deviceID)
    frame = [UInt8](repeating: 0, count: Self.maximumTransmitLength)
    reset()
  }

  private static var vendorID: UInt16 { 0x10EC }
  private static var deviceID: UInt16 { 0x8139 }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: Self.vendorID, deviceID: Self.deviceID, revision: 0x10, classCode: 0x02_0000,
      subsystemVendorID: Self.vendorID, subsystemID: Self.deviceID, interruptPin: 1,
      baseAddressRegisters: [
        BaseAddressRegister(kind: .io, length: Self.registerSpace),
        BaseAddressRegister(kind: .memory32, length: Self.registerSpace),
      ],
      capabilities: [PCICapability(kind: .powerManagement, offset: 0x50)])
  }

  public var assertsInterrupt: Bool { !interruptStatus.isDisjoint(with: interruptMask) }

  /// Plugs the cable in or out. Without a link nothing is sent or received.
  public var isLinkUp: Bool {
    get { phy.isLinkUp }
    set {
      guard newValue != phy.isLinkUp else { return }
      phy.isLinkUp = newValue
      if !newValue { phy.countDisconnect() }
      interruptStatus.insert(.linkChange)
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

  /// A hardware reset: the EEPROM is loaded again.
  public mutating func reset() {
    phy.reset()
    timer = RTL8139Timer()
    loadEEPROM()
    multicast = 0
    missedPackets = 0
    receiveErrors = 0
    physicalParameters = .init(repeating: 0)
    resetByCommand()
  }

  /// What CR.RST does (datasheet 5.5): all but the station address, the multicast filter and the PCI configuration.
  mutating func resetByCommand() {
    command = []
    transmitStatus = .init(repeating: RTL8139TransmitStatus.own)
    transmitAddress = .init(repeating: 0)
    transmitNext = 0
    receiveBuffer = 0
    readPlace = 0
    writePlace = 0
    interruptMask = []
    interruptStatus = []
    transmitConfiguration = 0
    receiveConfiguration = []
    multipleInterrupt = 0
  }

  mutating func loadEEPROM() {
    eeprom.endAccess()
    stationAddress = eeprom.stationAddress
    configuration = .init(repeating: 0)
    // CONFIG1: memory and I/O mapped, power management. CONFIG3: the EEPROM enables the rest.
    configuration[1] = 0x0D
  }
}
