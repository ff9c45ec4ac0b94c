/// A file that a transaction carries, as far as it has come.
///
/// Whatever its size, it keeps ``FilePolicy/kept`` bytes at most; digests and the file store take the content as it passes.
final class TransferredFile {
  enum State: Sendable {
    case open
    /// All of it has come.
    case closed
    /// It ended early, or something of it is missing.
    case truncated
  }

  /// Who sends it.
  let side: FlowSide
  var name: [UInt8]
  private(set) var state = State.open
  /// Bytes that came, those that were missing included.
  private(set) var size: UInt64 = 0
  private(set) var hasGaps = false
  /// The protocol that carries it ended it; records of one that was left open have no digest.
  private(set) var isEnded = false
  /// Which bytes of a larger file these are.
  var range: ClosedRange<UInt64>? = nil
  /// The first bytes.
  private(set) var bytes: [UInt8] = []
  /// How many of the first bytes tell its kind; 0 until enough has come.
  private var magicLength = 0
  private var knownMagic: [UInt8]? = nil
  /// Rules that keep it (`filestore`), by their number.
  private(set) var storingRules: [UInt32] = []
  private(set) var isKeptByRule = false

  /// How many of the first bytes are kept.
  private let kept: Int
  /// nil when nobody may ask for the kind.
  private let describer: FileMagic?
  private var digests: FileDigests
  /// nil when no file can be kept.
  private var storage: FileStorage?
  /// Whether the first bytes are kept here.
  private let keepsBytes: Bool

  /// - Parameters:
  ///   - keepsBytes: false when the content is to be had elsewhere, as the body of an HTTP response is.
  init(name: ArraySlice<UInt8>, side: FlowSide, policy: FilePolicy, keepsBytes: Bool = true) {
    self.name = Array(name)
    self.side = side
    kept = policy.kept
    describer = policy.magic
    self.keepsBytes = keepsBytes || policy.magic != nil
    digests = FileDigests(policy.digests)
    if let store = policy.store { storage = FileStorage(store, isWanted: policy.storesAll) }
  }

  /// Takes the content that comes next.
  func append(_ data: RawSpan) {
    guard state == .open, data.byteCount > 0 else { return }
    size &+= UInt64(data.byteCount)
    if keepsBytes, bytes.count < kept {
      bytes.append(data.extracting(0..<min(data.byteCount, kept - bytes.count)))
      if magicLength == 0, bytes.count >= FilePolicy.magicBytes { magicLength = bytes.count }
    }
    digests.update(data)
    storage?.append(data)
  }

  /// Takes the content that comes next, of which so many bytes may still be looked at. What is beyond them ends the file, unless
  /// a rule keeps it.
  func append(_ data: RawSpan, room: Int) {
    if data.byteCount <= room || isKeptByRule { return append(data) }
    if room > 0 { append(data.extracting(first: room)) } else { close(isWhole: false) }
  }

  /// `count` bytes are missing.
  func skip(_ count: Int) {
    guard state == .open else { return }
    size &+= UInt64(max(0, count))
    hasGaps = true
  }

  /// No more will come.
  ///
  /// - Parameter isWhole: as far as the sender's word goes.
  func close(isWhole: Bool) {
    guard state == .open else { return }
    isEnded = true
    end(isWhole && !hasGaps ? .closed : .truncated)
  }

  /// No more will come, and the protocol that carries it does not say so.
  func breakOff() {
    if state == .open { end(.truncated) }
  }

  private func end(_ ending: State) {
    state = ending
    if magicLength == 0 { magicLength = bytes.count }
    digests.finish()
  }

  /// The digest of what came of the file; nil while it is open, and when nobody asked for it.
  func digest(_ function: Digest.Function) -> [UInt8]? { state == .open ? nil : digests.value(of: function) }

  /// What libmagic says of it; nil until enough has come, and when nobody may ask. It costs more than all else that is done with a
  /// file: it is found out when somebody asks.
  var magic: [UInt8]? {
    if let knownMagic { return knownMagic }
    guard magicLength > 0, let describer else { return nil }
    knownMagic = describer.describe(bytes[..<magicLength])
    return knownMagic
  }

  // MARK: the store

  /// A rule wants the file kept.
  func store(for rule: UInt32?) {
    isKeptByRule = true
    if let rule, !storingRules.contains(rule), storingRules.count < 16 { storingRules.append(rule) }
    storage?.isWanted = true
  }

  var isStored: Bool { storage?.isStored ?? false }
  /// The number under which records name the stored file.
  var storeNumber: UInt32? { isStored ? storage?.number : nil }

  /// The engine is done with the file: it is kept for good, or not.
  func finishStorage() {
    guard state != .open else { return }
    storage?.finish(digest: digests.value(of: .sha256))
  }
}

/// The digests of a file that is still coming.
struct FileDigests {
  private var running: [(function: Digest.Function, digest: Digest)]
  private var finished: [(function: Digest.Function, value: [UInt8])] = []

  init(_ functions: [Digest.Function]) { running = functions.map { ($0, Digest($0)) } }

  mutating func update(_ data: RawSpan) {
    for index in running.indices { running[index].digest.update(data) }
  }

  mutating func finish() {
    for index in running.indices { finished.append((running[index].function, running[index].digest.finish())) }
    running.removeAll()
  }

  func value(of function: Digest.Function) -> [UInt8]? { finished.first { $0.function == function }?.value }
}
