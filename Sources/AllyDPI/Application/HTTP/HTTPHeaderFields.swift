/// The header fields of one HTTP message, in the order of their first appearance. All text lies in one array, so that a
/// message costs no allocation once the arrays have their size.
struct HTTPHeaderFields {
  struct Field {
    var name: Range<Int>
    var value: Range<Int>
    var isRepeated = false
  }

  private(set) var fields: [Field] = []
  private var text: [UInt8] = []

  var count: Int { fields.count }
  var isEmpty: Bool { fields.isEmpty }
  /// Bytes of all names and values.
  var byteCount: Int { text.count }

  mutating func removeAll() {
    repetitions = 0
    fields.removeAll(keepingCapacity: true)
    text.removeAll(keepingCapacity: true)
  }

  func name(_ index: Int) -> ArraySlice<UInt8> { text[fields[index].name] }
  func value(_ index: Int) -> ArraySlice<UInt8> { text[fields[index].value] }

  func index(of name: StaticString) -> Int? {
    fields.firstIndex { text[$0.name].isCaselessEqual(to: name, ignoringNUL: true) }
  }

  /// The value of a field; of one that occurs several times, all of them with `, ` between (RFC 9110 §5.3).
  func value(of name: StaticString) -> ArraySlice<UInt8>? { index(of: name).map { value($0) } }

  /// What became of a field.
  enum Addition { case added, repeated, tooManyRepeated, differentLength }

  /// Fields of the same name as one before that are taken, beyond the second of each name.
  private static var maximumRepetitions: Int { 64 }
  private var repetitions = 0

  /// Adds a field, or its value to the field of the same name.
  mutating func add(name: ArraySlice<UInt8>, value: ArraySlice<UInt8>) -> Addition {
    if let known = fields.firstIndex(where: { hasName($0, name) }) {
      // A flood of one field must not grow quadratically.
      if fields[known].isRepeated {
        guard repetitions < HTTPHeaderFields.maximumRepetitions else { return .tooManyRepeated }
        repetitions += 1
      }
      fields[known].isRepeated = true
      if name.isCaselessEqual(to: "content-length") {
        // Two lengths are never joined: the first one counts.
        return self.value(known) == value ? .repeated : .differentLength
      }
      let start = text.count
      text.append(contentsOf: text[fields[known].value])
      text.append(text: ", ")
      text.append(contentsOf: value)
      fields[known].value = start..<text.count
      return .repeated
    }
    if fields.isEmpty {
      // Most messages need no more.
      fields.reserveCapacity(12)
      text.reserveCapacity(400)
    }
    let nameStart = text.count
    text.append(contentsOf: name)
    let valueStart = text.count
    text.append(contentsOf: value)
    fields.append(Field(name: nameStart..<valueStart, value: valueStart..<text.count))
    return .added
  }

  private func hasName(_ field: Field, _ name: ArraySlice<UInt8>) -> Bool {
    guard field.name.count == name.count else { return false }
    var index = name.startIndex
    for place in field.name {
      if LiteralSearch.lowercase(text[place]) != LiteralSearch.lowercase(name[index]) { return false }
      index += 1
    }
    return true
  }
}
