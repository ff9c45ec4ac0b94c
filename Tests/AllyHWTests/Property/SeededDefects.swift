import AllyHW
import Testing

/// Mistakes that someone could make in the hardware or in its set-up. The property has to find each of them.
enum SeededDefect: CaseIterable, CustomTestStringConvertible {
  /// Of a page of 1 GiB only the piece that is asked for is checked.
  case gigabytePageAcrossBoundary
  /// The walker sets accessed bits on its way, and checks where they are at the end.
  case accessedBitBeforeCheck
  /// The hypervisor's own tables are not checked.
  case nestedStageUnchecked
  /// Only an access's first byte is looked up in the Remapping Table.
  case straddlingAccessPasses
  /// With paging off nothing is checked.
  case realModeUnchecked
  /// A write to the boundary register leaves the TLB as it is.
  case staleTLBEntry
  /// Another function of the NIC's device may reach DPI memory.
  case wrongRequester
  /// The IDT filter lets a vector of an OS core through.
  case unmaskedVector

  var testDescription: String { "\(self)" }

  /// What the property should notice first; several defects show in more than one way.
  var expectedFinding: Finding.Kind {
    switch self {
    case .accessedBitBeforeCheck: .dpiMemoryChanged
    case .wrongRequester: .dma
    case .unmaskedVector: .interrupt
    case .straddlingAccessPasses: .register
    default: .outcome
    }
  }

  /// A vector that the filter should not let through.
  static var vector: UInt8 { 0x2E }
}

/// ``AllyExtension`` with one of the defects of the MMU.
struct DefectiveExtension: MMUExtension {
  private var sound: AllyExtension
  private let defect: SeededDefect
  private var hasSeenForgedTable = false

  init(role: CoreRole, partition: Partition, defect: SeededDefect) {
    sound = AllyExtension(role: role, partition: partition)
    self.defect = defect
  }

  var role: CoreRole { sound.role }
  var partition: Partition { sound.partition }

  mutating func allows(_ step: WalkStep, page: PhysicalAddress, size: PageSize, piece: PhysicalAddress) -> Bool {
    let isSound = sound.allows(step, page: page, size: size, piece: piece)
    switch (defect, step) {
    case (.gigabytePageAcrossBoundary, .page) where size == .size1GiB:
      return sound.allows(step, page: piece, size: .size4KiB, piece: piece)
    case (.accessedBitBeforeCheck, .readTable), (.accessedBitBeforeCheck, .markTable):
      hasSeenForgedTable = hasSeenForgedTable || !isSound
      return true
    case (.accessedBitBeforeCheck, .page), (.accessedBitBeforeCheck, .unpagedPage):
      defer { hasSeenForgedTable = false }
      return isSound && !hasSeenForgedTable
    case (.nestedStageUnchecked, .readTable(.second)), (.nestedStageUnchecked, .markTable(.second)):
      return true
    case (.realModeUnchecked, .unpagedPage):
      return true
    default:
      return isSound
    }
  }

  mutating func adopt(_ partition: Partition) -> Bool {
    let hasToFlush = sound.adopt(partition)
    return hasToFlush && defect != .staleTLBEntry
  }

  func row(at physical: PhysicalAddress, length: UInt64, in remapping: borrowing RemappingTable) -> Int? {
    remapping.lookUp(physical, length: defect == .straddlingAccessPasses ? 1 : length)
  }
}
