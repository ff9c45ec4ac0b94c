/// Where a virtio device has one of its structures, as a vendor-specific capability says it (virtio 1.2, §4.1.4).
@frozen
public struct VirtioPCIStructure: Sendable, BitwiseCopyable, Equatable {
  /// What a structure is for: the capability's `cfg_type`.
  @frozen
  public enum Kind: UInt8, Sendable, BitwiseCopyable {
    case common = 1
    case notification = 2
    case interruptStatus = 3
    case device = 4
  }

  public var kind: Kind
  /// The capability's offset in configuration space.
  public var capabilityOffset: UInt8
  /// The base address register behind which the structure lies.
  public var register: Int
  /// The structure's offset there, in bytes.
  public var offset: UInt32
  /// Its length in bytes.
  public var length: UInt32
  /// Of the notification structure: the bytes between the addresses of two queues.
  public var notificationMultiplier: UInt32

  @inlinable
  public init(
    kind: Kind, capabilityOffset: UInt8, register: Int, offset: UInt32, length: UInt32,
    notificationMultiplier: UInt32 = 0
  ) {
    self.kind = kind
    self.capabilityOffset = capabilityOffset
    self.register = register
    self.offset = offset
    self.length = length
    self.notificationMultiplier = notificationMultiplier
  }

  /// The capability's place.
  @inlinable public var capability: PCICapability { PCICapability(kind: .vendorSpecific, offset: capabilityOffset) }

  /// The capability's bytes: 16, and 4 more for the notification structure. `next` is the next capability's offset.
  public func bytes(next: UInt8) -> [UInt8] {
    func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) } }
    let isNotification = kind == .notification
    let header = [
      PCICapability.Kind.vendorSpecific.rawValue, next, isNotification ? 20 : 16, kind.rawValue,
      UInt8(truncatingIfNeeded: register), 0, 0, 0,
    ]
    return header + word(offset) + word(length) + (isNotification ? word(notificationMultiplier) : [])
  }
}
