/// What a rule has done with a buffer before it searches it, ready to run: patterns are compiled.
///
/// For the messages of applications, not for each packet: the output array is the caller's and keeps its room.
struct TransformChain {
  private let steps: [Step]
  private var patterns: [CompiledPattern] = []

  private enum Step {
    case bytes(BufferTransform)
    /// Index into `patterns`.
    case capture(Int)
  }

  /// - Throws: what PCRE2 does not accept about a `pcrexform`; nothing is left allocated then.
  init(_ transforms: [BufferTransform]) throws(CompiledPattern.Problem) {
    var steps: [Step] = []
    for transform in transforms {
      guard case .capture(let pattern) = transform else {
        steps.append(.bytes(transform))
        continue
      }
      do {
        let location = RuleLocation(file: "", line: 0, column: 0)
        patterns.append(try CompiledPattern(PatternMatch(pattern: pattern, location: location)))
      } catch {
        for pattern in patterns { unsafe pattern.deallocate() }
        throw error
      }
      steps.append(.capture(patterns.count - 1))
    }
    self.steps = steps
  }

  /// Frees the patterns; no copy may be used afterwards.
  @unsafe func deallocate() {
    for pattern in patterns { unsafe pattern.deallocate() }
  }

  /// Replaces `bytes` by what the transforms make of them, one after the other.
  ///
  /// - Parameters:
  ///   - spare: room to work in, whose bytes do not matter.
  ///   - scratch: of the core that calls.
  /// - Returns: whether there is anything to search; a header field that is not there leaves nothing.
  func run(_ bytes: inout [UInt8], spare: inout [UInt8], scratch: inout PatternScratch) -> Bool {
    for step in steps {
      switch step {
      case .bytes(let transform):
        spare.removeAll(keepingCapacity: true)
        guard transform.apply(bytes.span, to: &spare) else { return false }
        swap(&bytes, &spare)
      case .capture(let index):
        guard let range = scratch.firstGroup(of: patterns[index], in: unsafe bytes.span.bytes) else { continue }
        bytes.removeSubrange(range.upperBound...)
        bytes.removeSubrange(..<range.lowerBound)
      }
    }
    return true
  }
}

extension BufferTransform {
  /// Appends what the transform makes of `bytes` to `output`. ``capture(pattern:)``, which needs a compiled pattern, leaves
  /// them as they are.
  ///
  /// - Returns: whether there is anything to search.
  func apply(_ bytes: Span<UInt8>, to output: inout [UInt8]) -> Bool {
    switch self {
    case .dotPrefix:
      output.append(UInt8(ascii: "."))
      for index in bytes.indices { output.append(bytes[index]) }
    case .toLowercase: for index in bytes.indices { output.append(LiteralSearch.lowercase(bytes[index])) }
    case .toUppercase: for index in bytes.indices { output.append(bytes[index].uppercased) }
    case .toMD5: output += Digest.of(bytes, .md5)
    case .toSHA1: output += Digest.of(bytes, .sha1)
    case .toSHA256: output += Digest.of(bytes, .sha256)
    case .stripWhitespace: for index in bytes.indices where !bytes[index].isSpace { output.append(bytes[index]) }
    case .compressWhitespace:
      for index in bytes.indices where !bytes[index].isSpace || index == 0 || !bytes[index - 1].isSpace {
        output.append(bytes[index])
      }
    case .urlDecode: Self.urlDecode(bytes, to: &output)
    case .xor(let key): for index in bytes.indices { output.append(bytes[index] ^ key[index % key.count]) }
    case .capture: for index in bytes.indices { output.append(bytes[index]) }
    case .headerLowercase:
      var isInName = true
      for index in bytes.indices {
        let byte = bytes[index]
        if byte == UInt8(ascii: ":") { isInName = false }
        output.append(isInName ? LiteralSearch.lowercase(byte) : byte)
        if byte == UInt8(ascii: "\n") { isInName = true }
      }
    case .stripPseudoHeaders:
      Self.forEachLine(of: bytes) { line in
        guard bytes[line.lowerBound] != UInt8(ascii: ":") else { return }
        for index in line { output.append(bytes[index]) }
      }
    case .headerField(let name): return Self.headerField(Array(name.utf8), in: bytes, to: &output)
    }
    return true
  }

  /// What is not two hexadecimal digits behind a `%` stays as it is.
  private static func urlDecode(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if byte == UInt8(ascii: "+") {
        output.append(UInt8(ascii: " "))
      } else if byte == UInt8(ascii: "%"), index + 1 < bytes.count, let high = bytes[index].hexDigit,
        let low = bytes[index + 1].hexDigit
      {
        output.append(high << 4 | low)
        index += 2
      } else {
        output.append(byte)
      }
    }
  }

  /// Lines with the line feed at their end; none is empty.
  private static func forEachLine(of bytes: Span<UInt8>, _ body: (Range<Int>) -> Void) {
    var start = 0
    for index in bytes.indices where bytes[index] == UInt8(ascii: "\n") {
      body(start..<index + 1)
      start = index + 1
    }
    if start < bytes.count { body(start..<bytes.count) }
  }

  /// The values of all headers of this name, with `,` between them, without the white space around each.
  private static func headerField(_ name: [UInt8], in bytes: Span<UInt8>, to output: inout [UInt8]) -> Bool {
    var found = false
    forEachLine(of: bytes) { line in
      guard line.count > name.count, bytes[line.lowerBound + name.count] == UInt8(ascii: ":") else { return }
      for index in name.indices where LiteralSearch.lowercase(bytes[line.lowerBound + index]) != name[index] { return }
      if found { output.append(UInt8(ascii: ",")) }
      found = true
      var low = line.lowerBound + name.count + 1
      var high = line.upperBound
      while low < high, bytes[low].isSpace { low += 1 }
      while high > low, bytes[high - 1].isSpace { high -= 1 }
      for index in low..<high { output.append(bytes[index]) }
    }
    return found
  }
}

extension UInt8 {
  fileprivate var uppercased: UInt8 { (0x61...0x7A).contains(self) ? self & ~0x20 : self }
}
