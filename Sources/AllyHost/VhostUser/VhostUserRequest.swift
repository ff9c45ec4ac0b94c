/// A piece of guest memory, as a front end tells of it.
struct VhostUserRegion: Equatable {
  var address: UInt64
  var length: UInt64
  /// Where the front end itself has it: the addresses of rings are such.
  var userAddress: UInt64
  /// Where in the file that comes along it begins.
  var fileOffset: UInt64
}

/// Where the three parts of a ring are, in the front end's own addresses.
struct VhostUserRingAddresses: Equatable {
  var descriptors: UInt64
  var used: UInt64
  var available: UInt64
}

/// What a front end asks for, out of bytes that nobody vouches for (vhost-user specification, "Front-end message types").
enum VhostUserRequest: Equatable {
  case getFeatures
  case setFeatures(UInt64)
  case setOwner
  case resetOwner
  case setMemoryTable([VhostUserRegion])
  case setRingSize(ring: Int, UInt32)
  case setRingAddresses(ring: Int, VhostUserRingAddresses)
  case setRingBase(ring: Int, UInt32)
  case getRingBase(ring: Int)
  /// Without a descriptor, the ring is to be polled, or not to interrupt.
  case setRingKick(ring: Int, hasDescriptor: Bool)
  case setRingCall(ring: Int, hasDescriptor: Bool)
  case setRingError(ring: Int, hasDescriptor: Bool)
  case getProtocolFeatures
  case setProtocolFeatures(UInt64)
  case getQueueCount
  case enableRing(ring: Int, Bool)
  case setMTU(UInt64)
  case setBackEndRequests
  case getConfiguration(offset: UInt32, count: UInt32)
  case setConfiguration
  case getInflight(VhostUserInflightShape)
  case setInflight(VhostUserInflightShape)
  case resetDevice
  case getMemorySlots
  case addRegion(VhostUserRegion)
  case removeRegion(VhostUserRegion)
  case setStatus(UInt64)
  case getStatus

  /// The most regions that a table has; more come one by one.
  static let tableCapacity: UInt32 = 8
  /// The most bytes of configuration that are asked for at once.
  static let configurationCapacity: UInt32 = 256

  private static let migration: Set<UInt32> = [6, 7, 19, 28, 29, 30, 42, 43]

  init(_ request: UInt32, _ payload: ArraySlice<UInt8>) throws(VhostUserRefusal) {
    var reader = LittleEndianReader(payload)
    func missing() -> VhostUserRefusal { VhostUserRefusal("request \(request) with \(payload.count) bytes") }
    func number() throws(VhostUserRefusal) -> UInt64 {
      guard let value = reader.take(UInt64.self) else { throw missing() }
      return value
    }
    func word() throws(VhostUserRefusal) -> UInt32 {
      guard let value = reader.take(UInt32.self) else { throw missing() }
      return value
    }
    func region() throws(VhostUserRefusal) -> VhostUserRegion {
      VhostUserRegion(
        address: try number(), length: try number(), userAddress: try number(), fileOffset: try number())
    }
    switch request {
    case 1: self = .getFeatures
    case 2: self = .setFeatures(try number())
    case 3: self = .setOwner
    case 4: self = .resetOwner
    case 5:
      let count = try word()
      _ = try word()
      guard count <= Self.tableCapacity else { throw VhostUserRefusal("a memory table of \(count) regions") }
      var regions: [VhostUserRegion] = []
      for _ in 0..<count { regions.append(try region()) }
      self = .setMemoryTable(regions)
    case 8: self = .setRingSize(ring: Int(try word()), try word())
    case 9:
      let ring = Int(try word())
      _ = try word()
      let descriptors = try number()
      let used = try number()
      let available = try number()
      self = .setRingAddresses(
        ring: ring, VhostUserRingAddresses(descriptors: descriptors, used: used, available: available))
    case 10: self = .setRingBase(ring: Int(try word()), try word())
    case 11: self = .getRingBase(ring: Int(try word()))
    case 12, 13, 14:
      let value = try number()
      let ring = Int(value & 0xFF)
      let hasDescriptor = value & 0x100 == 0
      switch request {
      case 12: self = .setRingKick(ring: ring, hasDescriptor: hasDescriptor)
      case 13: self = .setRingCall(ring: ring, hasDescriptor: hasDescriptor)
      default: self = .setRingError(ring: ring, hasDescriptor: hasDescriptor)
      }
    case 15: self = .getProtocolFeatures
    case 16: self = .setProtocolFeatures(try number())
    case 17: self = .getQueueCount
    case 18:
      let ring = Int(try word())
      let state = try word()
      guard state <= 1 else { throw VhostUserRefusal("ring \(ring) is to be enabled by \(state)") }
      self = .enableRing(ring: ring, state == 1)
    case 20: self = .setMTU(try number())
    case 21: self = .setBackEndRequests
    case 24:
      let offset = try word()
      let count = try word()
      _ = try word()
      self = .getConfiguration(offset: offset, count: count)
    case 25: self = .setConfiguration
    case 31, 32:
      let length = try number()
      let offset = try number()
      guard let queues = reader.take(UInt16.self), let size = reader.take(UInt16.self) else { throw missing() }
      let shape = VhostUserInflightShape(length: length, offset: offset, queues: queues, size: size)
      self = request == 31 ? .getInflight(shape) : .setInflight(shape)
    case 34: self = .resetDevice
    case 36: self = .getMemorySlots
    case 37, 38:
      _ = try number()
      let region = try region()
      self = request == 37 ? .addRegion(region) : .removeRegion(region)
    case 39: self = .setStatus(try number())
    case 40: self = .getStatus
    case let other where Self.migration.contains(other):
      throw VhostUserRefusal("live migration: the NIC's state is in this process and cannot leave it")
    default: throw VhostUserRefusal("request \(request), which this back end does not have")
    }
  }

  /// Whether a reply belongs to a request, acknowledgements apart.
  static func hasReply(_ request: UInt32) -> Bool { [1, 11, 15, 17, 24, 31, 36, 40, 41, 42, 43].contains(request) }
}
