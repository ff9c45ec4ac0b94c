/// One of the two stages of a translation under a hypervisor; without one there is the first only.
@frozen
public enum TranslationStage: UInt8, Sendable, BitwiseCopyable {
  /// The tables that CR3 names: an OS's, or a guest's.
  case first
  /// The hypervisor's: from guest-physical to physical.
  case second
}

/// What the page table walker is about to do at a physical address.
@frozen
public enum WalkStep: Sendable, BitwiseCopyable, Equatable {
  /// Read an entry of a page table of this stage.
  case readTable(TranslationStage)
  /// Write an entry's accessed or dirty bit.
  case markTable(TranslationStage)
  /// Load a page into the TLB.
  case page
  /// Load a page into the TLB while paging is off: real-address mode, as early in the boot.
  case unpagedPage
}

/// What Ally adds to an MMU as it is: the checks of the modified TLB Miss Handler (paper §4.2, Figure 2) and those of MMIO
/// redirection (§4.3, Figure 3).
///
/// The walker and the TLB are any x86-64 core's, and generic over this; the product's extension is ``AllyExtension``.
/// Nothing of it runs on a TLB hit except ``row(at:length:in:)``, for entries with the redirection bit.
public protocol MMUExtension: Sendable, BitwiseCopyable {
  /// Which partition the core belongs to.
  var role: CoreRole { get }
  /// What the core's boundary register says.
  var partition: Partition { get }

  /// Whether the walker may take a step.
  ///
  /// - Parameters:
  ///   - step: what the walker is about to do.
  ///   - page: where the table or page begins that the step touches.
  ///   - size: how large it is. Of a large page all of it becomes reachable, whatever is asked for now.
  ///   - piece: the 4 KiB piece of it that the access is about.
  mutating func allows(_ step: WalkStep, page: PhysicalAddress, size: PageSize, piece: PhysicalAddress) -> Bool

  /// Takes a new partition into the boundary register.
  ///
  /// - Returns: whether the TLB has to be flushed, because it may hold what the new partition forbids.
  mutating func adopt(_ partition: Partition) -> Bool

  /// Whether the entry of a 4 KiB page that no cache keeps gets the redirection bit.
  func redirects(pageAt page: PhysicalAddress, by remapping: borrowing RemappingTable) -> Bool

  /// The row of the Remapping Table that an access belongs to.
  func row(at physical: PhysicalAddress, length: UInt64, in remapping: borrowing RemappingTable) -> Int?
}

extension MMUExtension {
  @inlinable
  public func redirects(pageAt page: PhysicalAddress, by remapping: borrowing RemappingTable) -> Bool {
    role == .os && remapping.lookUp(page, length: 0x1000) != nil
  }

  @inlinable
  public func row(at physical: PhysicalAddress, length: UInt64, in remapping: borrowing RemappingTable) -> Int? {
    remapping.lookUp(physical, length: length)
  }
}

/// Ally's modification of a core's MMU, as the paper has it: one range check a step of the walk, on OS cores.
@frozen
public struct AllyExtension: MMUExtension, Equatable {
  public let role: CoreRole
  public internal(set) var partition: Partition

  public init(role: CoreRole, partition: Partition) {
    self.role = role
    self.partition = partition
  }

  @inlinable
  public mutating func allows(
    _ step: WalkStep, page: PhysicalAddress, size: PageSize, piece: PhysicalAddress
  ) -> Bool {
    role == .dpi || !partition.touchesDPI(page, length: size.rawValue)
  }

  public mutating func adopt(_ partition: Partition) -> Bool {
    let before = self.partition
    self.partition = partition
    // Memory that goes back to the OS side makes nothing forbidden that is in the TLB.
    let isWithin = partition.boundary >= before.boundary && partition.end <= before.end
    return role == .os && !isWithin && partition.boundary < partition.end
  }
}
