internal import CHyperscan

/// A set of literals compiled for one scan: immutable, shared by all cores. Its ``DetectionProgram`` frees it.
@safe
struct HyperscanDatabase: BitwiseCopyable, @unchecked Sendable {
  // Hyperscan's databases are read-only after compilation and may be scanned from any thread.
  fileprivate let database: OpaquePointer
  /// How many literals there are: a scan reports each at most once.
  let literalCount: Int
  /// Bytes of the longest.
  let longest: Int

  /// One literal; reports carry its place in the list.
  struct Literal: Hashable, Sendable {
    var bytes: [UInt8]
    var isCaseless: Bool
  }

  /// What the compiled code may use of the processor.
  enum Target: Sendable {
    /// Everything that this machine has.
    case host
    /// AVX2 at most: for tools that emulate a processor and stop at AVX-512 (callgrind).
    case avx2
  }

  /// - Parameters:
  ///   - literals: none empty.
  ///   - target: what the compiled code may use.
  ///   - cache: where the compiled form is looked for, and kept.
  init(literals: [Literal], target: Target = .host, cache: (any DatabaseCache)? = nil) throws(DetectionProgramError) {
    literalCount = literals.count
    longest = literals.lazy.map(\.bytes.count).max() ?? 0
    var platform = hs_platform_info()
    unsafe hs_populate_platform(&platform)
    if target == .avx2 { platform.cpu_features &= UInt64(1) << 2 }  // HS_CPU_FEATURES_AVX2
    guard let cache else {
      unsafe database = try HyperscanDatabase.compile(literals, platform)
      return
    }
    let key = HyperscanDatabase.cacheKey(literals, platform)
    if let known = cache.contents(of: key), let restored = unsafe HyperscanDatabase.restore(known) {
      unsafe database = unsafe restored
      return
    }
    let compiled = unsafe try HyperscanDatabase.compile(literals, platform)
    if let bytes = unsafe HyperscanDatabase.stored(compiled) { cache.store(bytes, as: key) }
    unsafe database = unsafe compiled
  }

  /// Frees the database; no copy may be used afterwards.
  @unsafe func deallocate() { _ = unsafe hs_free_database(database) }

  /// All literals in one piece of memory, so that C gets addresses that hold for the whole call.
  private static func compile(
    _ literals: [Literal], _ platform: hs_platform_info
  ) throws(DetectionProgramError) -> OpaquePointer {
    var platform = platform
    var text: [CChar] = []
    var starts: [Int] = []
    var lengths: [Int] = []
    var flags: [UInt32] = []
    for literal in literals {
      starts.append(text.count)
      lengths.append(literal.bytes.count)
      flags.append(UInt32(HS_FLAG_SINGLEMATCH) | (literal.isCaseless ? UInt32(HS_FLAG_CASELESS) : 0))
      text.append(contentsOf: literal.bytes.map { CChar(bitPattern: $0) })
    }
    text.append(0)
    let identifiers = (0..<UInt32(literals.count)).map { $0 }

    var database: OpaquePointer? = nil
    var problem: UnsafeMutablePointer<hs_compile_error_t>? = nil
    let status: Int32 = unsafe text.withUnsafeBufferPointer { text in
      var expressions: [UnsafePointer<CChar>?] = unsafe []
      for start in starts { unsafe expressions.append(text.baseAddress.unsafelyUnwrapped + start) }
      return unsafe hs_compile_lit_multi(
        expressions, flags, identifiers, lengths, UInt32(literals.count), UInt32(HS_MODE_BLOCK), &platform, &database,
        &problem)
    }
    guard status == HS_SUCCESS, let compiled = unsafe database else {
      var reason = "status \(status)"
      if let details = unsafe problem {
        reason = unsafe String(cString: details.pointee.message)
        unsafe hs_free_compile_error(details)
      }
      throw .matcher("Hyperscan: \(reason)")
    }
    return unsafe compiled
  }
}

/// How the databases of one set of rules are made.
struct DatabaseCompiler {
  var target = HyperscanDatabase.Target.host
  var cache: (any DatabaseCache)?

  func database(of literals: [HyperscanDatabase.Literal]) throws(DetectionProgramError) -> HyperscanDatabase {
    try HyperscanDatabase(literals: literals, target: target, cache: cache)
  }
}

/// One core's working memory for scans, and what the last scan found.
@safe
struct HyperscanScratch: ~Copyable {
  private var scratch: OpaquePointer?
  private let matches: UnsafeMutablePointer<MatchBuffer>

  /// The most literals that one scan reports before it gives up.
  static var capacity: Int { 4096 }

  /// Makes scratch memory that fits all of `databases`.
  init(for databases: [HyperscanDatabase]) throws(DPIEngineError) {
    var scratch: OpaquePointer? = nil
    for database in databases {
      guard unsafe hs_alloc_scratch(database.database, &scratch) == HS_SUCCESS else {
        _ = unsafe hs_free_scratch(scratch)
        throw .outOfMemory("Hyperscan scratch")
      }
    }
    unsafe self.scratch = unsafe scratch
    unsafe matches = .allocate(capacity: 1)
    unsafe matches.initialize(
      to: MatchBuffer(literals: .allocate(capacity: HyperscanScratch.capacity), count: 0, overflowed: false))
  }

  deinit {
    _ = unsafe hs_free_scratch(scratch)
    unsafe matches.pointee.literals.deallocate()
    unsafe matches.deallocate()
  }

  /// Searches `bytes` for the literals of `database`, one of those that the scratch was made for.
  ///
  /// - Returns: how many literals were found, read with ``literal(at:)``; nil when there were too many, or the scan
  ///   failed: then every rule must be evaluated, because "not found" would be a guess.
  mutating func scan(_ bytes: ByteView, for database: HyperscanDatabase) -> Int? {
    unsafe matches.pointee.count = 0
    unsafe matches.pointee.overflowed = false
    guard bytes.count <= Int(UInt32.max) else { return nil }
    // The callback gets the buffer by pointer and keeps it no longer than the call.
    let status = unsafe hs_scan(
      database.database,
      UnsafeRawPointer(bytes.base).assumingMemoryBound(to: CChar.self), UInt32(bytes.count), 0, scratch, recordMatch,
      UnsafeMutableRawPointer(matches))
    return unsafe status != HS_SUCCESS || matches.pointee.overflowed ? nil : matches.pointee.count
  }

  /// A literal that the last scan found.
  @inline(__always)
  func literal(at index: Int) -> UInt32 {
    precondition(unsafe index >= 0 && index < matches.pointee.count)
    return unsafe matches.pointee.literals[index]
  }
}

/// Where the callback writes: fixed memory, so that a hostile payload cannot make it grow.
@unsafe
private struct MatchBuffer {
  let literals: UnsafeMutablePointer<UInt32>
  var count: Int
  var overflowed: Bool
}

/// A function by name becomes a plain C function pointer; a closure with a context would allocate with each scan.
private func recordMatch(
  _ literal: UInt32, _ from: UInt64, _ to: UInt64, _ flags: UInt32, _ context: UnsafeMutableRawPointer?
) -> Int32 {
  // The context is the scratch's own buffer, given to hs_scan above.
  let matches = unsafe context.unsafelyUnwrapped.assumingMemoryBound(to: MatchBuffer.self)
  let count = unsafe matches.pointee.count
  guard count < HyperscanScratch.capacity else {
    unsafe matches.pointee.overflowed = true
    return 1  // stop the scan
  }
  unsafe matches.pointee.literals[count] = literal
  unsafe matches.pointee.count = count &+ 1
  return 0
}
