internal import AllyHW
internal import AllyRings
internal import Glibc

/// A guest's virtio network device as a vhost-user front end sees it: what the protocol asks, apart from the socket that
/// carries it.
///
/// Rings are those of the guest's driver; the front end tells where they are, and keeps the rest of the device to itself. What
/// it says is put into the registers of the ``VirtioFunction``, of which the same driver module, virtualizer and model are
/// behind as for any other guest.
///
/// Received frames are copied: then buffers go back in the order in which they were posted, and after a break of the connection
/// the used index alone says which the guest still waits for. A front end that keeps book of buffers in flight gets it kept
/// (``VhostUserInflight``).
final class VhostUserDevice: GuestProtocol {
  private let function: VirtioFunction
  private var memory: VhostUserMemory
  private var rings: [VhostUserRing]
  /// Features that the device offers, as far as they are the back end's affair.
  private let offered: UInt64
  private var accepted: UInt64 = 0
  private var protocolFeatures: UInt64 = 0
  private var status: UInt64 = 0
  /// Rings that the device works on, by number, and where they are.
  private var running: [Int] = []
  private var working: [VhostUserInflight.Ring] = []
  /// What could be told the front end's way; it is not needed so far.
  private var backEndRequests: ReceivedDescriptors?
  private(set) var mtu: UInt64?
  private var inflight: VhostUserInflight?
  /// What goes with the next reply.
  private var replyFile: OwnedFile?
  private(set) var complaints: [String] = []
  private var now: UInt64 = 0

  /// How many rounds the device gets to send what it has before it is stopped.
  private static let lastRounds = 64

  /// - Throws: when the device is no virtio network device, or does not copy frames.
  init(_ device: any VirtioGuestDevice) throws(HostError) {
    // In place the NIC has buffers when a restart takes it from the rings, which no ring tells of.
    guard device.protection == .copyToDPIMemory else {
      throw HostError("vhost-user serves rings whose buffers go back in their order: expected frames to be copied")
    }
    function = try VirtioFunction(device)
    memory = VhostUserMemory(below: device.endOfGuestMemory)
    offered = function.features & VhostUserFeatures.device
    // A message for each ring and one more, of which there are 32.
    rings = Array(repeating: VhostUserRing(), count: 2 * min(function.queuePairs, 15))
  }

  private var device: any VirtioGuestDevice { function.device }
  var hasLostMemory: Bool { memory.isLost || inflight?.isLost == true }
  private var isPacked: Bool { accepted & VhostUserFeatures.packedRing != 0 }

  // MARK: - Messages

  func reply(to message: VhostUserConnection.Message) throws(ConnectionEnd) -> (VhostUserHeader, [UInt8])? {
    guard !message.header.isReply else { throw .damaged("a reply to nothing") }
    var payload: [UInt8]?
    var isDone = true
    do throws(VhostUserRefusal) {
      payload = try answer(VhostUserRequest(message.header.request, message.payload), message.descriptors)
    } catch {
      // The front end would wait for an answer that there is not.
      if VhostUserRequest.hasReply(message.header.request) { throw ConnectionEnd.damaged(error.reason) }
      if !complaints.contains(error.reason), complaints.count < 100 { complaints.append(error.reason) }
      isDone = false
    }
    let hasAcknowledgements = protocolFeatures & VhostUserProtocolFeatures.acknowledgements != 0
    if payload == nil, hasAcknowledgements, message.header.wantsAcknowledgement {
      payload = Self.number(isDone ? 0 : 1)
    }
    return payload.map { (VhostUserHeader(replyTo: message.header, payload: $0.count), $0) }
  }

  private static func number(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: value)
    return bytes
  }

  /// Does what a request asks.
  ///
  /// - Parameter descriptors: what came with it.
  /// - Returns: the reply, of a request that has one.
  private func answer(
    _ request: VhostUserRequest, _ descriptors: ReceivedDescriptors
  ) throws(VhostUserRefusal) -> [UInt8]? {
    switch request {
    case .getFeatures: return Self.number(offered | VhostUserFeatures.protocolFeatures)
    case .setFeatures(let features): try accept(features)
    case .getProtocolFeatures: return Self.number(VhostUserProtocolFeatures.served)
    case .setProtocolFeatures(let features):
      guard features & ~VhostUserProtocolFeatures.served == 0 else {
        throw VhostUserRefusal("protocol features 0x\(String(features, radix: 16))")
      }
      protocolFeatures = features
    case .setOwner, .resetOwner: break
    case .getQueueCount: return Self.number(UInt64(rings.count / 2))
    case .getMemorySlots: return Self.number(VhostUserMemory.slots)
    case .setMemoryTable(let regions):
      let files = descriptors
      try change { memory, table throws(VhostUserRefusal) in try table.replace(regions, files.all, in: &memory) }
      try restart()
    case .addRegion(let region):
      guard let file = descriptors.first else { throw VhostUserRefusal("a memory region without a descriptor") }
      try change { memory, table throws(VhostUserRefusal) in try table.add(region, file, to: &memory) }
    case .removeRegion(let region):
      try change { memory, table throws(VhostUserRefusal) in try table.remove(region, from: &memory) }
    case .setMTU(let size):
      guard (68...65_535).contains(size) else { throw VhostUserRefusal("an MTU of \(size)") }
      mtu = size
    case .setBackEndRequests: backEndRequests = descriptors
    case .getConfiguration(let offset, let count):
      return try configuration(offset, count)
    case .getInflight(let asked):
      // Without a length there is none: packed rings say themselves what is in flight.
      guard !isPacked, (1...rings.count).contains(Int(asked.queues)), (1...32_768).contains(asked.size) else {
        return VhostUserInflightShape(length: 0, offset: 0, queues: asked.queues, size: asked.size).bytes
      }
      let shape = VhostUserInflightShape(queues: asked.queues, size: asked.size)
      replyFile = try VhostUserInflight.makeFile(shape)
      return shape.bytes
    case .setInflight(let shape):
      guard let file = descriptors.first else {
        throw VhostUserRefusal("memory for buffers in flight without a descriptor")
      }
      guard Int(shape.queues) <= rings.count, shape.size <= 32_768 else {
        throw VhostUserRefusal("buffers in flight of \(shape.queues) rings of \(shape.size)")
      }
      inflight = try VhostUserInflight(shape, file: file)
    case .setConfiguration: throw VhostUserRefusal("a write to the configuration, which is read-only")
    case .setStatus(let value):
      status = value & 0xFF
      if value == 0 { try reset() }
    case .getStatus: return Self.number(status | (function.needsReset ? 64 : 0))
    case .resetDevice: try reset()
    default: return try answerAboutRing(request, descriptors)
    }
    return nil
  }

  private func answerAboutRing(
    _ request: VhostUserRequest, _ descriptors: ReceivedDescriptors
  ) throws(VhostUserRefusal) -> [UInt8]? {
    switch request {
    case .setRingSize(let ring, let size):
      // What a virtqueue may have (virtio 1.2, §2.7); the virtualizer looks at the rest.
      guard (1...32_768).contains(size) else { throw VhostUserRefusal("a ring of \(size) elements") }
      rings[try known(ring)].size = size
    case .setRingAddresses(let ring, let addresses): rings[try known(ring)].addresses = addresses
    case .setRingBase(let ring, let base): rings[try known(ring)].setBase(base, isPacked: isPacked)
    case .getRingBase(let ring):
      let ring = try known(ring)
      rings[ring].isStarted = false
      rings[ring].kick = nil
      rings[ring].call = nil
      rings[ring].error = nil
      inflight?.forget(ring, size: rings[ring].size)
      // The others go on if they can; the answer does not depend on it.
      try? restart()
      var reply: [UInt8] = []
      reply.append(littleEndian: UInt32(ring))
      reply.append(littleEndian: rings[ring].base(isPacked: isPacked))
      return reply
    case .setRingKick(let ring, let hasDescriptor):
      let ring = try known(ring)
      rings[ring].kick = try descriptor(of: descriptors, hasDescriptor).map(KickDescriptor.init)
      rings[ring].isStarted = true
      // Without protocol features a ring that is started is enabled (vhost-user specification, "Ring states").
      if accepted & VhostUserFeatures.protocolFeatures == 0 { rings[ring].isEnabled = true }
      if !running.contains(ring) { try restart() }
    case .setRingCall(let ring, let hasDescriptor):
      let ring = try known(ring)
      rings[ring].call = try descriptor(of: descriptors, hasDescriptor).map { EventDescriptor($0) }
      if rings[ring].isCallWaiting { rings[ring].raiseCall() }
    case .setRingError(let ring, let hasDescriptor):
      rings[try known(ring)].error = try descriptor(of: descriptors, hasDescriptor).map { EventDescriptor($0) }
    case .enableRing(let ring, let isEnabled):
      let ring = try known(ring)
      // Front ends say it again and again.
      guard rings[ring].isEnabled != isEnabled else { break }
      rings[ring].isEnabled = isEnabled
      try restart()
    default: break
    }
    return nil
  }

  private func known(_ ring: Int) throws(VhostUserRefusal) -> Int {
    guard rings.indices.contains(ring) else { throw VhostUserRefusal("ring \(ring) of \(rings.count)") }
    return ring
  }

  private func descriptor(
    of descriptors: ReceivedDescriptors, _ hasDescriptor: Bool
  ) throws(VhostUserRefusal) -> Int32? {
    guard hasDescriptor else { return nil }
    guard let taken = descriptors.takeFirst() else {
      throw VhostUserRefusal("a descriptor was announced, and none came")
    }
    return taken
  }

  private func accept(_ features: UInt64) throws(VhostUserRefusal) {
    if features & VhostUserFeatures.logAll != 0 {
      throw VhostUserRefusal("live migration: the NIC's state is in this process and cannot leave it")
    }
    let known = offered | VhostUserFeatures.protocolFeatures
    guard features & ~known == 0 else {
      throw VhostUserRefusal("features 0x\(String(features & ~known, radix: 16)), which were not offered")
    }
    guard features != accepted else { return }
    accepted = features
    try restart()
  }

  private func configuration(_ offset: UInt32, _ count: UInt32) throws(VhostUserRefusal) -> [UInt8] {
    guard offset <= VhostUserRequest.configurationCapacity, count <= VhostUserRequest.configurationCapacity - offset
    else { throw VhostUserRefusal("\(count) bytes of configuration at \(offset)") }
    var reply: [UInt8] = []
    for word in [offset, count, 0] { reply.append(littleEndian: word) }
    for index in 0..<count { reply.append(function.configuration(offset + index)) }
    return reply
  }

  private func change(
    _ body: (inout PhysicalMemory, inout VhostUserMemory) throws(VhostUserRefusal) -> Void
  ) throws(VhostUserRefusal) {
    let refusal = device.withMemory { physical -> VhostUserRefusal? in
      do throws(VhostUserRefusal) {
        try body(&physical, &memory)
        return nil
      } catch {
        return error
      }
    }
    if let refusal { throw refusal }
  }

  // MARK: - Rings

  /// What the device has to work on now, as the front end has it.
  private func wanted() throws(VhostUserRefusal) -> [VirtioFunction.Queue] {
    var queues: [VirtioFunction.Queue] = []
    for (index, ring) in rings.enumerated() where ring.isStarted && ring.isEnabled {
      let addresses = ring.addresses
      guard let descriptors = memory.guestAddress(of: addresses.descriptors),
        let driverArea = memory.guestAddress(of: addresses.available),
        let deviceArea = memory.guestAddress(of: addresses.used)
      else { throw VhostUserRefusal("ring \(index) is not in the guest's memory") }
      let queue = VirtioFunction.Queue(
        index: index, size: ring.size, descriptors: descriptors, driverArea: driverArea, deviceArea: deviceArea,
        position: ring.position)
      queues.append(ring.isNew ? try takenUp(queue) : queue)
      rings[index].isNew = false
    }
    return queues
  }

  /// A queue that begins where its guest has seen it used, if somebody may have worked on it before.
  private func takenUp(_ queue: VirtioFunction.Queue) throws(VhostUserRefusal) -> VirtioFunction.Queue {
    guard inflight != nil, !isPacked else { return queue }
    var queue = queue
    var position: VirtqueuePosition?
    try change { memory, _ throws(VhostUserRefusal) in
      position = try inflight?.takeUp(VhostUserInflight.Ring(queue), in: memory)
    }
    queue.position = position ?? queue.position
    rings[queue.index].position = queue.position
    return queue
  }

  /// Notes which buffers are in flight.
  private func noteInflight() {
    guard inflight != nil else { return }
    for queue in working {
      guard let position = device.position(ofQueue: queue.index) else { continue }
      device.withMemory { inflight?.note(position, queue, in: $0) }
    }
  }

  /// Lets the device work on the rings that are to run now, each from where it stands.
  private func restart() throws(VhostUserRefusal) {
    stop()
    let queues = try wanted()
    // A pair that is half there moves nothing yet.
    guard !queues.isEmpty else { return }
    var features = accepted & offered
    if features & VhostUserFeatures.multipleQueues != 0 { features |= VhostUserFeatures.controlQueue }
    guard function.start(queues, features: features, message: rings.count) else {
      throw VhostUserRefusal("features 0x\(String(accepted, radix: 16)), which do not go together")
    }
    running = queues.map(\.index)
    working = queues.map(VhostUserInflight.Ring.init)
    // Whoever worked on them before may have died before the guest heard of the last buffers.
    for ring in running { rings[ring].raiseCall() }
    for ring in running where device.position(ofQueue: ring) == nil {
      rings[ring].error?.raise()
      throw VhostUserRefusal("ring \(ring) is none that can be served")
    }
  }

  /// Stops the device, after it has sent what it took, and notes where the rings are.
  private func stop() {
    guard !running.isEmpty else { return }
    for _ in 0..<Self.lastRounds where !device.work(at: now) { break }
    hear(at: now)
    noteInflight()
    for ring in running {
      if let position = device.position(ofQueue: ring) { rings[ring].position = position }
    }
    running = []
    working = []
    function.stop()
  }

  private func reset() throws(VhostUserRefusal) {
    for ring in rings.indices {
      rings[ring].isStarted = false
      rings[ring].isEnabled = false
      rings[ring].kick = nil
      inflight?.forget(ring, size: rings[ring].size)
    }
    status = 0
    try restart()
  }

  // MARK: - Work

  func work(at now: UInt64) -> Bool {
    self.now = now
    guard !running.isEmpty else { return false }
    for ring in running { rings[ring].kick?.clear() }
    let isMore = device.work(at: now)
    noteInflight()
    hear(at: now)
    return isMore
  }

  func takeReplyFile() -> OwnedFile? { replyFile.take() }

  func hear(at now: UInt64) {
    self.now = now
    guard !running.isEmpty else { return }
    let messages = device.takeInterrupts(at: now, by: .messageTable).messages
    guard messages != 0 else { return }
    for ring in running where messages >> UInt32(ring) & 1 == 1 { rings[ring].raiseCall() }
    if messages >> UInt32(rings.count) & 1 == 1, function.needsReset {
      for ring in running { rings[ring].error?.raise() }
    }
  }

  func disconnect() {
    stop()
    device.withMemory { memory.removeAll(from: &$0) }
    device.reset()
    rings = Array(repeating: VhostUserRing(), count: rings.count)
    accepted = 0
    protocolFeatures = 0
    status = 0
    backEndRequests = nil
    inflight = nil
    replyFile = nil
  }

  var kicks: [Int32] { running.compactMap { rings[$0].kick?.number } }
  var uplinkDescriptor: Int32? { running.isEmpty ? nil : device.uplinkDescriptor }

  /// A ring without a kick descriptor is looked at each millisecond.
  var nextTimer: UInt64? {
    let isPolled = running.contains { rings[$0].kick == nil }
    let polling = isPolled ? now &+ 1_000_000 : nil
    guard let timer = running.isEmpty ? nil : device.nextTimer else { return polling }
    return min(timer, polling ?? .max)
  }

  func followCarrier() { device.followCarrier() }
  var report: GuestReport { device.report }
  var failure: HostError? { device.failure }
}

extension VhostUserInflight.Ring {
  fileprivate init(_ queue: VirtioFunction.Queue) {
    self.init(index: queue.index, size: queue.size, driverArea: queue.driverArea, deviceArea: queue.deviceArea)
  }
}
