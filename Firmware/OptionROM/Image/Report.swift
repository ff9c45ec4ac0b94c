import AllyHW

/// What the sequestered core tells the host: counters in the first page of hidden memory, 64 bits each, little-endian.
///
/// The host reads them while the core works, so each is stored at once, and nothing is said about two of them
/// together.
struct Report {
  enum Field: UInt32 {
    /// `AllyDPI1` once the image runs.
    case magic = 0x00
    /// Turns of the loop; stands still when the core does.
    case heartbeat = 0x08
    /// Frames that the self-test's driver posted for transmission.
    case sent = 0x10
    /// Frames that came back through both rings, in order and unchanged.
    case received = 0x18
    /// Frames that the inspector dropped.
    case dropped = 0x20
    /// Frames that were missing, changed, out of order, or should have been dropped.
    case wrong = 0x28
    /// Times that the queues were torn down and built anew, each time with the other protection.
    case passes = 0x30
    /// Faults that the rings counted; the self-test's driver makes none.
    case ringFaults = 0x38
    // entry.S counts in these:
    /// NMIs that arrived.
    case nmis = 0x40
    /// Interrupts with vectors from 32 up, which are all disabled.
    case interrupts = 0x48
    /// 1 + the vector of the exception that ended the image, or 0.
    case fault = 0x50
    /// Calls of the allocator.
    case allocations = 0x58
  }

  static let magic: UInt64 = 0x3149_5044_796C_6C41
  static let byteCount: UInt32 = 4096

  private let fields: RegisterFile

  init(_ fields: RegisterFile) { self.fields = fields }

  func set(_ field: Field, to value: UInt64) { fields.store(value, at: field.rawValue, width: .quadWord) }

  /// Adds to a field that nobody else writes.
  func add(_ count: UInt64, to field: Field) {
    set(field, to: fields.load(field.rawValue, width: .quadWord) &+ count)
  }
}
