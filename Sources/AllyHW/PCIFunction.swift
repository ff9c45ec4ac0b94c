/// A base address register of a PCI function.
@frozen
public struct BaseAddressRegister: Sendable, BitwiseCopyable, Equatable {
  /// What a base address register asks for.
  @frozen
  public enum Kind: UInt8, Sendable, BitwiseCopyable {
    case memory32
    case memory64
    case io
  }

  public var kind: Kind
  /// The length in bytes, a power of two; 0 when the register does not exist.
  public var length: UInt64
  public var isPrefetchable: Bool
  /// Where the OS has put it.
  public var base: UInt64

  @inlinable
  public init(kind: Kind, length: UInt64, isPrefetchable: Bool = false, base: UInt64 = 0) {
    self.kind = kind
    self.length = length
    self.isPrefetchable = isPrefetchable
    self.base = base
  }

  /// A register that does not exist.
  @inlinable public static var none: Self { Self(kind: .memory32, length: 0) }
}

/// A capability in a PCI function's configuration space, as far as its place goes (PCI Local Bus Specification 3.0, §6.7
/// and appendix H).
@frozen
public struct PCICapability: Sendable, BitwiseCopyable, Equatable {
  /// What a capability is about.
  @frozen
  public struct Kind: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
    public var rawValue: UInt8
    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable public static var powerManagement: Kind { Kind(rawValue: 0x01) }
    @inlinable public static var messageSignaledInterrupts: Kind { Kind(rawValue: 0x05) }
    @inlinable public static var pciX: Kind { Kind(rawValue: 0x07) }
    @inlinable public static var vendorSpecific: Kind { Kind(rawValue: 0x09) }
    @inlinable public static var pciExpress: Kind { Kind(rawValue: 0x10) }
    @inlinable public static var messageSignaledInterruptsExtended: Kind { Kind(rawValue: 0x11) }
  }

  public var kind: Kind
  /// The offset in configuration space, a multiple of 4 and at least 0x40.
  public var offset: UInt8

  @inlinable
  public init(kind: Kind, offset: UInt8) {
    self.kind = kind
    self.offset = offset
  }
}

/// Where a PCI function has its table of interrupt messages (PCI Local Bus Specification 3.0, §6.8.2).
@frozen
public struct MSIXLayout: Sendable, BitwiseCopyable, Equatable {
  /// How many messages there are; 1 to 32 here.
  public var vectors: Int
  /// The base address register behind which table and pending bits lie.
  public var register: Int
  /// The table's offset there, a multiple of 8; 16 bytes for each message.
  public var tableOffset: UInt32
  /// The pending bits' offset there, a multiple of 8.
  public var pendingOffset: UInt32

  @inlinable
  public init(vectors: Int, register: Int, tableOffset: UInt32, pendingOffset: UInt32) {
    self.vectors = vectors
    self.register = register
    self.tableOffset = tableOffset
    self.pendingOffset = pendingOffset
  }
}

/// A PCI function as plain data: what an OS finds when it enumerates the bus.
public struct PCIFunction: Sendable, Equatable {
  public var vendorID: UInt16
  public var deviceID: UInt16
  public var revision: UInt8
  /// Base class, subclass and programming interface: 0x020000 for an Ethernet controller.
  public var classCode: UInt32
  public var subsystemVendorID: UInt16
  public var subsystemID: UInt16
  /// INTA# to INTD# as 1 to 4; 0 for none.
  public var interruptPin: UInt8
  /// Up to six base address registers.
  public var baseAddressRegisters: [BaseAddressRegister]
  public var capabilities: [PCICapability]
  /// Where the table of interrupt messages is; nil for a function without the MSI-X capability.
  public var msix: MSIXLayout?
  /// The structures of a virtio device; empty for any other.
  public var virtioStructures: [VirtioPCIStructure]

  public init(
    vendorID: UInt16, deviceID: UInt16, revision: UInt8, classCode: UInt32, subsystemVendorID: UInt16,
    subsystemID: UInt16, interruptPin: UInt8, baseAddressRegisters: [BaseAddressRegister],
    capabilities: [PCICapability], msix: MSIXLayout? = nil,
    virtioStructures: [VirtioPCIStructure] = []
  ) {
    self.vendorID = vendorID
    self.deviceID = deviceID
    self.revision = revision
    self.classCode = classCode
    self.subsystemVendorID = subsystemVendorID
    self.subsystemID = subsystemID
    self.interruptPin = interruptPin
    self.baseAddressRegisters = baseAddressRegisters
    self.capabilities = capabilities
    self.msix = msix
    self.virtioStructures = virtioStructures
  }
}
