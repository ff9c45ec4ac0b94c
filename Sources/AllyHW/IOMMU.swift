/// How the IOMMU treats a requester's bus addresses: each requester has a domain of its own.
@frozen
public enum DMADomain: Sendable, BitwiseCopyable, Equatable {
  /// Bus addresses are physical ones, checked against the partition: a machine whose OS does not use its IOMMU.
  case identity
  /// Only pages that were mapped, where they were mapped to.
  case mapped
  /// No DMA at all.
  case blocked
}

/// Why the IOMMU refused an access.
@frozen
public enum DMAFault: UInt8, Error, Sendable, BitwiseCopyable {
  /// A requester that is not authorized reached for DPI memory (paper §4.2).
  case dpiMemory
  /// The requester's domain has no mapping there, or one that does not allow the access.
  case notMapped
  /// The requester may not do DMA.
  case blocked
  /// No memory is behind the translated address, or it does not allow the access.
  case absent
  /// The range is empty or wraps around 2^64.
  case badRange
}

/// A refused access.
@frozen
public struct DMAFaultRecord: Sendable, BitwiseCopyable, Equatable {
  public var requester: RequesterID
  public var address: BusAddress
  public var rights: AccessRights
  public var cause: DMAFault

  @inlinable
  public init(requester: RequesterID, address: BusAddress, rights: AccessRights, cause: DMAFault) {
    self.requester = requester
    self.address = address
    self.rights = rights
    self.cause = cause
  }
}

/// How often the IOMMU refused, by cause.
@frozen
public struct DMAFaultCounters: Sendable, BitwiseCopyable, Equatable {
  public var dpiMemory: UInt64 = 0
  public var notMapped: UInt64 = 0
  public var blocked: UInt64 = 0
  public var absent: UInt64 = 0
  public var badRange: UInt64 = 0

  @inlinable
  public init() {}

  public var total: UInt64 { dpiMemory &+ notMapped &+ blocked &+ absent &+ badRange }
}

/// Why a page cannot be mapped.
public enum DMAMappingError: Error, Equatable, Sendable {
  /// An address is not a multiple of 4,096.
  case notAligned
  /// The table has no room.
  case full
  /// The requester's page is mapped already.
  case alreadyMapped
}

/// The I/O memory management unit (paper §2.1, §4.2): translates devices' bus addresses, and keeps devices that are not
/// authorized out of DPI memory.
///
/// A requester that it does not know is in the identity domain and not authorized. Nothing is allocated after
/// ``init(partition:pages:)``. Owned by the platform.
@frozen
@safe
public struct IOMMU: ~Copyable {
  /// How many requesters can have an entry.
  public static var maximumRequesters: Int { 64 }

  @usableFromInline
  struct Context: BitwiseCopyable {
    @usableFromInline var requester: RequesterID
    @usableFromInline var domain: DMADomain
    @usableFromInline var isAuthorized: Bool
  }

  /// A slot of the page table, which is a hash table with linear probing. A slot was never used (state 0), holds a
  /// mapping (1), or held one (2).
  @usableFromInline
  struct Mapping: BitwiseCopyable {
    var state: UInt8
    var rights: AccessRights
    var requester: RequesterID
    var busPage: UInt64
    var physicalPage: UInt64
  }

  @usableFromInline var contexts: InlineArray<64, Context>
  @usableFromInline var contextCount: Int
  /// The entry that the last translation used.
  @usableFromInline var lastContext: Int
  /// A power of two; never more than half of the slots hold a mapping.
  @usableFromInline let slotCount: Int
  @usableFromInline let slots: UnsafeMutablePointer<Mapping>
  @usableFromInline var mappingCount: Int
  /// The partition that the range check uses; only DPI cores and the firmware change it.
  public var partition: Partition
  public private(set) var faults: DMAFaultCounters
  public private(set) var lastFault: DMAFaultRecord?
  /// Recorded faults that wait for ``takeFault()``.
  public private(set) var faultLog: DMAFaultLog

  /// - Parameters:
  ///   - partition: what the range check goes by.
  ///   - pages: how many 4 KiB pages can be mapped at a time, all ``DMADomain/mapped`` domains together.
  public init(partition: Partition, pages: Int = 1024) {
    precondition(pages > 0 && pages <= 1 << 24, "an IOMMU maps between 1 and 2^24 pages")
    var slotCount = 2
    while slotCount < 2 * pages { slotCount *= 2 }
    self.slotCount = slotCount
    unsafe slots = .allocate(capacity: slotCount)
    unsafe slots.initialize(
      repeating: Mapping(state: 0, rights: [], requester: RequesterID(rawValue: 0), busPage: 0, physicalPage: 0),
      count: slotCount)
    contexts = .init(
      repeating: Context(requester: RequesterID(rawValue: 0), domain: .identity, isAuthorized: false))
    contextCount = 0
    lastContext = 0
    mappingCount = 0
    self.partition = partition
    faults = DMAFaultCounters()
    lastFault = nil
    faultLog = DMAFaultLog()
  }

  deinit { unsafe slots.deallocate() }

  /// Puts a requester into a domain.
  ///
  /// `mayReachDPIMemory` authorizes the requester for DPI memory, as a NIC needs whose rings a DPI core has taken over.
  ///
  /// - Returns: false when there is no room for another requester.
  @discardableResult
  public mutating func attach(
    _ requester: RequesterID, to domain: DMADomain, mayReachDPIMemory: Bool = false
  ) -> Bool {
    let context = Context(requester: requester, domain: domain, isAuthorized: mayReachDPIMemory)
    for index in 0..<contextCount where contexts[index].requester == requester {
      contexts[index] = context
      return true
    }
    guard contextCount < Self.maximumRequesters else { return false }
    contexts[contextCount] = context
    contextCount &+= 1
    return true
  }

  /// Authorizes a requester for DPI memory, or no longer, and leaves its domain as it is.
  ///
  /// - Returns: false when there is no room for another requester.
  @discardableResult
  public mutating func authorize(_ requester: RequesterID, _ mayReachDPIMemory: Bool) -> Bool {
    let domain = context(of: requester)?.domain ?? .identity
    return attach(requester, to: domain, mayReachDPIMemory: mayReachDPIMemory)
  }

  /// Whether a requester may reach DPI memory.
  public borrowing func isAuthorized(_ requester: RequesterID) -> Bool {
    for index in 0..<contextCount where contexts[index].requester == requester { return contexts[index].isAuthorized }
    return false
  }

  /// The clock moves on, in nanoseconds since power-on; what the fault log's rate goes by.
  public mutating func advanceClock(to nanoseconds: UInt64) { faultLog.advance(to: nanoseconds) }

  /// Takes the oldest recorded fault out; called by a DPI core. Nil when none waits.
  public mutating func takeFault() -> DMAFaultRecord? { faultLog.removeFirst() }

  /// Maps one page for a requester in the ``DMADomain/mapped`` domain.
  public mutating func map(
    _ address: BusAddress, to physical: PhysicalAddress, rights: AccessRights, for requester: RequesterID
  ) throws(DMAMappingError) {
    guard address.rawValue & 0xFFF == 0, physical.rawValue & 0xFFF == 0 else { throw .notAligned }
    let page = address.rawValue >> 12
    guard slot(of: page, requester) == nil else { throw .alreadyMapped }
    guard mappingCount < slotCount / 2 else { throw .full }
    var index = hash(page, requester)
    while unsafe slots[index].state == 1 { index = (index &+ 1) & (slotCount &- 1) }
    unsafe slots[index] = Mapping(
      state: 1, rights: rights, requester: requester, busPage: page, physicalPage: physical.rawValue >> 12)
    mappingCount &+= 1
  }

  /// Takes a requester's page away; false when it was not mapped.
  @discardableResult
  public mutating func unmap(_ address: BusAddress, for requester: RequesterID) -> Bool {
    guard let index = slot(of: address.rawValue >> 12, requester) else { return false }
    unsafe slots[index].state = 2
    mappingCount &-= 1
    return true
  }

  private func hash(_ page: UInt64, _ requester: RequesterID) -> Int {
    let mixed = (page ^ UInt64(requester.rawValue) << 40) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: mixed >> 32) & (slotCount &- 1)
  }

  private func slot(of page: UInt64, _ requester: RequesterID) -> Int? {
    var index = hash(page, requester)
    for _ in 0..<slotCount {
      let mapping = unsafe slots[index]
      if mapping.state == 0 { return nil }
      if mapping.state == 1, mapping.busPage == page, mapping.requester == requester { return index }
      index = (index &+ 1) & (slotCount &- 1)
    }
    return nil
  }

  /// Translates the start of a device's access, and tells how far the translation holds.
  ///
  /// - Returns: the physical address and how many of the `length` bytes, at least 1, are in one piece behind it; nil when the
  ///   access is refused, which is counted and recorded in ``lastFault``.
  @inlinable
  public mutating func translatePiece(
    _ address: BusAddress, length: UInt64, rights: AccessRights, requester: RequesterID
  ) -> (address: PhysicalAddress, length: UInt64)? {
    var domain = DMADomain.identity
    var isAuthorized = false
    if let context = context(of: requester) {
      domain = context.domain
      isAuthorized = context.isAuthorized
    }
    guard length > 0, length &- 1 <= UInt64.max &- address.rawValue else {
      record(.badRange, address, rights, requester)
      return nil
    }
    var piece = (address: PhysicalAddress(address.rawValue), length: length)
    if domain != .identity {
      guard let mapped = mappedPiece(domain, address, length: length, rights: rights, requester: requester) else {
        return nil
      }
      piece = mapped
    }
    if !isAuthorized, partition.touchesDPI(piece.address, length: piece.length) {
      record(.dpiMemory, address, rights, requester)
      return nil
    }
    return piece
  }

  /// Translates a device's access as a whole; nil, counted, when any byte is refused or when its pages are mapped to
  /// places that are not adjacent.
  public mutating func translate(
    _ address: BusAddress, length: UInt64, rights: AccessRights, requester: RequesterID
  ) -> PhysicalAddress? {
    guard let first = translatePiece(address, length: length, rights: rights, requester: requester) else { return nil }
    var done = first.length
    while done < length {
      let next = BusAddress(address.rawValue &+ done)
      guard let piece = translatePiece(next, length: length &- done, rights: rights, requester: requester) else {
        return nil
      }
      guard piece.address == first.address.advanced(by: done) else {
        record(.notMapped, next, rights, requester)
        return nil
      }
      done &+= piece.length
    }
    return first.address
  }

  @usableFromInline
  mutating func context(of requester: RequesterID) -> Context? {
    if contexts[lastContext].requester == requester, lastContext < contextCount { return contexts[lastContext] }
    for index in 0..<contextCount where contexts[index].requester == requester {
      lastContext = index
      return contexts[index]
    }
    return nil
  }

  @inline(never)
  @usableFromInline
  mutating func mappedPiece(
    _ domain: DMADomain, _ address: BusAddress, length: UInt64, rights: AccessRights, requester: RequesterID
  ) -> (address: PhysicalAddress, length: UInt64)? {
    guard domain == .mapped else {
      record(.blocked, address, rights, requester)
      return nil
    }
    guard let index = slot(of: address.rawValue >> 12, requester), unsafe slots[index].rights.isSuperset(of: rights)
    else {
      record(.notMapped, address, rights, requester)
      return nil
    }
    let offset = address.rawValue & 0xFFF
    return (
      PhysicalAddress(unsafe slots[index].physicalPage << 12 | offset), min(length, 0x1000 &- offset)
    )
  }

  /// Counts a refusal that a later stage found: memory that is absent.
  @inline(never)
  @usableFromInline
  mutating func record(_ cause: DMAFault, _ address: BusAddress, _ rights: AccessRights, _ requester: RequesterID) {
    switch cause {
    case .dpiMemory: faults.dpiMemory &+= 1
    case .notMapped: faults.notMapped &+= 1
    case .blocked: faults.blocked &+= 1
    case .absent: faults.absent &+= 1
    case .badRange: faults.badRange &+= 1
    }
    let record = DMAFaultRecord(requester: requester, address: address, rights: rights, cause: cause)
    lastFault = record
    faultLog.append(record)
  }
}
