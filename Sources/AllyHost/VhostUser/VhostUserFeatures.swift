/// Feature bits that the vhost-user protocol adds to those of the device.
enum VhostUserFeatures {
  /// The front end would follow what is written to memory: for live migration.
  static let logAll: UInt64 = 1 << 26
  static let protocolFeatures: UInt64 = 1 << 30

  /// What of a network device's features concerns the back end: offloads, buffers, queues. Address, link and control queue
  /// are the front end's.
  static let device: UInt64 = 0b11 | 0b111 << 11 | 1 << 15 | 1 << 22 | 0b11 << 28 | 1 << 32 | 1 << 34
  static let multipleQueues: UInt64 = 1 << 22
  /// Several queues need a control queue (virtio 1.2, §5.1.3.1), which stays with the front end.
  static let controlQueue: UInt64 = 1 << 17
  static let packedRing: UInt64 = 1 << 34
}

/// Protocol feature bits (vhost-user specification, "Protocol features").
enum VhostUserProtocolFeatures {
  static let multipleQueues: UInt64 = 1 << 0
  static let acknowledgements: UInt64 = 1 << 3
  static let mtu: UInt64 = 1 << 4
  static let backEndRequests: UInt64 = 1 << 5
  static let configuration: UInt64 = 1 << 9
  static let inflight: UInt64 = 1 << 12
  static let resetDevice: UInt64 = 1 << 13
  static let memorySlots: UInt64 = 1 << 15
  static let status: UInt64 = 1 << 16

  /// What this back end has. Without LOG_SHMFD a front end does not migrate.
  static let served =
    multipleQueues | acknowledgements | mtu | backEndRequests | configuration | inflight | resetDevice | memorySlots
    | status
}
