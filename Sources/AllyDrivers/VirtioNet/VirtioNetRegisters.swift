public import AllyHW

/// The structures of a virtio network device behind the modern PCI transport (virtio 1.2, §4.1.4), and what becomes of an OS
/// core's access to them.
///
/// They are at the places of `VirtioPCIWindow`, wherever the device has them. The network device's own configuration passes
/// through: it is only read.
public enum VirtioNetRegisters {
  @inlinable public static var common: UInt32 { VirtioPCIWindow.common }
  @inlinable public static var commonLength: UInt32 { 0x3C }
  @inlinable public static var interruptStatus: UInt32 { VirtioPCIWindow.interruptStatus }
  @inlinable public static var device: UInt32 { VirtioPCIWindow.device }
  @inlinable public static var notification: UInt32 { VirtioPCIWindow.notification }
  @inlinable public static var notificationLength: UInt32 { VirtioPCIWindow.partLength }
  @inlinable public static var notificationMultiplier: UInt32 { VirtioPCIWindow.notificationMultiplier }

  // Offsets in the common configuration (§4.1.4.3).
  @inlinable public static var deviceFeatureSelect: UInt32 { 0x00 }
  @inlinable public static var deviceFeature: UInt32 { 0x04 }
  @inlinable public static var driverFeatureSelect: UInt32 { 0x08 }
  @inlinable public static var driverFeature: UInt32 { 0x0C }
  @inlinable public static var configurationVector: UInt32 { 0x10 }
  @inlinable public static var queueCount: UInt32 { 0x12 }
  @inlinable public static var status: UInt32 { 0x14 }
  @inlinable public static var generation: UInt32 { 0x15 }
  @inlinable public static var queueSelect: UInt32 { 0x16 }
  @inlinable public static var queueSize: UInt32 { 0x18 }
  @inlinable public static var queueVector: UInt32 { 0x1A }
  @inlinable public static var queueEnable: UInt32 { 0x1C }
  @inlinable public static var queueNotifyOffset: UInt32 { 0x1E }
  @inlinable public static var queueDescriptors: UInt32 { 0x20 }
  @inlinable public static var queueDriver: UInt32 { 0x28 }
  @inlinable public static var queueDevice: UInt32 { 0x30 }
  /// `max_virtqueue_pairs` in the network device's configuration (§5.1.4).
  @inlinable public static var maximumPairs: UInt32 { device + 8 }

  public static var map: [RegisterRange] {
    [
      RegisterRange(offset: common, length: commonLength, disposition: .redirect),
      RegisterRange(offset: interruptStatus, length: 4, disposition: .redirect, clearsOnRead: true),
      RegisterRange(offset: notification, length: notificationLength, disposition: .redirect),
    ]
  }
}

/// Bits of the device status (virtio 1.2, §2.1).
enum VirtioStatusBits {
  static let driverOK: UInt8 = 4
  static let featuresOK: UInt8 = 8
  static let needsReset: UInt8 = 64
  static let failed: UInt8 = 128
}

/// Feature bits (virtio 1.2, §5.1.3 and §6).
enum VirtioFeatureBits {
  /// The driver takes super-frames: GUEST_TSO4, GUEST_TSO6, GUEST_UFO.
  static var guestSegments: UInt64 { 1 << 7 | 1 << 8 | 1 << 10 }
  static var mergeableBuffers: UInt64 { 1 << 15 }
  static var controlQueue: UInt64 { 1 << 17 }
  static var multipleQueues: UInt64 { 1 << 22 }
  static var indirectDescriptors: UInt64 { 1 << 28 }
  static var eventIndex: UInt64 { 1 << 29 }
  static var packedRing: UInt64 { 1 << 34 }

  /// What the OS is offered, if the NIC offers it: what does not change the header in front of each frame, nor what a
  /// queue is, beyond what the virtualizer knows.
  static var served: UInt64 {
    // Bits 0 to 2, 5, 7 to 23, 28 and 29, 32, 34, 63.
    let low: UInt64 = 0b111 | 1 << 5 | 0x00FF_FF80 | 0b11 << 28
    return low | 1 << 32 | 1 << 34 | 1 << 63
  }

  /// What concerns the OS's queues alone: the NIC's twins are split, without indirect descriptors or event index.
  static var osSide: UInt64 { indirectDescriptors | eventIndex | packedRing }
}
