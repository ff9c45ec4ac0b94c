/// Memory of zeros that a keeper's workers share: for what an appliance knows that is to outlive a worker.
@safe
public final class InheritedMemory {
  private let memory: MappedMemory

  /// - Parameter length: bytes, which are rounded up to pages.
  public init(length: Int) throws(HostError) {
    memory = try MappedMemory(shared: (UInt64(max(length, 1)) + 0xFFF) & ~0xFFF)
  }

  /// The bytes, aligned to a page; they stay valid as long as this object exists.
  @unsafe
  public var bytes: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: memory.storage, count: memory.length)
  }
}
