internal import AllyPacket

/// Files of which HTTP's answers bring one range each (RFC 9110 §14), over as many connections as the client likes: put
/// together by their names, and handed to the transaction that completes them. One per core.
final class RangeFiles {
  private struct Entry {
    var assembly: FileAssembly
    var size: UInt64
  }

  /// Files that are being put together; the oldest give way.
  private var entries = BoundedMap<[UInt8], Entry>(capacity: 256)

  /// The file that a range belongs to, made when its first range comes; nil when ranges of it do not fit each other.
  ///
  /// - Parameters:
  ///   - key: host and name.
  ///   - size: of the whole file in bytes.
  ///   - budget: what may be kept of ranges that come before their time.
  ///   - make: makes the file.
  func assembly(_ key: [UInt8], size: UInt64, _ budget: FileBudget, _ make: () -> TransferredFile) -> FileAssembly? {
    if let known = entries[key] { return known.size == size ? known.assembly : nil }
    let assembly = FileAssembly(make(), budget)
    entries[key] = Entry(assembly: assembly, size: size)
    return assembly
  }

  /// The whole file, when all of it is there; it is not kept any longer.
  func takeWhole(_ key: [UInt8]) -> TransferredFile? {
    guard let entry = entries[key], entry.assembly.file.size >= entry.size else { return nil }
    entries.remove(key)
    entry.assembly.close(isWhole: true)
    return entry.assembly.file
  }
}
