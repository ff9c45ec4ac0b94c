internal import AllyDeviceModels
internal import AllyHW
internal import Glibc

/// A guest's NIC as a vfio-user client sees it: configuration space, regions, interrupts, memory. What the protocol asks,
/// apart from the socket that carries it.
final class VFIOUserDevice: GuestProtocol {
  private let device: any GuestDevice
  private var configuration: PCIConfiguration
  private var lines: InterruptLines
  private var map: DMAMap
  /// Reasons of refusals, for the operator; each is told once.
  private(set) var complaints: [String] = []

  /// Regions 0 to 5 are those of the base address registers.
  private static let configurationRegion: UInt32 = 7
  private static let regions: UInt32 = 9

  init(_ device: any GuestDevice) {
    self.device = device
    configuration = PCIConfiguration(device.function)
    lines = InterruptLines(device.function)
    map = DMAMap(below: device.endOfGuestMemory)
  }

  func reply(to message: VFIOUserConnection.Message) throws(ConnectionEnd) -> (VFIOUserHeader, [UInt8])? {
    guard message.header.isCommand else { throw .damaged("a reply to nothing") }
    let reply = answer(message)
    return message.header.wantsReply ? reply : nil
  }

  /// Does what a message asks.
  ///
  /// - Returns: the reply, if one is wanted.
  func answer(_ message: VFIOUserConnection.Message) -> (VFIOUserHeader, [UInt8]) {
    do throws(VFIOUserRefusal) {
      let request = try VFIOUserRequest(command: message.header.command, payload: message.payload)
      let reply = try answer(request, message.descriptors)
      return (VFIOUserHeader(replyTo: message.header, payload: reply.count), reply)
    } catch {
      if let reason = error.reason, !complaints.contains(reason), complaints.count < 100 { complaints.append(reason) }
      return (VFIOUserHeader(replyTo: message.header, payload: 0, error: error.code), [])
    }
  }

  /// Does what a request asks.
  ///
  /// - Parameter descriptors: what came with it.
  /// - Returns: the reply's payload.
  private func answer(
    _ request: VFIOUserRequest, _ descriptors: ReceivedDescriptors
  ) throws(VFIOUserRefusal) -> [UInt8] {
    switch request {
    case .version(let version): return version.reply(maximumMaps: DMAMap.capacity)
    case .mapDMA(let address, let length, let offset, let isReadable, let isWritable):
      var rights: AccessRights = isReadable ? .read : []
      if isWritable { rights.formUnion(.write) }
      try change { memory, map throws(VFIOUserRefusal) in
        try map.add(
          address: address, length: length, rights: rights,
          file: descriptors.first.map { ($0, offset) }, key: descriptors.key, to: &memory)
      }
      return []
    case .unmapDMA(let address, let length, let reply):
      try change { memory, map throws(VFIOUserRefusal) in
        guard let length else { return map.removeAll(from: &memory) }
        try map.remove(address: address, length: length, from: &memory)
      }
      return reply
    case .deviceInformation: return deviceInformation
    case .regionInformation(let index): return try regionInformation(index)
    case .interruptInformation(let index): return try interruptInformation(index)
    case .setInterrupts(let setting):
      let key = descriptors.key
      try lines.apply(
        setting,
        descriptors.takeAll().enumerated().map { EventDescriptor($1, key: key == 0 ? 0 : key + UInt64($0)) })
      return []
    case .read(let region, let offset, let count): return try read(region, offset, count)
    case .write(let write):
      try self.write(write)
      return Self.writeReply(write)
    case .writeMultiple(let writes):
      for write in writes { try self.write(write) }
      var reply: [UInt8] = []
      reply.append(littleEndian: UInt64(writes.count))
      return reply
    case .reset:
      device.reset()
      configuration.reset()
      return []
    }
  }

  private func change(
    _ body: (inout PhysicalMemory, inout DMAMap) throws(VFIOUserRefusal) -> Void
  ) throws(VFIOUserRefusal) {
    let refusal = device.withMemory { memory -> VFIOUserRefusal? in
      do throws(VFIOUserRefusal) {
        try body(&memory, &map)
        return nil
      } catch {
        return error
      }
    }
    if let refusal { throw refusal }
  }

  // MARK: - What it tells of itself

  private var deviceInformation: [UInt8] {
    var reply: [UInt8] = []
    // Argument size; it can be reset and is a PCI device; regions; kinds of interrupts.
    for word in [16, 3, Self.regions, InterruptLines.kinds] { reply.append(littleEndian: word) }
    return reply
  }

  private func regionInformation(_ index: UInt32) throws(VFIOUserRefusal) -> [UInt8] {
    guard index < Self.regions else { throw VFIOUserRefusal(EINVAL) }
    let size = regionSize(index)
    var reply: [UInt8] = []
    // Argument size, readable and writable, index, no capabilities; size, offset.
    for word in [32, size == 0 ? 0 : 3, index, 0] { reply.append(littleEndian: word) }
    reply.append(littleEndian: size)
    reply.append(littleEndian: 0 as UInt64)
    return reply
  }

  private func regionSize(_ index: UInt32) -> UInt64 {
    if index == Self.configurationRegion { return UInt64(configuration.bytes.count) }
    let bars = device.function.baseAddressRegisters
    return index < 6 && Int(index) < bars.count ? bars[Int(index)].length : 0
  }

  private func interruptInformation(_ index: UInt32) throws(VFIOUserRefusal) -> [UInt8] {
    guard index < InterruptLines.kinds else { throw VFIOUserRefusal(EINVAL) }
    let count = UInt32(lines.count(index))
    var reply: [UInt8] = []
    for word in [16, count == 0 ? 0 : lines.flags(index), index, count] { reply.append(littleEndian: word) }
    return reply
  }

  // MARK: - Regions

  private func read(_ region: UInt32, _ offset: UInt64, _ count: Int) throws(VFIOUserRefusal) -> [UInt8] {
    let size = regionSize(region)
    guard offset <= size, UInt64(count) <= size - offset else { throw VFIOUserRefusal(EINVAL) }
    var reply: [UInt8] = []
    reply.append(littleEndian: offset)
    reply.append(littleEndian: region)
    reply.append(littleEndian: UInt32(count))
    if region == Self.configurationRegion { return reply + configuration.read(offset, count: count) }
    guard let width = RegisterWidth(count) else { throw VFIOUserRefusal(EINVAL) }
    let value = device.read(bar: Int(region), offset: offset, width: width)
    for index in 0..<count { reply.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
    return reply
  }

  private func write(_ write: VFIOUserWrite) throws(VFIOUserRefusal) {
    let size = regionSize(write.region)
    guard write.offset <= size, UInt64(write.count) <= size - write.offset else { throw VFIOUserRefusal(EINVAL) }
    if write.region == Self.configurationRegion {
      return configuration.write(write.offset, count: write.count, value: write.value)
    }
    guard let width = RegisterWidth(write.count) else { throw VFIOUserRefusal(EINVAL) }
    device.write(bar: Int(write.region), offset: write.offset, value: write.value, width: width)
  }

  private static func writeReply(_ write: VFIOUserWrite) -> [UInt8] {
    var reply: [UInt8] = []
    reply.append(littleEndian: write.offset)
    reply.append(littleEndian: write.region)
    reply.append(littleEndian: UInt32(write.count))
    return reply
  }

  // MARK: - Work

  /// Lets the NIC work, and the guest hear of it.
  ///
  /// - Returns: whether there may be more to do.
  func work(at now: UInt64) -> Bool {
    // A function that may not do DMA moves nothing.
    let isMore = configuration.isBusMaster && device.work(at: now)
    hear(at: now)
    return isMore
  }

  /// Whether the client has cut guest memory short that it had lent.
  var hasLostMemory: Bool { map.isLost }

  /// Lets the guest hear what its NIC has to say.
  func hear(at now: UInt64) {
    let delivery = configuration.delivery
    lines.raise(device.takeInterrupts(at: now, by: delivery ?? .pin), by: delivery)
  }

  /// The client is gone: its memory and descriptors too, and the NIC is as after power-on.
  func disconnect() {
    lines.reset()
    device.withMemory { map.removeAll(from: &$0) }
    device.reset()
    configuration.reset()
  }

  // MARK: - Surviving

  /// What a keeper knows descriptors by that are in use.
  var keys: Set<UInt64> { Set(lines.keys + map.keys) }

  /// Exchanges what the client has said with a record, and maps the guest's memory that is restored.
  ///
  /// - Parameter channel: has the descriptors that the record tells of.
  func exchange(with record: inout StateRecord, taking channel: KeeperChannel?) {
    configuration.exchange(with: &record)
    lines.exchange(with: &record, taking: channel)
    device.withMemory { map.exchange(with: &record, taking: channel, into: &$0) }
  }

  var nextTimer: UInt64? { configuration.isBusMaster ? device.nextTimer : nil }
  var uplinkDescriptor: Int32? { configuration.isBusMaster ? device.uplinkDescriptor : nil }
  var kicks: [Int32] { [] }
  func followCarrier() { device.followCarrier() }
  var report: GuestReport { device.report }
  var failure: HostError? { device.failure }
}

extension RegisterWidth {
  fileprivate init?(_ count: Int) {
    guard let width = UInt8(exactly: count).flatMap({ RegisterWidth(rawValue: $0) }) else { return nil }
    self = width
  }
}
