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
/// Owned by its core; nothing here is shared. What it reads besides (memory, Remapping Table) is handed to each call. There
/// are no PCIDs and no VPIDs: loading CR3 forgets what is not global, and entering or leaving a guest forgets all.
@frozen
public struct MMU<Extension: MMUExtension>: ~Copyable {
  public var tlb: TLB
  @usableFromInline var handler: TLBMissHandler<Extension>
  @usableFromInline var root: PhysicalAddress?
  /// The table's generation that the redirection bits in the TLB belong to.
  @usableFromInline var remappingGeneration: UInt64
  /// The generation of Ally's configuration registers that the boundary register has.
  @usableFromInline var configurationGeneration: UInt64
  public private(set) var counters: MMUCounters

  /// An MMU as after power-up: paging off, TLB empty.
  public init(handler: TLBMissHandler<Extension>, tlb: consuming TLB = TLB()) {
    self.tlb = tlb
    self.handler = handler
    self.root = nil
    self.remappingGeneration = 0
    self.configurationGeneration = 0
    self.counters = MMUCounters()
  }

  /// Which partition the core belongs to.
  @inlinable public var role: CoreRole { handler.hardware.role }

  /// The boundary register. Only DPI cores and the firmware may write it. A write that makes memory DPI memory flushes
  /// the TLB, because entries filled before it were checked against the old boundary.
  public var partition: Partition {
    get { handler.hardware.partition }
    set { if handler.hardware.adopt(newValue) { tlb.flush() } }
  }

  /// CR3, or nil while paging is off. Loading it flushes what is not global; turning paging on or off flushes all.
  public var pageTableRoot: PhysicalAddress? {
    get { root }
    set {
      if (root == nil) == (newValue == nil) { tlb.flushNonGlobal() } else { tlb.flush() }
      root = newValue
    }
  }

  /// Control register bits; a change flushes the TLB.
  public var controls: PagingControls {
    get { handler.controls }
    set {
      if handler.controls != newValue { tlb.flush() }
      handler.controls = newValue
    }
  }

  /// The second stage, or nil while no guest runs. Setting it is a VM entry or exit, and flushes the TLB.
  public var nestedPaging: NestedPaging? {
    get { handler.nested }
    set {
      handler.nested = newValue
      tlb.flush()
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

  /// INVEPT: forgets what came through a second stage's tables.
  public mutating func invalidateNested() { tlb.flush() }

  /// Takes over what Ally's configuration registers say, if it has changed: the boundary is a register of each core's
  /// MMU, and a write reaches them all before any core's next access.
  @inlinable
  public mutating func adopt(_ configuration: borrowing AllyConfiguration) {
    guard configuration.generation != configurationGeneration else { return }
    configurationGeneration = configuration.generation
    partition = configuration.partition
  }

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
    // The TLB's tag leaves out the uppermost bits, so they have to be checked on a hit too.
    if let hit = tlb.entry(for: virtual.pageNumber), controls.isCanonical(virtual, isPaging: root != nil),
      hit.rights.isSuperset(of: rights), hit.allowsUser || privilege == .supervisor,
      hit.isDirty || !rights.contains(.write)
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
    guard let row = handler.hardware.row(at: physical, length: length, in: remapping) else {
      return .physical(physical)
    }
    counters.redirections &+= 1
    return .redirected(physical, row: row)
  }

  private mutating func fill(
    _ virtual: VirtualAddress, rights: AccessRights, privilege: Privilege, memory: borrowing PhysicalMemory,
    remapping: borrowing RemappingTable
  ) -> TLBFill {
    counters.misses &+= 1
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
