/// What an access's virtual address comes to.
@frozen
public enum Translation: Sendable, BitwiseCopyable, Equatable {
  /// Memory, or a device that is not intercepted there: the access goes on with this address.
  case physical(PhysicalAddress)
  /// A byte of the access is in this row of the ``RemappingTable``: the access goes to the shadow in DPI memory.
  case redirected(PhysicalAddress, row: Int)
  case fault(TranslationFault)
}

/// What a core's MMU has done.
@frozen
public struct MMUCounters: Sendable, BitwiseCopyable, Equatable {
  /// Translations that the TLB had.
  public var hits: UInt64 = 0
  /// Walks of the page tables.
  public var misses: UInt64 = 0
  /// Fills that the TLB Miss Handler refused because they touched DPI memory.
  public var refusedFills: UInt64 = 0
  /// Accesses that hit an entry with the redirection bit: lookups of the Remapping Table.
  public var remappingLookups: UInt64 = 0
  /// Those of them that found a row.
  public var redirections: UInt64 = 0
  /// Faults of every kind, refused fills included.
  public var faults: UInt64 = 0

  @inlinable
  public init() {}
}

/// The memory management unit of one core: TLB, modified TLB Miss Handler, and the boundary register (paper §4.2,
/// Figures 2 and 3).
///
/// Owned by its core; nothing here is shared. What it reads besides (memory, Remapping Table) is handed to each call.
@frozen
public struct MMU: ~Copyable {
  public var tlb: TLB
  @usableFromInline var handler: TLBMissHandler
  @usableFromInline var root: PhysicalAddress?
  /// The table's generation that the redirection bits in the TLB belong to.
  @usableFromInline var remappingGeneration: UInt64
  public private(set) var counters: MMUCounters

  /// An MMU as after power-up: paging off, TLB empty.
  public init(handler: TLBMissHandler, tlb: consuming TLB = TLB()) {
    self.tlb = tlb
    self.handler = handler
    self.root = nil
    self.remappingGeneration = 0
    self.counters = MMUCounters()
  }

  /// Which partition the core belongs to.
  @inlinable public var role: CoreRole { handler.role }

  /// The boundary register. Only DPI cores and the firmware may write it; a write flushes the TLB, because entries
  /// filled before it were checked against the old boundary.
  public var partition: Partition {
    get { handler.partition }
    set {
      handler.partition = newValue
      tlb.flush()
    }
  }

  /// CR3, or nil while paging is off. Loading it flushes what is not global; turning paging on or off flushes all.
  public var pageTableRoot: PhysicalAddress? {
    get { root }
    set {
      if (root == nil) == (newValue == nil) { tlb.flushNonGlobal() } else { tlb.flush() }
      root = newValue
    }
  }

  /// IA32_PAT; a write flushes the TLB.
  public var pageAttributes: PageAttributeTable {
    get { handler.pageAttributes }
    set {
      handler.pageAttributes = newValue
      tlb.flush()
    }
  }

  /// INVLPG.
  public mutating func invalidatePage(_ address: VirtualAddress) { tlb.invalidatePage(address) }

  /// Translates the address of an access.
  ///
  /// The access has `length` bytes, at least 1. One that reaches into the next page is refused
  /// (``TranslationFault/crossesPage``): its maker splits it, as ``Core`` does. `rights` are what the access does; a
  /// translation that the page tables allow for less is a fault.
  public mutating func translate(
    _ virtual: VirtualAddress, length: UInt64, rights: AccessRights, privilege: Privilege = .supervisor,
    memory: borrowing PhysicalMemory, remapping: borrowing RemappingTable
  ) -> Translation {
    let offset = virtual.rawValue & 0xFFF
    guard length > 0, length <= 0x1000 &- offset else { return fault(.crossesPage) }
    if remapping.generation != remappingGeneration {
      // Redirection bits of another generation could let an access through to the device.
      tlb.flush()
      remappingGeneration = remapping.generation
    }
    var entry: TLBEntry
    if let hit = tlb.entry(for: virtual.pageNumber), isCanonical(virtual), hit.rights.isSuperset(of: rights),
      hit.allowsUser || privilege == .supervisor, hit.isDirty || !rights.contains(.write)
    {
      counters.hits &+= 1
      entry = hit
    } else {
      switch fill(virtual, rights: rights, privilege: privilege, memory: memory, remapping: remapping) {
      case .entry(let filled): entry = filled
      case .fault(let cause): return fault(cause)
      }
    }
    let physical = PhysicalAddress(entry.physicalPage << 12 | offset)
    guard entry.redirection else { return .physical(physical) }
    counters.remappingLookups &+= 1
    guard let row = remapping.row(at: physical, length: length) else { return .physical(physical) }
    counters.redirections &+= 1
    return .redirected(physical, row: row)
  }

  /// The TLB has no PCID: its tag is bits 47–12, so other bits have to be checked, as long as paging is on. With paging
  /// off the bits above 47 are no part of a physical address here.
  private func isCanonical(_ virtual: VirtualAddress) -> Bool {
    let upper = Int64(bitPattern: virtual.rawValue) >> 47
    return root == nil ? virtual.rawValue >> 48 == 0 : upper == 0 || upper == -1
  }

  private mutating func fill(
    _ virtual: VirtualAddress, rights: AccessRights, privilege: Privilege, memory: borrowing PhysicalMemory,
    remapping: borrowing RemappingTable
  ) -> TLBFill {
    counters.misses &+= 1
    guard isCanonical(virtual) else { return .fault(.nonCanonical) }
    let filled = handler.fill(
      virtual, rights: rights, privilege: privilege, root: root, memory: memory, remapping: remapping)
    switch filled {
    case .entry(let entry): tlb.insert(entry)
    case .fault(.dpiMemory): counters.refusedFills &+= 1
    case .fault: break
    }
    return filled
  }

  private mutating func fault(_ cause: TranslationFault) -> Translation {
    counters.faults &+= 1
    return .fault(cause)
  }
}
