import Synchronization

/// What became of a core's load or store.
@frozen
public enum AccessOutcome: Sendable, BitwiseCopyable, Equatable {
  /// The access is done; `value` is what a load gave, or what was stored.
  case done(UInt64)
  /// The DPI core has to make room in the log of redirected accesses first; the access has done nothing, and the core
  /// tries again.
  case waits
  /// A page fault or its like, which the core raises as an exception.
  case fault(TranslationFault)

  /// The value of an access that is done.
  @inlinable public var value: UInt64? {
    if case .done(let value) = self { value } else { nil }
  }
}

/// What a core's loads and stores came to.
@frozen
public struct CoreCounters: Sendable, BitwiseCopyable, Equatable {
  public var memoryAccesses: UInt64 = 0
  /// Accesses that reached a device.
  public var deviceAccesses: UInt64 = 0
  /// Accesses that reached a register of the platform: of an APIC, or of Ally's configuration.
  public var platformAccesses: UInt64 = 0
  /// Accesses that went to a shadow register.
  public var redirectedAccesses: UInt64 = 0
  /// Accesses that no memory and no device answered: loads gave all ones, stores were lost.
  public var unanswered: UInt64 = 0
  /// Tries that had to wait for room in the log.
  public var waits: UInt64 = 0

  @inlinable
  public init() {}
}

/// A core as far as its loads and stores go: from a virtual address through the MMU to memory, to a device, or, when the
/// Remapping Table says so, to the device's shadow registers in DPI memory (paper Figure 3).
///
/// Interrupts of a core are in the ``InterruptUnit``, under its ``id``. A core of the product is a `Core<AllyExtension>`.
@frozen
public struct Core<Extension: MMUExtension>: ~Copyable {
  public let id: LocalAPICID
  public var mmu: MMU<Extension>
  public private(set) var counters: CoreCounters

  public init(id: LocalAPICID, mmu: consuming MMU<Extension>) {
    self.id = id
    self.mmu = mmu
    self.counters = CoreCounters()
  }

  /// A load.
  ///
  /// An access to memory may cross into the next page; one to a device may not
  /// (``TranslationFault/crossesPage``).
  public mutating func load<Bus: MMIOBus & ~Copyable>(
    _ address: VirtualAddress, width: RegisterWidth, privilege: Privilege = .supervisor,
    on northbridge: inout Northbridge, devices: inout Bus
  ) -> AccessOutcome {
    access(address, width, storing: nil, privilege, &northbridge, &devices)
  }

  /// A store of the low bytes of `value`. See ``load(_:width:privilege:on:devices:)``.
  public mutating func store<Bus: MMIOBus & ~Copyable>(
    _ value: UInt64, at address: VirtualAddress, width: RegisterWidth, privilege: Privilege = .supervisor,
    on northbridge: inout Northbridge, devices: inout Bus
  ) -> AccessOutcome {
    access(address, width, storing: value & width.mask, privilege, &northbridge, &devices)
  }

  private mutating func access<Bus: MMIOBus & ~Copyable>(
    _ address: VirtualAddress, _ width: RegisterWidth, storing value: UInt64?, _ privilege: Privilege,
    _ northbridge: inout Northbridge, _ devices: inout Bus
  ) -> AccessOutcome {
    let length = width.byteCount
    mmu.adopt(northbridge.configuration)
    guard length <= 0x1000 &- address.rawValue & 0xFFF else {
      return accessTwoPages(address, width, storing: value, privilege, &northbridge)
    }
    let rights: AccessRights = value == nil ? .read : .write
    switch mmu.translate(
      address, length: length, rights: rights, privilege: privilege, memory: northbridge.memory,
      remapping: northbridge.remapping)
    {
    case .fault(let fault):
      return .fault(fault)
    case .redirected(let physical, let row):
      return redirect(physical, width, row: row, storing: value, &northbridge)
    case .physical(let physical):
      if let place = unsafe northbridge.memory.pointer(at: physical, length: length, for: rights) {
        counters.memoryAccesses &+= 1
        return .done(unsafe Self.touch(place, width, storing: value))
      }
      if Northbridge.holdsRegister(physical) { return platform(physical, width, storing: value, &northbridge) }
      if let value {
        if devices.writeDevice(physical, value: value, width: width) {
          counters.deviceAccesses &+= 1
        } else {
          counters.unanswered &+= 1
        }
        return .done(value)
      }
      if let loaded = devices.readDevice(physical, width: width) {
        counters.deviceAccesses &+= 1
        return .done(loaded & width.mask)
      }
      counters.unanswered &+= 1
      return .done(width.mask)
    }
  }

  mutating func noteMemoryAccess() { counters.memoryAccesses &+= 1 }

  /// An access to a page of the platform's registers.
  private mutating func platform(
    _ physical: PhysicalAddress, _ width: RegisterWidth, storing value: UInt64?, _ northbridge: inout Northbridge
  ) -> AccessOutcome {
    let isAnswered: Bool
    let result: UInt64
    if let value {
      isAnswered = northbridge.writeRegister(physical, value: value, width: width, by: id, role: mmu.role)
      result = value
    } else {
      let loaded = northbridge.readRegister(physical, width: width, by: id, role: mmu.role)
      isAnswered = loaded != nil
      result = (loaded ?? .max) & width.mask
    }
    if isAnswered { counters.platformAccesses &+= 1 } else { counters.unanswered &+= 1 }
    return .done(result)
  }

  private mutating func redirect(
    _ physical: PhysicalAddress, _ width: RegisterWidth, row: Int, storing value: UInt64?,
    _ northbridge: inout Northbridge
  ) -> AccessOutcome {
    let redirection =
      value.map { northbridge.remapping.store($0, at: physical, width: width, row: row) }
      ?? northbridge.remapping.load(physical, width: width, row: row)
    guard case .done(let result, let notify) = redirection else {
      counters.waits &+= 1
      return .waits
    }
    counters.redirectedAccesses &+= 1
    if notify, let device = northbridge.remapping.device(ofRow: row) {
      northbridge.interrupts.notifyRedirection(by: id, to: device.core, vector: device.vector)
    }
    return .done(result)
  }

  /// An access whose bytes lie in two pages: both are translated before either is touched, and both must be memory.
  private mutating func accessTwoPages(
    _ address: VirtualAddress, _ width: RegisterWidth, storing value: UInt64?, _ privilege: Privilege,
    _ northbridge: inout Northbridge
  ) -> AccessOutcome {
    let rights: AccessRights = value == nil ? .read : .write
    let firstLength = 0x1000 &- address.rawValue & 0xFFF
    let secondLength = width.byteCount &- firstLength
    let first = mmu.translate(
      address, length: firstLength, rights: rights, privilege: privilege, memory: northbridge.memory,
      remapping: northbridge.remapping)
    if case .fault(let fault) = first { return .fault(fault) }
    let second = mmu.translate(
      VirtualAddress(address.rawValue &+ firstLength), length: secondLength, rights: rights, privilege: privilege,
      memory: northbridge.memory, remapping: northbridge.remapping)
    if case .fault(let fault) = second { return .fault(fault) }
    guard case .physical(let low) = first, case .physical(let high) = second,
      let lowPlace = unsafe northbridge.memory.pointer(at: low, length: firstLength, for: rights),
      let highPlace = unsafe northbridge.memory.pointer(at: high, length: secondLength, for: rights)
    else { return .fault(.crossesPage) }
    counters.memoryAccesses &+= 1
    var result: UInt64 = 0
    for index in 0..<Int(width.byteCount) {
      // The first `firstLength` bytes are behind the one pointer, the rest behind the other.
      let place =
        unsafe index < Int(firstLength) ? lowPlace + index : highPlace + (index &- Int(firstLength))
      if let value {
        unsafe place.storeBytes(of: UInt8(truncatingIfNeeded: value >> UInt64(8 &* index)), as: UInt8.self)
      } else {
        result |= unsafe UInt64(place.load(as: UInt8.self)) << UInt64(8 &* index)
      }
    }
    return .done(value ?? result)
  }

  /// Loads or stores `width` bytes at `place`, which holds them.
  @unsafe
  private static func touch(
    _ place: UnsafeMutableRawPointer, _ width: RegisterWidth, storing value: UInt64?
  ) -> UInt64 {
    guard UInt(bitPattern: place) & UInt(width.byteCount &- 1) == 0 else {
      return unsafe touchUnaligned(place, width, storing: value)
    }
    // In one piece, and ordered as x86 cores order them: loads acquire, stores release (Intel SDM volume 3, 10.2.2). Other
    // cores and devices may be at the same place, which is aligned, so that an Atomic fits.
    guard let value else {
      return switch width {
      case .byte: unsafe UInt64(cell(place, UInt8.self).pointee.load(ordering: .acquiring))
      case .word: unsafe UInt64(UInt16(littleEndian: cell(place, UInt16.self).pointee.load(ordering: .acquiring)))
      case .doubleWord: unsafe UInt64(UInt32(littleEndian: cell(place, UInt32.self).pointee.load(ordering: .acquiring)))
      case .quadWord: unsafe UInt64(littleEndian: cell(place, UInt64.self).pointee.load(ordering: .acquiring))
      }
    }
    switch width {
    case .byte: unsafe cell(place, UInt8.self).pointee.store(UInt8(truncatingIfNeeded: value), ordering: .releasing)
    case .word:
      unsafe cell(place, UInt16.self).pointee.store(
        UInt16(truncatingIfNeeded: value).littleEndian, ordering: .releasing)
    case .doubleWord:
      unsafe cell(place, UInt32.self).pointee.store(
        UInt32(truncatingIfNeeded: value).littleEndian, ordering: .releasing)
    case .quadWord: unsafe cell(place, UInt64.self).pointee.store(value.littleEndian, ordering: .releasing)
    }
    return value
  }

  @unsafe
  private static func cell<T: BitwiseCopyable & AtomicRepresentable>(
    _ place: UnsafeMutableRawPointer, _ type: T.Type
  ) -> UnsafeMutablePointer<Atomic<T>> {
    unsafe place.assumingMemoryBound(to: Atomic<T>.self)
  }

  /// Byte by byte, which is what it may look like to others.
  @unsafe
  private static func touchUnaligned(
    _ place: UnsafeMutableRawPointer, _ width: RegisterWidth, storing value: UInt64?
  ) -> UInt64 {
    var result: UInt64 = 0
    for index in 0..<Int(width.byteCount) {
      if let value {
        unsafe (place + index).storeBytes(of: UInt8(truncatingIfNeeded: value >> UInt64(8 &* index)), as: UInt8.self)
      } else {
        result |= unsafe UInt64((place + index).load(as: UInt8.self)) << UInt64(8 &* index)
      }
    }
    return value ?? result
  }
}
