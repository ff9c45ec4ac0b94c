public import AllyHW
public import AllyRings

/// Where a simulated machine has what, and how much of it.
public struct MachineLayout: Sendable {
  /// Bytes of OS memory: a multiple of 2 MiB. The boundary to DPI memory lies there; with more than 2 GiB it lies above
  /// 4 GiB, behind the devices' addresses, and the OS has 3 GiB at least.
  public var osMemory: UInt64
  /// What the queue pair may take; DPI memory follows.
  public var limits: RingLimits
  public var protection: PacketProtection
  /// How many redirected accesses may wait; a power of two.
  public var accessLogCapacity: Int

  /// OS memory is 32 MiB by default: kernel, rings and buffers of a small driver.
  public init(
    osMemory: UInt64 = 32 << 20, limits: RingLimits = RingLimits(), protection: PacketProtection = .inPlace,
    accessLogCapacity: Int = 256
  ) {
    self.osMemory = osMemory
    self.limits = limits
    self.protection = protection
    self.accessLogCapacity = accessLogCapacity
  }

  /// The OS core and the DPI core.
  public static var osCore: LocalAPICID { LocalAPICID(0) }
  public static var dpiCore: LocalAPICID { LocalAPICID(1) }
  /// The NIC's place on the PCI bus, on the I/O APIC, and in the physical address space.
  public static var nic: RequesterID { RequesterID(bus: 0, device: 5, function: 0) }
  /// The NIC's MAC address, six bytes.
  static var nicAddress: [UInt8] { [0x52, 0x54, 0x00, 0x12, 0x34, 0x56] }
  public static var nicPin: UInt8 { 21 }
  public static var nicRegisters: PhysicalAddress { PhysicalAddress(0xFEB0_0000) }
  /// The vectors at which the OS hears of the NIC's pin, and the DPI core of the NIC and of redirected accesses.
  public static var osVector: UInt8 { 0x31 }
  /// The first of the OS's vectors for the NIC's messages, one for each.
  public static var osMessageVector: UInt8 { 0x60 }
  public static var nicVector: UInt8 { 0x41 }
  public static var redirectionVector: UInt8 { 0x51 }

  /// The kernel's page tables, in which the OS core sets what it has accessed. They and the driver's memory are all that the
  /// OS uses.
  public static var pageTables: PhysicalAddress { PhysicalAddress(0x10_0000) }
  public static var pageTableLength: UInt64 { pageTablePages * 0x1000 }
  static var pageTablePages: UInt64 { 64 }
  /// Where the OS driver may put rings and buffers.
  public static var driverMemory: PhysicalAddress { PhysicalAddress(0x40_0000) }

  var boundary: PhysicalAddress {
    osMemory <= 2 << 30 ? PhysicalAddress(osMemory) : DRAM.address(after: max(osMemory, DRAM.holeStart))
  }
  /// How much memory the machine needs, for DPI memory that ends there.
  func memory(upTo end: PhysicalAddress) -> UInt64 {
    end.rawValue <= DRAM.holeStart ? end.rawValue : end.rawValue - (DRAM.holeEnd - DRAM.holeStart)
  }
  /// DPI memory: the Remapping Table, the shadow registers, the access log, the queue pair.
  var remappingTable: PhysicalAddress { boundary }
  var shadowRegisters: PhysicalAddress { boundary.advanced(by: 0x1000) }
  func accessLog(_ shadowLength: UInt32) -> PhysicalAddress { shadowRegisters.advanced(by: UInt64(shadowLength)) }
  func rings(_ shadowLength: UInt32) -> PhysicalAddress {
    let length = UInt64(AccessLog.byteCount(capacity: accessLogCapacity))
    return accessLog(shadowLength).advanced(by: (length + 0xFFF) & ~0xFFF)
  }
  func end(_ shadowLength: UInt32, ringMemory: UInt64) -> PhysicalAddress {
    PhysicalAddress((rings(shadowLength).rawValue + ringMemory + 0x1F_FFFF) & ~0x1F_FFFF)
  }
  /// How far shadow registers reach: to the end of the last intercepted register, in whole pages.
  static func shadowLength(_ ranges: [RegisterRange]) -> UInt32 {
    var end: UInt32 = 0
    for range in ranges where range.disposition == .redirect || range.disposition == .shadowOnly {
      end = max(end, range.offset + range.length)
    }
    return (end + 0xFFF) & ~0xFFF
  }
}
