internal import AllyPacket

/// Decides whether bytes satisfy the payload options of a rule.
///
/// The order is Suricata's: options one after the other, each counting from the cursor that the previous one left; when a
/// later option fails, the nearest earlier content or pattern that it counts from is tried at its next match. The number of
/// attempts per evaluation is bounded, whatever the payload.
struct PayloadEvaluator: ~Copyable {
  /// Attempts per evaluation (`detect.inspection-recursion-limit`).
  private let attemptLimit: Int

  private let steps: ConstantTable<PayloadStep>
  private let literals: ConstantTable<UInt8>
  private let patterns: ConstantTable<CompiledPattern>
  private let captures: ConstantTable<CaptureRule>
  /// What groups captured since it was last emptied, of searches that led to a match or not.
  private(set) var captured: [CapturedText] = []
  private var variables: ByteVariables
  private(set) var patternScratch: PatternScratch
  /// How the transaction in hand writes its numbers, for options that follow it (`dce`).
  var isLittleEndian = true
  private var attempts = 0
  /// What rules with `base64_decode` look at.
  private let decoded = Base64Buffer()
  private let transforms: [TransformChain]
  /// What a transform makes of a buffer, and room to work in.
  private var transformed: [UInt8] = []
  private var spare: [UInt8] = []
  /// This core's values of `dataset` and `datarep`.
  var dataSets: DataSets
  /// No other match of an earlier option can help any more.
  private var isHopeless = false
  /// Evaluations that ended at ``attemptLimit``: taken for no match, as Suricata does.
  private(set) var attemptLimitsReached: UInt64 = 0

  init(program: DetectionTables, configuration: DPIConfiguration = DPIConfiguration()) throws(DPIEngineError) {
    attemptLimit = configuration.attemptLimit
    steps = program.steps
    literals = program.literals
    patterns = program.patterns
    captures = program.captures
    variables = ByteVariables(count: program.variableCount)
    transforms = program.transforms
    dataSets = DataSets(program.dataSets)
    patternScratch = try PatternScratch(
      matchLimit: configuration.patternMatchLimit, depthLimit: configuration.patternDepthLimit)
  }

  /// Goes on with the values and counts of the evaluator for the rules before.
  mutating func takeOver(from former: borrowing PayloadEvaluator) {
    dataSets.takeOver(from: former.dataSets)
    attemptLimitsReached &+= former.attemptLimitsReached
    patternScratch.limitsReached &+= former.patternScratch.limitsReached
  }

  /// Evaluates steps on what a transform makes of bytes.
  ///
  /// - Parameter transform: ``Signature/any`` for the bytes as they are.
  mutating func evaluate(_ range: TableRange, on bytes: RawSpan, through transform: UInt32) -> Int? {
    if transform == Signature.any { return bytes.withByteView { evaluate(range, on: $0) } }
    guard fillTransformed(from: bytes, by: transform) else { return nil }
    // The array is out of the way while it is looked at, and comes back with its room.
    let work = transformed
    transformed = []
    defer { transformed = work }
    return unsafe work.span.bytes.withByteView { evaluate(range, on: $0) }
  }

  /// Fills ``transformed``.
  ///
  /// - Returns: whether there is anything to search.
  private mutating func fillTransformed(from bytes: RawSpan, by transform: UInt32) -> Bool {
    transformed.removeAll(keepingCapacity: true)
    for index in 0..<bytes.byteCount { transformed.append(bytes.byte(at: index)) }
    return transforms[Int(transform)].run(&transformed, spare: &spare, scratch: &patternScratch)
  }

  /// Scans what a transform makes of bytes.
  ///
  /// - Returns: as ``HyperscanScratch/scan(_:for:)``; 0 when there is nothing to search.
  mutating func scan(
    _ bytes: RawSpan, through transform: UInt32, _ scratch: inout HyperscanScratch, for database: HyperscanDatabase
  ) -> Int? {
    if transform == Signature.any { return bytes.withByteView { scratch.scan($0, for: database) } }
    guard fillTransformed(from: bytes, by: transform) else { return 0 }
    return unsafe transformed.span.bytes.withByteView { scratch.scan($0, for: database) }
  }

  /// Evaluates steps on bytes.
  ///
  /// - Returns: nil without a match; else where the match's last option that has a place ends, 0 when none has.
  mutating func evaluate(_ range: TableRange, on bytes: ByteView) -> Int? {
    attempts = 0
    isHopeless = false
    let indices = range.indices
    let end = match(indices.lowerBound, indices.upperBound, bytes, cursor: 0, furthest: 0)
    if attempts > attemptLimit { attemptLimitsReached &+= 1 }
    return end < 0 ? nil : end
  }

  /// - Returns: -1 without a match, else the end of the furthest match.
  private mutating func match(_ index: Int, _ end: Int, _ bytes: ByteView, cursor: Int, furthest: Int) -> Int {
    guard index < end else { return furthest }
    attempts &+= 1
    if attempts > attemptLimit {
      isHopeless = true
      return -1
    }
    switch steps[index] {
    case .content(let step):
      return matchContent(step, index, end, bytes, cursor: cursor, furthest: furthest)
    case .pattern(let step):
      return matchPattern(step, index, end, bytes, cursor: cursor, furthest: furthest)
    case .byteTest(let step):
      guard test(step, bytes, cursor: cursor) else { return -1 }
      return match(index + 1, end, bytes, cursor: cursor, furthest: furthest)
    case .byteJump(let step):
      let target = jump(step, bytes, cursor: cursor)
      guard target >= 0 else { return -1 }
      return match(index + 1, end, bytes, cursor: target, furthest: max(furthest, target))
    case .byteExtract(let step):
      guard let number = read(step.read, bytes, cursor: cursor) else { return -1 }
      var value = number.value &* UInt64(step.multiplier)
      if step.alignment > 0 { value = aligned(value, to: UInt64(step.alignment)) }
      variables[Int(step.variable)] = value
      return match(index + 1, end, bytes, cursor: number.end, furthest: max(furthest, number.end))
    case .byteMath(let step):
      guard let number = read(step.read, bytes, cursor: cursor) else { return -1 }
      variables[Int(step.variable)] = compute(step, number.value)
      return match(index + 1, end, bytes, cursor: number.end, furthest: max(furthest, number.end))
    case .isDataAt(let step):
      let position = step.position.resolve(variables)
      let isThere = step.isRelative ? cursor + position <= bytes.count : position < bytes.count
      guard isThere != step.isNegated else { return -1 }
      return match(index + 1, end, bytes, cursor: cursor, furthest: furthest)
    case .bufferSize(let test):
      guard test.matches(UInt32(clamping: bytes.count)) else { return -1 }
      return match(index + 1, end, bytes, cursor: cursor, furthest: furthest)
    case .base64(let step):
      return matchBase64(step, bytes, cursor: cursor, furthest: furthest)
    case .dataSet(let step):
      guard dataSets.evaluate(step, on: bytes) else { return -1 }
      return match(index + 1, end, bytes, cursor: cursor, furthest: furthest)
    case .reputation(let step):
      guard let reputation = dataSets.reputation(of: bytes, in: step.set), step.test.matches(reputation) else {
        return -1
      }
      return match(index + 1, end, bytes, cursor: cursor, furthest: furthest)
    case .asn1(let step):
      guard step.matches(bytes, cursor: cursor) else { return -1 }
      return match(index + 1, end, bytes, cursor: cursor, furthest: furthest)
    }
  }

  /// The decoded bytes decide about the rule's buffer: what stands behind `base64_decode` is about them.
  private mutating func matchBase64(_ step: Base64Step, _ bytes: ByteView, cursor: Int, furthest: Int) -> Int {
    let start = (step.isRelative ? cursor : 0) + Int(step.offset)
    guard start >= 0, start < bytes.count else { return -1 }
    let available = bytes.count - start
    let count = step.byteCount == 0 ? available : min(available, Int(step.byteCount))
    decoded.decode(bytes.slice(start..<start + count))
    guard decoded.count > 0, !step.decoded.isEmpty else { return -1 }
    let indices = step.decoded.indices
    let end = match(indices.lowerBound, indices.upperBound, decoded.view, cursor: 0, furthest: 0)
    return end < 0 ? -1 : max(furthest, start + count)
  }

  // MARK: content

  private mutating func matchContent(
    _ step: ContentStep, _ index: Int, _ end: Int, _ bytes: ByteView, cursor: Int, furthest: Int
  ) -> Int {
    let needle = literal(step.literal)
    let bounds = searchBounds(of: step, in: bytes, cursor: cursor)
    var lower = bounds.lower
    let upper = bounds.upper
    while true {
      var found = -1
      if lower <= upper, upper > 0, !(step.endsWith && upper < bytes.count) {
        found = LiteralSearch.find(needle, in: bytes, from: lower, to: upper, isCaseless: step.isCaseless)
        if step.endsWith, found >= 0, found + needle.count != bytes.count {
          // Only the occurrence at the very end counts; look there at once.
          let last = bytes.count - needle.count
          found =
            last >= lower
            ? LiteralSearch.find(needle, in: bytes, from: last, to: upper, isCaseless: step.isCaseless) : -1
        }
      }
      if step.isNegated {
        if found < 0 { return match(index + 1, end, bytes, cursor: cursor, furthest: furthest) }
        // Nothing before it could change what an option without an anchor found.
        if !step.isRelative { isHopeless = true }
        return -1
      }
      guard found >= 0 else {
        if !step.isRelative { isHopeless = true }
        return -1
      }
      let matchEnd = found + needle.count
      let result = match(index + 1, end, bytes, cursor: matchEnd, furthest: max(furthest, matchEnd))
      if result >= 0 { return result }
      if isHopeless || !step.retries { return -1 }
      attempts &+= 1
      lower = found + 1
    }
  }

  /// The bytes in which a content's match must lie; `upper` may be less than `lower` when there are none.
  private func searchBounds(of step: ContentStep, in bytes: ByteView, cursor: Int) -> (lower: Int, upper: Int) {
    var lower: Int
    var upper = bytes.count
    let offset = step.offset.resolve(variables)
    if step.isRelative {
      let distance = step.hasDistance ? step.distance.resolve(variables) : 0
      lower = max(0, cursor + distance)
      if step.hasWithin { upper = min(upper, cursor + distance + step.within.resolve(variables)) }
      if step.hasDepth { upper = min(upper, cursor + offset + step.depth.resolve(variables)) }
      lower = max(lower, offset)
    } else {
      lower = offset
      if step.hasDepth { upper = min(upper, offset + step.depth.resolve(variables)) }
    }
    return (max(0, lower), max(0, upper))
  }

  private func literal(_ range: TableRange) -> ByteView {
    // The compiler laid the range within the table.
    unsafe ByteView(base: literals.pointer + Int(range.start), count: Int(range.count))
  }

  // MARK: pcre

  private mutating func matchPattern(
    _ step: PatternStep, _ index: Int, _ end: Int, _ bytes: ByteView, cursor: Int, furthest: Int
  ) -> Int {
    // A relative pattern sees the bytes behind the cursor alone, so that `^` stands for the cursor.
    let base = step.isRelative ? min(cursor, bytes.count) : 0
    let subject = bytes.slice(base..<bytes.count)
    var start = 0
    while true {
      switch patternScratch.search(patterns[step.pattern], in: subject, from: start) {
      case .limit: return -1
      case .absent:
        return step.isNegated ? match(index + 1, end, bytes, cursor: cursor, furthest: furthest) : -1
      case .found(let range):
        if step.isNegated { return -1 }
        if !step.captures.isEmpty { capture(step.captures, in: subject) }
        let matchEnd = base + range.upperBound
        let result = match(index + 1, end, bytes, cursor: matchEnd, furthest: max(furthest, matchEnd))
        if result >= 0 { return result }
        if isHopeless || !step.retries { return -1 }
        attempts &+= 1
        start = range.lowerBound + 1
      }
    }
  }

  private mutating func capture(_ rules: TableRange, in bytes: ByteView) {
    for index in rules.indices {
      let rule = captures[index]
      guard let range = patternScratch.group(Int(rule.group), in: bytes) else { continue }
      var text: [UInt8] = []
      for place in range.prefix(PayloadEvaluator.longestCapture) { text.append(bytes[place]) }
      captured.removeAll { $0.name == rule.name && $0.scope == rule.scope }
      captured.append(CapturedText(scope: rule.scope, name: rule.name, text: text))
    }
  }

  mutating func forgetCaptures() { if !captured.isEmpty { captured.removeAll() } }

  private static var longestCapture: Int { 1024 }

  // MARK: numbers

  /// Reads a number; nil when its bytes are not all there, or are not the digits they should be.
  private func read(_ read: NumberRead, _ bytes: ByteView, cursor: Int) -> (value: UInt64, end: Int)? {
    let start = (read.isRelative ? cursor : 0) + read.offset.resolve(variables)
    let count = read.byteCount.resolve(variables)
    guard start >= 0, count >= 0, start <= bytes.count, count <= bytes.count - start else { return nil }
    if read.isRelative && count > 0 && start >= bytes.count { return nil }
    if read.base != 0 {
      // No count means as many digits as there are.
      let digits = count == 0 ? min(23, bytes.count - start) : count
      return Digits.read(bytes, from: start, count: digits, base: read.base == 1 ? 0 : UInt64(read.base))
    }
    guard count <= 8 else { return nil }
    var value: UInt64 = 0
    for offset in 0..<count {
      let byte = UInt64(
        bytes[start + ((read.followsMessage ? isLittleEndian : read.isLittleEndian) ? count - 1 - offset : offset)])
      value = value &<< 8 | byte
    }
    return (value, start + count)
  }

  private func masked(_ value: UInt64, by read: NumberRead) -> UInt64 {
    read.hasMask ? (value & UInt64(read.mask)) >> UInt64(read.mask.trailingZeroBitCount) : value
  }

  private func aligned(_ value: UInt64, to unit: UInt64) -> UInt64 {
    value % unit == 0 ? value : value &+ (unit - value % unit)
  }

  private func test(_ step: ByteTestStep, _ bytes: ByteView, cursor: Int) -> Bool {
    guard let number = read(step.read, bytes, cursor: cursor) else { return false }
    let value = masked(number.value, by: step.read)
    let other = step.value.resolveWide(variables)
    let isTrue =
      switch step.comparison {
      case .less: value < other
      case .lessOrEqual: value <= other
      case .equal: value == other
      case .greaterOrEqual: value >= other
      case .greater: value > other
      case .and: value & other != 0
      case .xor: value ^ other != 0
      }
    return isTrue != step.isNegated
  }

  /// - Returns: the cursor after the jump; -1 when there is nothing to read or the target lies behind the buffer's end. A
  ///   target before the buffer is its start.
  private func jump(_ step: ByteJumpStep, _ bytes: ByteView, cursor: Int) -> Int {
    guard let number = read(step.read, bytes, cursor: cursor) else { return -1 }
    var distance = masked(number.value, by: step.read) &* UInt64(step.multiplier)
    if step.aligns { distance = aligned(distance, to: 4) }
    let origin =
      switch step.origin {
      case .bytesRead: number.end
      case .beginning: 0
      case .end: bytes.count
      }
    let post = step.postOffset.resolve(variables)
    let (sum, overflow) = Int(truncatingIfNeeded: distance).addingReportingOverflow(origin + post)
    guard !overflow, sum <= bytes.count else { return -1 }
    return max(0, sum)
  }

  private func compute(_ step: ByteMathStep, _ value: UInt64) -> UInt64 {
    let operand = step.operand.resolveWide(variables)
    let result =
      switch step.operation {
      case .add: value &+ operand
      case .subtract: value &- operand
      case .multiply: value &* operand
      case .divide: operand == 0 ? 0 : value / operand
      case .shiftLeft: operand < 64 ? value << operand : 0
      case .shiftRight: operand < 64 ? value >> operand : 0
      }
    return masked(result, by: step.read)
  }
}

/// Numbers written in digits, read as C's `strtoull` does.
enum Digits {
  /// - Parameters:
  ///   - count: bytes to look at, no more than 23 of them.
  ///   - base: 8, 10, 16; 0 takes it from the prefix (`0x`, `0`).
  /// - Returns: the number, and the offset behind its last digit; nil without a digit, or when it does not fit.
  static func read(_ bytes: ByteView, from start: Int, count: Int, base: UInt64) -> (value: UInt64, end: Int)? {
    guard count <= 23 else { return nil }
    let end = start + count
    var offset = start
    while offset < end, bytes[offset] == 0x20 || bytes[offset] &- 9 < 5 { offset += 1 }
    var isNegative = false
    if offset < end, bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-") {
      isNegative = bytes[offset] == UInt8(ascii: "-")
      offset += 1
    }
    var base = base
    if base == 16 || base == 0, end - offset >= 3, bytes[offset] == UInt8(ascii: "0"),
      bytes[offset + 1] | 0x20 == UInt8(ascii: "x"),
      digit(bytes[offset + 2]) < 16
    {
      offset += 2
      base = 16
    }
    if base == 0 { base = offset < end && bytes[offset] == UInt8(ascii: "0") ? 8 : 10 }
    var value: UInt64 = 0
    let first = offset
    while offset < end, digit(bytes[offset]) < base {
      let (product, tooLarge) = value.multipliedReportingOverflow(by: base)
      let (sum, overflow) = product.addingReportingOverflow(digit(bytes[offset]))
      guard !tooLarge, !overflow else { return nil }
      value = sum
      offset += 1
    }
    return offset == first ? nil : (isNegative ? 0 &- value : value, offset)
  }

  /// 0 to 15; more for what is no digit.
  private static func digit(_ byte: UInt8) -> UInt64 {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x41...0x46: UInt64(byte - 0x41 + 10)
    case 0x61...0x66: UInt64(byte - 0x61 + 10)
    default: 16
    }
  }
}
