internal import CPCRE2

/// A `pcre` compiled for PCRE2's just-in-time matcher: immutable, shared by all cores. Its ``DetectionProgram`` frees
/// it.
@safe
struct CompiledPattern: BitwiseCopyable, @unchecked Sendable {
  // PCRE2 code is read-only after compilation (pcre2api, "Multithreading").
  fileprivate let code: OpaquePointer

  /// What PCRE2 does not accept about a pattern.
  struct Problem: Error {
    /// The byte of the pattern at which PCRE2 stopped, from 0.
    var offset: Int
    var message: String
  }

  init(_ pattern: PatternMatch) throws(Problem) {
    var options: UInt32 = 0
    if pattern.caseless { options |= PCRE2_CASELESS }
    if pattern.dotAll { options |= PCRE2_DOTALL }
    if pattern.multiline { options |= PCRE2_MULTILINE }
    if pattern.extended { options |= PCRE2_EXTENDED }
    if pattern.anchored { options |= PCRE2_ANCHORED }
    if pattern.dollarEndOnly { options |= PCRE2_DOLLAR_ENDONLY }
    if pattern.ungreedy { options |= PCRE2_UNGREEDY }
    var status: Int32 = 0
    var offset = 0
    let compiled = unsafe pattern.pattern.withUnsafeBufferPointer { bytes in
      unsafe pcre2_compile_8(bytes.baseAddress, bytes.count, options, &status, &offset, nil)
    }
    guard let code = unsafe compiled else {
      throw Problem(offset: offset, message: CompiledPattern.message(for: status))
    }
    // Without the just-in-time compiler the pattern is interpreted: slower, the same matches.
    _ = unsafe pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
    unsafe self.code = unsafe code
  }

  /// The number of a group with a name; nil when there is none.
  func group(named name: [UInt8]) -> Int? {
    let text = name + [0]
    let number = unsafe text.withUnsafeBufferPointer { unsafe pcre2_substring_number_from_name_8(code, $0.baseAddress) }
    return number > 0 ? Int(number) : nil
  }

  /// Frees the pattern; no copy may be used afterwards.
  @unsafe func deallocate() { unsafe pcre2_code_free_8(code) }

  /// What is wrong with a pattern; nil when it compiles.
  static func problem(of pattern: PatternMatch) -> Problem? {
    do {
      let compiled = try CompiledPattern(pattern)
      unsafe compiled.deallocate()
      return nil
    } catch {
      return error
    }
  }

  private static func message(for status: Int32) -> String {
    var text = [UInt8](repeating: 0, count: 256)
    let length = unsafe text.withUnsafeMutableBufferPointer {
      unsafe pcre2_get_error_message_8(status, $0.baseAddress, $0.count)
    }
    return length > 0 ? String(decoding: text.prefix(Int(length)), as: UTF8.self) : "error \(status)"
  }
}

/// One core's working memory for patterns, with the limits that keep a hostile payload from holding the core.
@safe
struct PatternScratch: ~Copyable {
  /// Groups whose places are kept.
  static var mostGroups: UInt32 { 15 }

  private let context: OpaquePointer
  private let stack: OpaquePointer?
  private let match: OpaquePointer
  /// Searches given up at a limit. Such a search counts as no match, whatever the rule's negation.
  var limitsReached: UInt64 = 0

  /// - Parameters:
  ///   - matchLimit: how many times a search may back up (`pcre.match-limit`).
  ///   - depthLimit: how deep it may nest (`pcre.match-limit-recursion`).
  init(matchLimit: UInt32 = 3500, depthLimit: UInt32 = 1500) throws(DPIEngineError) {
    guard let context = unsafe pcre2_match_context_create_8(nil),
      let match = unsafe pcre2_match_data_create_8(PatternScratch.mostGroups + 1, nil)
    else { throw .outOfMemory("PCRE2 match data") }
    unsafe self.context = unsafe context
    unsafe self.match = unsafe match
    unsafe stack = pcre2_jit_stack_create_8(32 << 10, 512 << 10, nil)
    _ = unsafe pcre2_set_match_limit_8(context, matchLimit)
    _ = unsafe pcre2_set_depth_limit_8(context, depthLimit)
    unsafe pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
  }

  deinit {
    unsafe pcre2_match_data_free_8(match)
    unsafe pcre2_match_context_free_8(context)
    unsafe pcre2_jit_stack_free_8(stack)
  }

  /// How a search ended.
  enum Outcome { case found(Range<Int>), absent, limit }

  /// Searches `bytes` from `start` on.
  ///
  /// - Returns: the match's place in `bytes`; its ends may be swapped by `\K`, then it is empty at its end.
  mutating func search(_ pattern: CompiledPattern, in bytes: ByteView, from start: Int) -> Outcome {
    guard start >= 0, start <= bytes.count else { return .absent }
    let status = unsafe pcre2_match_8(pattern.code, bytes.base, bytes.count, start, 0, match, context)
    if status == PCRE2_ERROR_NOMATCH { return .absent }
    guard status >= 0 else {
      limitsReached &+= 1
      return .limit
    }
    let ends = unsafe pcre2_get_ovector_pointer_8(match).unsafelyUnwrapped
    let upper = unsafe ends[1]
    return .found(unsafe min(ends[0], upper)..<upper)
  }

  /// The place of what a group captured in the search that found something last; nil when it took no part.
  func group(_ number: Int, in bytes: ByteView) -> Range<Int>? {
    guard number > 0, number <= Int(PatternScratch.mostGroups),
      unsafe number < pcre2_get_ovector_count_8(match)
    else { return nil }
    let ends = unsafe pcre2_get_ovector_pointer_8(match).unsafelyUnwrapped
    let (lower, upper) = unsafe (ends[2 * number], ends[2 * number + 1])
    // A group that took no part has ends beyond any text.
    return lower <= upper && upper <= bytes.count ? lower..<upper : nil
  }

  /// The place of what the pattern's first group captures; nil when there is no match, or none of the group.
  mutating func firstGroup(of pattern: CompiledPattern, in bytes: RawSpan) -> Range<Int>? {
    bytes.withByteView { bytes in
      let status = unsafe pcre2_match_8(pattern.code, bytes.base, bytes.count, 0, 0, match, context)
      guard status == 0 || status > 1 else {
        if status < 0 && status != PCRE2_ERROR_NOMATCH { limitsReached &+= 1 }
        return nil
      }
      let ends = unsafe pcre2_get_ovector_pointer_8(match).unsafelyUnwrapped
      // A group that took no part has ends beyond any text.
      guard unsafe ends[2] <= ends[3], unsafe ends[3] <= bytes.count else { return nil }
      return unsafe ends[2]..<ends[3]
    }
  }
}
