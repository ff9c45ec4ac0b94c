/// The structures of a virtio PCI device as one run of registers at places that do not depend on the device (virtio 1.2, §4.1.4).
///
/// A device says in its capabilities behind which base address register, and where there, each structure lies. Driver modules
/// know the window alone; who reaches the device translates with ``place(of:length:)``. Network devices that emulators have are
/// laid out like the window.
public struct VirtioPCIWindow: Sendable, Equatable {
  @inlinable public static var common: UInt32 { 0x0000 }
  @inlinable public static var interruptStatus: UInt32 { 0x1000 }
  @inlinable public static var device: UInt32 { 0x2000 }
  @inlinable public static var notification: UInt32 { 0x3000 }
  /// Bytes of each structure's part, and of all.
  @inlinable public static var partLength: UInt32 { 0x1000 }
  @inlinable public static var length: UInt32 { 0x4000 }
  /// Bytes between the notification addresses of two queues, for each unit of `queue_notify_off`.
  @inlinable public static var notificationMultiplier: UInt32 { 4 }

  /// Where a register of the window is on the device.
  @frozen
  public struct Place: Sendable, BitwiseCopyable, Equatable {
    /// The base address register.
    public var register: Int
    /// The offset there, in bytes.
    public var offset: UInt64

    @inlinable
    public init(register: Int, offset: UInt64) {
      self.register = register
      self.offset = offset
    }
  }

  private let structures: [VirtioPCIStructure]

  /// The window onto a device with these structures. Of several of one kind the first counts, which the device prefers
  /// (§4.1.4.1).
  ///
  /// - Returns: nil when the device lacks a structure that every driver needs, or has none of them behind a base address register.
  public init?(_ structures: [VirtioPCIStructure]) {
    let usable = structures.filter { (0..<6).contains($0.register) }
    let kinds: [VirtioPCIStructure.Kind] = [.common, .interruptStatus, .device, .notification]
    self.structures = kinds.compactMap { kind in usable.first { $0.kind == kind } }
    guard self.structures.count == kinds.count else { return nil }
  }

  /// Where `length` bytes at an offset of the window are on the device; nil when the device has nothing there.
  public func place(of offset: UInt32, length: UInt64) -> Place? {
    guard offset < Self.length else { return nil }
    let structure = structures[Int(offset / Self.partLength)]
    var inside = UInt64(offset % Self.partLength)
    if structure.kind == .notification {
      let unit = UInt64(Self.notificationMultiplier)
      inside = inside / unit * UInt64(structure.notificationMultiplier) + inside % unit
    }
    guard inside + length <= UInt64(structure.length) else { return nil }
    return Place(register: structure.register, offset: UInt64(structure.offset) + inside)
  }
}
