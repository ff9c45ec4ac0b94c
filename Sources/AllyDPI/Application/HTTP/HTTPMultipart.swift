/// Takes the files out of a form in parts (RFC 7578, RFC 2046 §5.1) as its bytes come.
///
/// It keeps what may be the beginning of a delimiter and the header of one part, never a part's content.
struct HTTPMultipart {
  /// Longer ones are not followed: the body is then one file.
  static var longestBoundary: Int { 200 }
  /// Bytes of one part's header.
  private static var longestHeader: Int { 4096 }

  private enum State {
    /// In front of the first delimiter, or in a part that is no file.
    case skipping
    case header
    case file
    /// Behind the last delimiter, or after what cannot be a form.
    case finished
  }

  /// CR LF, two hyphens and the boundary.
  private let delimiter: [UInt8]
  private var state = State.skipping
  /// What has not been decided yet.
  private var pending: [UInt8]

  init(boundary: ArraySlice<UInt8>) {
    delimiter = [.carriageReturn, .lineFeed, 0x2D, 0x2D] + boundary
    // The first delimiter may stand at the very start.
    pending = [.carriageReturn, .lineFeed]
  }

  mutating func append(_ data: RawSpan, to transaction: HTTPTransaction, policy: FilePolicy) {
    if state == .finished { return }
    pending.append(data)
    while step(transaction, policy) {}
  }

  /// - Returns: whether there is more to do with what is pending.
  private mutating func step(_ transaction: HTTPTransaction, _ policy: FilePolicy) -> Bool {
    switch state {
    case .finished:
      pending.removeAll()
      return false
    case .header: return readHeader(transaction, policy)
    case .skipping, .file: return readContent(transaction)
    }
  }

  private mutating func readContent(_ transaction: HTTPTransaction) -> Bool {
    guard let start = firstDelimiter() else {
      // All but what a delimiter may begin with.
      release(max(0, pending.count - delimiter.count), transaction)
      return false
    }
    let end = start + delimiter.count
    // Two hyphens or a line end tell what it is.
    guard end + 2 <= pending.count else {
      release(start, transaction)
      return false
    }
    let isLast = pending[end] == 0x2D && pending[end + 1] == 0x2D
    release(start, transaction)
    if state == .file { transaction.closeFile(from: .toServer, isWhole: true) }
    pending.removeFirst(delimiter.count)
    state = isLast ? .finished : .header
    return true
  }

  /// The first bytes are content.
  private mutating func release(_ count: Int, _ transaction: HTTPTransaction) {
    guard count > 0 else { return }
    if state == .file {
      let content = pending[..<count]
      transaction.openFile(from: .toServer)?.append(content.rawBytes)
    }
    pending.removeFirst(count)
  }

  private func firstDelimiter() -> Int? {
    guard pending.count >= delimiter.count else { return nil }
    var index = 0
    while let next = pending[index...].firstIndex(of: .carriageReturn), next + delimiter.count <= pending.count {
      if pending[next..<(next + delimiter.count)].elementsEqual(delimiter) { return next }
      index = next + 1
    }
    return nil
  }

  private mutating func readHeader(_ transaction: HTTPTransaction, _ policy: FilePolicy) -> Bool {
    var end: Int? = nil
    var index = 0
    while index + 4 <= pending.count {
      if pending[index] == 0x0D, pending[index + 1] == 0x0A, pending[index + 2] == 0x0D, pending[index + 3] == 0x0A {
        end = index
        break
      }
      index += 1
    }
    guard let end else {
      if pending.count > HTTPMultipart.longestHeader {
        transaction.note(.multipartInvalidHeader)
        state = .finished
      }
      return false
    }
    var name: ArraySlice<UInt8>? = nil
    for line in pending[..<end].split(separator: .lineFeed) {
      guard let field = HTTPLine.field(HTTPLine.withoutEnd(line), allowsNUL: true),
        field.name.isCaselessEqual(to: "content-disposition")
      else { continue }
      name = HTTPDisposition.fileName(field.value)
    }
    if let name {
      transaction.openFile(from: .toServer, name: name, policy: policy)
      state = .file
    } else {
      state = .skipping
    }
    // The line end in front of a delimiter belongs to it, so that a part without content has one, too.
    pending.removeFirst(end + 2)
    if state == .file && !pending.starts(with: delimiter) { pending.removeFirst(2) }
    return true
  }
}
