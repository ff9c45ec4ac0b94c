/// What is done with the files that applications carry. It does not change: conversations share it.
final class FilePolicy {
  /// Bytes from the start of a file that are kept for inspection.
  let kept: Int
  /// Which digests are made.
  let digests: [Digest.Function]
  /// What tells the kind of a file; nil when nobody asks.
  let magic: FileMagic?
  /// Where files are kept; nil when none can be.
  let store: (any FileStore)?
  /// Every file is kept, whatever rules say (`force-filestore`).
  let storesAll: Bool
  /// Where HTTP's ranges become files; nil for nowhere.
  let ranges: RangeFiles?
  /// What all files together may keep of content that comes before its time.
  private(set) lazy var budget = FileBudget()

  /// A file's kind is told when so many bytes have come, or all of it.
  static var magicBytes: Int { 512 }

  /// A policy that keeps the start of each file, and asks for nothing else.
  init(kept: Int = 100 << 10, digests: [Digest.Function] = []) {
    self.kept = kept
    self.digests = digests
    magic = nil
    store = nil
    storesAll = false
    ranges = nil
  }

  /// - Parameters:
  ///   - configuration: what the operator asks for.
  ///   - needs: what the rules ask for.
  ///   - store: where files can be kept.
  init(
    _ configuration: DPIConfiguration, needs: DetectionTables.FileNeeds, store: (any FileStore)?
  ) throws(DPIEngineError) {
    let settings = configuration.files
    let shown = configuration.recordOptions.files
    kept = configuration.application.file
    ranges = RangeFiles()
    var digests = needs.digests
    for kind in settings.digests where !digests.contains(kind.function) { digests.append(kind.function) }
    for (function, isAskedFor) in [(Digest.Function.md5, shown.md5), (.sha1, shown.sha1), (.sha256, shown.sha256)]
    where isAskedFor && !digests.contains(function) { digests.append(function) }
    let isStored = store != nil && (needs.store || settings.storesAll)
    self.store = isStored ? store : nil
    storesAll = isStored && settings.storesAll
    // Stored files are named by it.
    if isStored && !digests.contains(.sha256) { digests.append(.sha256) }
    self.digests = digests
    if settings.magic || shown.magic || needs.magic {
      guard let magic = FileMagic() else { throw .noMagicDatabase }
      self.magic = magic
    } else {
      magic = nil
    }
  }
}

/// Where the engine keeps files (`filestore`). Its calls come on the engine's core, and only while files are on their way.
public protocol FileStore: AnyObject {
  /// A file begins. Whether it is kept is told when it ends.
  ///
  /// - Parameter number: names the file in the calls that follow; each number is given once.
  func open(_ number: UInt32)
  /// More of a file.
  func append(_ data: RawSpan, to number: UInt32)
  /// A file ended.
  ///
  /// - Parameters:
  ///   - number: the file's, as it was opened with.
  ///   - digest: its SHA-256, by which it is to be named; nil when it is not wanted.
  /// - Returns: whether it is kept.
  func close(_ number: UInt32, digest: [UInt8]?) -> Bool
  /// The number for the next file.
  func nextNumber() -> UInt32
}

/// One file on its way into the store.
final class FileStorage {
  let number: UInt32
  var isWanted: Bool
  private(set) var isStored = false
  private let store: any FileStore
  private var isOpen = true

  init(_ store: any FileStore, isWanted: Bool) {
    self.store = store
    self.isWanted = isWanted
    number = store.nextNumber()
    store.open(number)
  }

  deinit { if isOpen { _ = store.close(number, digest: nil) } }

  func append(_ data: RawSpan) { if isOpen { store.append(data, to: number) } }

  func finish(digest: [UInt8]?) {
    guard isOpen else { return }
    isOpen = false
    isStored = store.close(number, digest: isWanted ? digest : nil)
  }
}
