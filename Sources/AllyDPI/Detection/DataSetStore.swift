internal import AllyPacket

/// A set of values that rules name, as it is at the start: part of the compiled program.
struct DataSetDefinition: Sendable {
  var name: String
  var kind: DataSetMatch.Kind
  /// Each value with its reputation; 0 when it has none.
  var values: [[UInt8]: UInt32] = [:]
  /// File that is written at the end.
  var save: String?
  /// Bytes of values at most.
  var memoryCap: UInt64 = 100 << 20

  init(name: String, kind: DataSetMatch.Kind) {
    self.name = name
    self.kind = kind
  }

  /// Adds the lines of a file: base64 for strings, hexadecimal digits for digests, addresses as text; behind a comma a
  /// reputation.
  ///
  /// - Returns: the number of the first line that is none, from 1; nil when all are fine.
  mutating func load(_ file: [UInt8]) -> Int? {
    var number = 0
    for line in file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
      let parts = line.split(separator: UInt8(ascii: ","), maxSplits: 1, omittingEmptySubsequences: false)
      guard let value = DataSetDefinition.value(parts[0].trimmed, kind) else { return number }
      var reputation: UInt32 = 0
      if parts.count == 2 {
        guard let score = UInt32(String(decoding: parts[1].trimmed, as: UTF8.self)), score <= 65_535 else {
          return number
        }
        reputation = score
      }
      values[value] = reputation
    }
    return nil
  }

  private static func value(_ text: ArraySlice<UInt8>, _ kind: DataSetMatch.Kind) -> [UInt8]? {
    switch kind {
    case .string: return Base64Buffer.decode(text)
    case .md5, .sha256:
      let digits = text.map(\.hexDigit)
      guard digits.count == (kind == .md5 ? 32 : 64), !digits.contains(nil) else { return nil }
      return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
    case .ipv4, .ip:
      guard let address = IPAddressText.address(text), kind == .ip || address.isIPv4
      else { return nil }
      return address.dataSetBytes
    }
  }
}

/// One core's copy of the sets that rules look up in and add to.
///
/// Cores do not see what others add: a packet's verdict never waits for another core.
struct DataSets {
  private struct Set {
    var name: String
    var kind: DataSetMatch.Kind
    var values: [[UInt8]: UInt32]
    var bytes: UInt64
    var memoryCap: UInt64
    var save: String?
    /// A rule has added or removed a value.
    var isChanged = false
  }

  private var sets: [Set]
  /// Values that were not added because the set was full.
  private(set) var refused: UInt64 = 0
  /// Bytes that a value takes besides its own.
  private static let overhead: UInt64 = 64

  init(_ definitions: [DataSetDefinition]) {
    sets = definitions.map { definition in
      let bytes = definition.values.keys.reduce(0) { $0 + UInt64($1.count) + DataSets.overhead }
      return Set(
        name: definition.name, kind: definition.kind, values: definition.values, bytes: bytes,
        memoryCap: definition.memoryCap,
        save: definition.save)
    }
  }

  /// Goes on with what rules have made of sets of the same name and type. Sets that no rule has changed are as their files are now.
  mutating func takeOver(from former: DataSets) {
    for known in former.sets where known.isChanged {
      guard let place = sets.firstIndex(where: { $0.name == known.name && $0.kind == known.kind }) else { continue }
      sets[place].values = known.values
      sets[place].bytes = known.bytes
      sets[place].isChanged = true
    }
  }

  /// Looks a value up, or adds or removes it; adding what is there and removing what is not do not match.
  mutating func evaluate(_ step: DataSetStep, on bytes: ByteView) -> Bool {
    let place = Int(step.set)
    guard let key = DataSets.key(bytes, sets[place].kind) else { return false }
    switch step.action {
    case .isSet: return sets[place].values[key] != nil
    case .isNotSet: return sets[place].values[key] == nil
    case .set:
      guard sets[place].values[key] == nil else { return false }
      let size = UInt64(key.count) + DataSets.overhead
      guard sets[place].bytes + size <= sets[place].memoryCap else {
        refused &+= 1
        return false
      }
      sets[place].values[key] = 0
      sets[place].isChanged = true
      sets[place].bytes += size
      return true
    case .unset:
      guard sets[place].values.removeValue(forKey: key) != nil else { return false }
      sets[place].isChanged = true
      sets[place].bytes -= min(sets[place].bytes, UInt64(key.count) + DataSets.overhead)
      return true
    }
  }

  func reputation(of bytes: ByteView, in set: UInt32) -> UInt32? {
    guard let key = DataSets.key(bytes, sets[Int(set)].kind) else { return nil }
    return sets[Int(set)].values[key]
  }

  /// The sets that are to be kept, as files have them.
  var saved: [(file: String, text: [UInt8])] {
    sets.compactMap { set in
      guard let file = set.save else { return nil }
      var text: [UInt8] = []
      for value in set.values.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
        DataSets.append(value, set.kind, to: &text)
        text.append(UInt8(ascii: "\n"))
      }
      return (file, text)
    }
  }

  private static func append(_ value: [UInt8], _ kind: DataSetMatch.Kind, to text: inout [UInt8]) {
    switch kind {
    case .string:
      var json = JSONWriter(capacity: 0)
      unsafe json.base64(value.span.bytes)
      text += json.bytes.dropFirst().dropLast()
    case .md5, .sha256:
      for byte in value {
        text.append(hexadecimalDigit(byte >> 4))
        text.append(hexadecimalDigit(byte & 15))
      }
    case .ipv4, .ip: text.appendAddress(IPAddress(dataSetBytes: value))
    }
  }

  /// A buffer's bytes as a set keeps them; nil when the set cannot have them.
  private static func key(_ bytes: ByteView, _ kind: DataSetMatch.Kind) -> [UInt8]? {
    let isPossible =
      switch kind {
      case .string: true
      case .md5: bytes.count == 16
      case .sha256: bytes.count == 32
      case .ipv4: bytes.count == 4
      case .ip: bytes.count == 4 || bytes.count == 16
      }
    guard isPossible else { return nil }
    return (0..<bytes.count).map { bytes[$0] }
  }
}

extension IPAddress {
  /// Four or sixteen bytes, as the buffers `ip.src` and `ip.dst` have them.
  fileprivate var dataSetBytes: [UInt8] {
    if isIPv4 { return (0..<4).map { UInt8(truncatingIfNeeded: v4Bits >> UInt32(24 - 8 * $0)) } }
    return (0..<16).map { UInt8(truncatingIfNeeded: ($0 < 8 ? high : low) >> UInt64(56 - 8 * ($0 & 7))) }
  }

  fileprivate init(dataSetBytes bytes: [UInt8]) {
    if bytes.count == 4 {
      self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    } else {
      func half(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
      self.init(high: half(bytes.prefix(8)), low: half(bytes.dropFirst(8)))
    }
  }
}
