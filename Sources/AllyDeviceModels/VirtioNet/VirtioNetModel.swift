public import AllyHW

/// What a network device would not tell: errors that software or the bus put before the model.
@frozen
public struct VirtioNetFaults: Sendable, BitwiseCopyable, Equatable {
  /// Queues that broke: the driver or the bus left the rules of virtqueues.
  public var brokenQueues: UInt64 = 0
  /// Reads or writes of frame data that the bus refused.
  public var buffers: UInt64 = 0
  /// Buffers to be sent whose contents are no frame: no header, no bytes, too long, or with offsets outside.
  public var unsendableFrames: UInt64 = 0
  /// Received frames that found no buffers, or none large enough.
  public var noBuffers: UInt64 = 0
  /// Frames that found no room on the wire.
  public var wireOverruns: UInt64 = 0
  /// Commands of the control queue that were refused.
  public var refusedCommands: UInt64 = 0

  @inlinable
  public init() {}
}

/// A model of a virtio network device behind the modern PCI transport, written from the specification (Virtual I/O Device
/// Version 1.2; §5.1 for the device, §2.6 to §2.8 for its queues, §4.1 for the transport).
///
/// Split and packed virtqueues with indirect descriptors and event index; mergeable receive buffers; checksum and TCP
/// segmentation offload; several queue pairs with steering by a hash of each flow; a control queue with the receive filters;
/// queue reset; interrupts by pin or by one message for each vector. Where it differs from the specification's freedom:
///
/// - Only version 1 drivers: there is no legacy interface.
/// - Until the driver says otherwise every frame is received, as other devices do.
/// - A queue whose rules are broken stops, and the device asks for a reset (§2.1.2).
/// - Received frames are at most ``maximumFrameLength`` long; without mergeable buffers one that does not fit is lost.
public struct VirtioNetModel: DeviceModel, ~Copyable {
  /// The length of the register BAR, in bytes.
  public static var registerSpace: UInt64 { UInt64(VirtioNetRegister.end) }
  /// The most queue pairs that a model can have.
  public static var maximumQueuePairs: Int { 15 }
  /// The largest queue.
  public static var maximumQueueSize: Int { 1024 }

  public let requester: RequesterID
  public let macAddress: [UInt8]
  public let queuePairs: Int
  /// The longest frame, in bytes without frame check sequence, that is received, and that is sent without segmentation.
  public let maximumFrameLength: Int
  /// What the device offers.
  public let offered: VirtioNetFeatures
  public internal(set) var faults = VirtioNetFaults()

  // The common configuration.
  var deviceFeatureSelect: UInt32 = 0
  var driverFeatureSelect: UInt32 = 0
  /// What the driver accepted.
  public internal(set) var accepted: VirtioNetFeatures = []
  var configurationVector: UInt16 = 0xFFFF
  var status: VirtioStatus = []
  var generation: UInt8 = 0
  var queueSelect: UInt16 = 0

  /// Receive and transmit queue of each pair, and the control queue.
  var queues: [VirtioQueue]
  /// Queue interrupt in bit 0, configuration change in bit 1 (§4.1.4.5).
  var interruptStatus: UInt8 = 0
  var pendingVectors: UInt32 = 0
  var filter = VirtioNetFilter()
  var activePairs = 1
  var isWireUp = true

  // Room that is kept from frame to frame.
  var buffers = VirtioBuffers()
  var lengths: [Int] = []
  var data: [UInt8]
  var segment: [UInt8]

  /// - Parameters:
  ///   - requester: the requester id of the model's DMA.
  ///   - macAddress: six bytes.
  ///   - queuePairs: how many receive and transmit queues, 1 to ``maximumQueuePairs``.
  ///   - queueSize: the most elements of each, a power of two up to ``maximumQueueSize``.
  ///   - maximumFrameLength: see ``maximumFrameLength``.
  ///   - offered: what the device offers.
  public init(
    requester: RequesterID, macAddress: [UInt8], queuePairs: Int = 1, queueSize: Int = 256,
    maximumFrameLength: Int = 1518, offered: VirtioNetFeatures = .all
  ) {
    precondition(macAddress.count == 6, "a MAC address has six bytes")
    precondition((1...Self.maximumQueuePairs).contains(queuePairs), "1 to \(Self.maximumQueuePairs) queue pairs")
    precondition(
      queueSize > 1 && queueSize <= Self.maximumQueueSize && queueSize & (queueSize - 1) == 0,
      "a queue size is a power of two up to \(Self.maximumQueueSize)")
    precondition(maximumFrameLength >= 1518, "an Ethernet NIC sends frames of 1,518 bytes")
    self.requester = requester
    self.macAddress = macAddress
    self.queuePairs = queuePairs
    self.maximumFrameLength = maximumFrameLength
    self.offered = queuePairs > 1 ? offered : offered.subtracting(.multipleQueues)
    let count = 2 * queuePairs + 1
    queues = [VirtioQueue](repeating: VirtioQueue(maximumSize: queueSize), count: count)
    // A frame to be segmented has up to 64 KiB and its headers.
    data = [UInt8](repeating: 0, count: max(maximumFrameLength, 1 << 16) + 256)
    segment = [UInt8](repeating: 0, count: max(maximumFrameLength, 1 << 16) + 256)
    reset()
  }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: 0x1AF4, deviceID: 0x1041, revision: 1, classCode: 0x02_0000, subsystemVendorID: 0x1AF4,
      subsystemID: 0x0041, interruptPin: 1,
      baseAddressRegisters: [
        .none, BaseAddressRegister(kind: .memory32, length: 0x1000), .none, .none,
        BaseAddressRegister(kind: .memory64, length: Self.registerSpace, isPrefetchable: true),
      ],
      capabilities: [PCICapability(kind: .messageSignaledInterruptsExtended, offset: 0x40)]
        + Self.structures.map(\.capability),
      msix: MSIXLayout(vectors: vectorCount, register: 1, tableOffset: 0, pendingOffset: 0x800),
      virtioStructures: Self.structures)
  }

  /// The structures of the register BAR, each behind a vendor-specific capability (§4.1.4).
  private static var structures: [VirtioPCIStructure] {
    let page: UInt32 = 0x1000
    let places: [(VirtioPCIStructure.Kind, UInt32, UInt32)] = [
      (.common, VirtioNetRegister.common, VirtioCommon.end), (.interruptStatus, VirtioNetRegister.interruptStatus, 1),
      (.device, VirtioNetRegister.device, 12), (.notification, VirtioNetRegister.notification, page),
    ]
    return places.enumerated().map { index, place in
      VirtioPCIStructure(
        kind: place.0, capabilityOffset: UInt8(0x50 + 0x14 * index), register: 4, offset: place.1, length: place.2,
        notificationMultiplier: VirtioNetRegister.notificationStride)
    }
  }

  /// How many MSI-X vectors the function has: one for each queue, and one for configuration changes.
  public var vectorCount: Int { queues.count + 1 }

  public var assertsInterrupt: Bool { interruptStatus != 0 }

  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    defer { pendingVectors = 0 }
    return delivery == .messageTable
      ? NICInterrupts(messages: pendingVectors) : NICInterrupts(isPinAsserted: assertsInterrupt)
  }

  /// Plugs the cable in or out. Without a link nothing is sent or received.
  public var isLinkUp: Bool {
    get { isWireUp }
    set {
      guard newValue != isWireUp else { return }
      isWireUp = newValue
      raiseConfigurationChange()
    }
  }

  /// As the control queue's command does (virtio 1.2, §5.1.6.5.5), for a device whose control queue is elsewhere.
  public mutating func spreadReceived(over pairs: Int) {
    if (1...queuePairs).contains(pairs) { activePairs = pairs }
  }

  var access: VirtioQueueAccess { VirtioQueueAccess(requester: requester, features: accepted) }

  /// Whether the driver has finished setting the device up.
  var isLive: Bool { status.contains(.driverOK) && !status.contains(.needsReset) }

  /// The number of the control queue (§5.1.2): behind those of every pair when several are negotiated.
  var controlQueue: Int { accepted.contains(.multipleQueues) ? 2 * queuePairs : 2 }

  @discardableResult
  public mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard isLive else { return 0 }
    if accepted.contains(.controlQueue) { runControlQueue(on: &bus) }
    guard isWireUp else { return 0 }
    let sent = transmit(on: &bus, wire: &wire, frames: frames)
    let received = receive(on: &bus, wire: &wire, frames: frames)
    return sent + received
  }

  // MARK: Interrupts

  /// A queue's used buffers are to be announced, if the driver wants that.
  mutating func finishQueue<Bus: DMABus & ~Copyable>(_ index: Int, on bus: inout Bus) {
    guard access.finish(&queues[index], on: &bus) else { return }
    interruptStatus |= 1
    raise(queues[index].vector)
  }

  mutating func raise(_ vector: UInt16) {
    if Int(vector) < vectorCount { pendingVectors |= 1 << UInt32(vector) }
  }

  mutating func raiseConfigurationChange() {
    guard status.contains(.driverOK) else { return }
    generation &+= 1
    interruptStatus |= 2
    raise(configurationVector)
  }

  /// Something that only a reset repairs (§2.1.2).
  mutating func breakQueue() {
    faults.brokenQueues &+= 1
    status.insert(.needsReset)
    raiseConfigurationChange()
  }

  // MARK: Reset

  public mutating func reset() { resetByStatus() }

  /// What writing 0 to the device status does (§2.4): all but the PCI configuration and the cable.
  mutating func resetByStatus() {
    status = []
    accepted = []
    deviceFeatureSelect = 0
    driverFeatureSelect = 0
    configurationVector = 0xFFFF
    generation = 0
    queueSelect = 0
    interruptStatus = 0
    pendingVectors = 0
    activePairs = 1
    filter = VirtioNetFilter(stationAddress: macAddress)
    for index in queues.indices { queues[index] = VirtioQueue(maximumSize: queues[index].maximumSize) }
  }
}
