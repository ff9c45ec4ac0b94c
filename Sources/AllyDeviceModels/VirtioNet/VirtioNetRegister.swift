/// Where the structures of the modern PCI transport lie in the register BAR (virtio 1.2, §4.1.4), a page for each. The same
/// places as QEMU's, though drivers find them by the capabilities.
enum VirtioNetRegister {
  static let common: UInt32 = 0x0000
  static let interruptStatus: UInt32 = 0x1000
  static let device: UInt32 = 0x2000
  static let notification: UInt32 = 0x3000
  /// The end of the notification structure, and of the BAR.
  static let end: UInt32 = 0x4000
  /// Bytes between the notification addresses of two queues.
  static let notificationStride: UInt32 = 4
}

/// Offsets in the common configuration structure (virtio 1.2, §4.1.4.3).
enum VirtioCommon {
  static let deviceFeatureSelect: UInt32 = 0x00
  static let deviceFeature: UInt32 = 0x04
  static let driverFeatureSelect: UInt32 = 0x08
  static let driverFeature: UInt32 = 0x0C
  static let configurationVector: UInt32 = 0x10
  static let queueCount: UInt32 = 0x12
  static let status: UInt32 = 0x14
  static let generation: UInt32 = 0x15
  static let queueSelect: UInt32 = 0x16
  static let queueSize: UInt32 = 0x18
  static let queueVector: UInt32 = 0x1A
  static let queueEnable: UInt32 = 0x1C
  static let queueNotifyOffset: UInt32 = 0x1E
  static let queueDescriptors: UInt32 = 0x20
  static let queueDriver: UInt32 = 0x28
  static let queueDevice: UInt32 = 0x30
  static let queueNotifyData: UInt32 = 0x38
  static let queueReset: UInt32 = 0x3A
  static let end: UInt32 = 0x3C
}

/// Bits of the device status (virtio 1.2, §2.1).
struct VirtioStatus: OptionSet {
  var rawValue: UInt8
  static let acknowledge = Self(rawValue: 1)
  static let driver = Self(rawValue: 2)
  static let driverOK = Self(rawValue: 4)
  static let featuresOK = Self(rawValue: 8)
  static let needsReset = Self(rawValue: 64)
  static let failed = Self(rawValue: 128)
}

/// Feature bits of a network device and of virtqueues (virtio 1.2, §5.1.3 and §6).
@frozen
public struct VirtioNetFeatures: OptionSet, Sendable, BitwiseCopyable, Hashable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  init(bit: UInt64) { rawValue = 1 << bit }

  /// The device completes checksums of frames that the driver sends.
  public static var checksum: Self { Self(bit: 0) }
  /// The driver takes frames whose checksum the device has verified, or that have none.
  public static var guestChecksum: Self { Self(bit: 1) }
  public static var macAddress: Self { Self(bit: 5) }
  /// The device cuts TCP frames over IPv4 into segments.
  public static var hostTSO4: Self { Self(bit: 11) }
  /// The device cuts TCP frames over IPv6 into segments.
  public static var hostTSO6: Self { Self(bit: 12) }
  public static var hostECN: Self { Self(bit: 13) }
  /// A received frame may fill several buffers.
  public static var mergeableBuffers: Self { Self(bit: 15) }
  public static var status: Self { Self(bit: 16) }
  public static var controlQueue: Self { Self(bit: 17) }
  public static var controlReceive: Self { Self(bit: 18) }
  public static var controlVLAN: Self { Self(bit: 19) }
  public static var controlReceiveExtra: Self { Self(bit: 20) }
  public static var multipleQueues: Self { Self(bit: 22) }
  public static var controlMACAddress: Self { Self(bit: 23) }
  public static var indirectDescriptors: Self { Self(bit: 28) }
  public static var eventIndex: Self { Self(bit: 29) }
  public static var version1: Self { Self(bit: 32) }
  public static var packedRing: Self { Self(bit: 34) }
  public static var ringReset: Self { Self(bit: 40) }

  /// All that ``VirtioNetModel`` can do.
  public static var all: Self {
    [
      .checksum, .guestChecksum, .macAddress, .hostTSO4, .hostTSO6, .hostECN, .mergeableBuffers, .status, .controlQueue,
      .controlReceive, .controlVLAN, .controlReceiveExtra, .multipleQueues, .controlMACAddress, .indirectDescriptors,
      .eventIndex, .version1, .packedRing, .ringReset,
    ]
  }

  /// Whether each feature has those that it requires (virtio 1.2, §5.1.3.1).
  var isConsistent: Bool {
    guard contains(.version1) else { return false }
    if !isDisjoint(with: [.hostTSO4, .hostTSO6]), !contains(.checksum) { return false }
    if contains(.hostECN), isDisjoint(with: [.hostTSO4, .hostTSO6]) { return false }
    let controls: Self = [.controlReceive, .controlVLAN, .multipleQueues, .controlMACAddress, .controlReceiveExtra]
    return isDisjoint(with: controls) || contains(.controlQueue)
  }
}
