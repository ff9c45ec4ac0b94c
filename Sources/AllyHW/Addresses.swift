/// An address on the memory bus, after every translation.
@frozen
public struct PhysicalAddress: RawRepresentable, Sendable, BitwiseCopyable, Hashable, Comparable {
  public var rawValue: UInt64
  @inlinable
  @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  @inline(__always)
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  /// The address `count` bytes further up, modulo 2^64.
  @inlinable
  @inline(__always)
  public func advanced(by count: UInt64) -> Self { Self(rawValue &+ count) }
}

/// An address as software on a core uses it, before the MMU.
@frozen
public struct VirtualAddress: RawRepresentable, Sendable, BitwiseCopyable, Hashable, Comparable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  /// Bits 56–12: the page that a page table maps. With four levels, bits 56–48 of an address that is valid are copies of
  /// bit 47, so that the number is unique then too.
  @inlinable
  @inline(__always)
  public var pageNumber: UInt64 { (rawValue & 0x01FF_FFFF_FFFF_FFFF) >> 12 }
}

extension VirtualAddress {
  /// The linear address of a real-address mode access: 16 times the segment, plus the offset (Intel 64 SDM volume 3,
  /// §21.1.1).
  ///
  /// The offset has 32 bits, because a segment keeps the limit that it had in protected mode ("unreal mode").
  @inlinable
  public init(segment: UInt16, offset: UInt32) {
    self.rawValue = UInt64(segment) << 4 &+ UInt64(offset)
  }
}

/// An address as a device uses it for DMA, before the IOMMU.
@frozen
public struct BusAddress: RawRepresentable, Sendable, BitwiseCopyable, Hashable, Comparable {
  public var rawValue: UInt64
  @inlinable
  @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  @inline(__always)
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What an access wants to do with memory; also what a mapping allows.
@frozen
public struct AccessRights: OptionSet, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inlinable
  @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  @inlinable
  @inline(__always)
  public static var read: AccessRights { AccessRights(rawValue: 1) }
  @inlinable
  @inline(__always)
  public static var write: AccessRights { AccessRights(rawValue: 2) }
  @inlinable
  @inline(__always)
  public static var execute: AccessRights { AccessRights(rawValue: 4) }
  @inlinable
  @inline(__always)
  public static var readWrite: AccessRights { AccessRights(rawValue: 3) }
  @inlinable
  @inline(__always)
  public static var all: AccessRights { AccessRights(rawValue: 7) }
}

/// Who makes an access. Every translation is told (decision 3 of Docs/Architecture.md).
@frozen
public enum Requester: Sendable, BitwiseCopyable, Hashable {
  /// A core, by its local APIC id.
  case core(LocalAPICID)
  /// A PCI function, by its requester id (bus, device, function).
  case device(RequesterID)
}

/// A local APIC's id (xAPIC: 8 bits, x2APIC: 32 bits).
@frozen
public struct LocalAPICID: RawRepresentable, Sendable, BitwiseCopyable, Hashable {
  public var rawValue: UInt32
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable
  public init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// A PCI requester id: bus in bits 15–8, device in 7–3, function in 2–0 (PCI Express Base §2.2.6.2).
@frozen
public struct RequesterID: RawRepresentable, Sendable, BitwiseCopyable, Hashable {
  public var rawValue: UInt16
  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable
  public init(bus: UInt8, device: UInt8, function: UInt8) {
    self.rawValue = UInt16(bus) << 8 | UInt16(device & 31) << 3 | UInt16(function & 7)
  }
}
