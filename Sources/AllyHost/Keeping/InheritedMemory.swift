internal import Glibc

/// Memory of zeros that a keeper's workers share: for what an appliance knows that is to outlive a worker.
@safe
public final class InheritedMemory {
  private let memory: MappedMemory
  /// Random, and the same in every executable of the command: for tables whose places depend on it.
  public let seed: UInt64

  private static let header = 4096

  /// - Parameters:
  ///   - length: bytes, which are rounded up to pages.
  ///   - layout: what is in them, for ``KeptLayout``; another executable that would read them otherwise is refused.
  ///   - starter: of the workers.
  public init(length: Int, layout: String, in starter: WorkerStarter) throws(HostError) {
    let name = "appliance's state"
    let kept = starter.inheritance.number(of: name)
    memory = try MappedMemory(shared: UInt64(Self.header) + (UInt64(max(length, 1)) + 0xFFF) & ~0xFFF)
    try starter.inheritance.note(memory, as: name, layout: KeptLayout.text(layout, length))
    var seed = UInt64.random(in: .min ... .max)
    if let kept {
      // The memory before is mapped later, when nobody writes it any more; this part of it does not change.
      guard unsafe pread(kept, &seed, 8, 0) == 8 else { throw HostError("cannot read what was kept", code: errno) }
    } else {
      unsafe memory.storage.storeBytes(of: seed, as: UInt64.self)
    }
    self.seed = seed
  }

  /// The bytes, aligned to a page; they stay valid as long as this object exists.
  @unsafe
  public var bytes: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: memory.storage + Self.header, count: memory.length - Self.header)
  }
}
