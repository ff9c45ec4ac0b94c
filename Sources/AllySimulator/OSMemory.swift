public import AllyHW

/// The OS side's view of the machine: one core, and the address space that its kernel has set up. What the models of OS
/// drivers run on; everything they touch goes through the core's MMU.
///
/// All of OS memory is mapped at ``directMap``, write-back, in 2 MiB pages, as stock kernels do; device registers are
/// mapped uncacheable at ``deviceMap``.
public struct OSMemory: ~Copyable {
  /// Physical address 0 is here.
  public static var directMap: UInt64 { 0xFFFF_8880_0000_0000 }
  /// The NIC's register BAR is here.
  public static var deviceMap: UInt64 { 0xFFFF_C900_0000_0000 }

  public var core: Core<AllyExtension>

  /// Accesses that ended in a fault: an OS would have panicked.
  public private(set) var faults: UInt64 = 0

  init(core: consuming Core<AllyExtension>) { self.core = core }

  /// The kernel's address of a physical one.
  public static func virtual(_ physical: PhysicalAddress) -> VirtualAddress {
    VirtualAddress(directMap &+ physical.rawValue)
  }

  /// Loads eight bytes of memory; 0 on a fault.
  public mutating func load<Bus: MMIOBus & ~Copyable>(
    _ physical: PhysicalAddress, _ northbridge: inout Northbridge, _ devices: inout Bus
  ) -> UInt64 {
    switch core.load(Self.virtual(physical), width: .quadWord, on: &northbridge, devices: &devices) {
    case .done(let value): return value
    case .waits, .fault:
      faults += 1
      return 0
    }
  }

  /// Stores eight bytes of memory.
  public mutating func store<Bus: MMIOBus & ~Copyable>(
    _ value: UInt64, at physical: PhysicalAddress, _ northbridge: inout Northbridge, _ devices: inout Bus
  ) {
    let outcome = core.store(value, at: Self.virtual(physical), width: .quadWord, on: &northbridge, devices: &devices)
    if case .done = outcome { return }
    faults += 1
  }

  /// Copies `count` bytes of memory to the end of `bytes`, page by page through the MMU; false on a fault.
  public mutating func read(
    _ physical: PhysicalAddress, count: Int, into bytes: inout [UInt8], _ northbridge: borrowing Northbridge
  ) -> Bool {
    core.mmu.adopt(northbridge.configuration)
    var address = Self.virtual(physical)
    var left = count
    while left > 0 {
      let length = min(left, 0x1000 - Int(address.rawValue & 0xFFF))
      guard
        case .physical(let place) = core.mmu.translate(
          address, length: UInt64(length), rights: .read, memory: northbridge.memory, remapping: northbridge.remapping),
        let source = unsafe northbridge.memory.pointer(at: place, length: UInt64(length), for: .read)
      else {
        faults += 1
        return false
      }
      unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: source, count: length))
      address = VirtualAddress(address.rawValue + UInt64(length))
      left -= length
    }
    return true
  }

  /// Copies bytes into memory, page by page through the MMU; false on a fault.
  public mutating func write(
    _ source: RawSpan, to physical: PhysicalAddress, _ northbridge: borrowing Northbridge
  ) -> Bool {
    core.mmu.adopt(northbridge.configuration)
    var address = Self.virtual(physical)
    var done = 0
    while done < source.byteCount {
      let length = min(source.byteCount - done, 0x1000 - Int(address.rawValue & 0xFFF))
      guard
        case .physical(let place) = core.mmu.translate(
          address, length: UInt64(length), rights: .write, memory: northbridge.memory,
          remapping: northbridge.remapping),
        let target = unsafe northbridge.memory.pointer(at: place, length: UInt64(length), for: .write)
      else {
        faults += 1
        return false
      }
      // `length` bytes are left in the source from `done`, and behind `target`.
      unsafe source.extracting(done..<(done + length)).withUnsafeBytes { bytes in
        unsafe target.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped, byteCount: length)
      }
      address = VirtualAddress(address.rawValue + UInt64(length))
      done += length
    }
    return true
  }
}
