/// Bodies as files.
extension HTTPTransaction {
  func openFile(from side: FlowSide, name: ArraySlice<UInt8>) {
    guard files.count < 64, !files.contains(where: { $0.side == side && $0.state == .open }) else { return }
    files.append(TransferredFile(name: Array(name), side: side))
  }

  func growFile(from side: FlowSide, by count: Int) {
    guard let index = files.lastIndex(where: { $0.side == side && $0.state == .open }) else { return }
    files[index].size += UInt64(count)
  }

  func markGap(from side: FlowSide) {
    guard let index = files.lastIndex(where: { $0.side == side && $0.state == .open }) else { return }
    files[index].hasGaps = true
  }

  func closeFile(from side: FlowSide, _ state: TransferredFile.State) {
    guard let index = files.lastIndex(where: { $0.side == side && $0.state == .open }) else { return }
    files[index].state = files[index].hasGaps ? .truncated : state
  }
}

extension HTTPParser {
  /// A response's body is a file, named by `Content-Disposition` (RFC 6266 §4.1), else by the path that was asked for.
  func openResponseFile(of transaction: HTTPTransaction) {
    let disposition = transaction.response.fields.value(of: "content-disposition")
    let name = disposition.flatMap(HTTPDisposition.fileName) ?? transaction.request.uri.normalizedPath
    transaction.openFile(from: .toClient, name: name)
  }
}

/// `Content-Disposition`.
enum HTTPDisposition {
  /// The value of `filename`; nil without one.
  static func fileName(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    for parameter in value.split(separator: UInt8(ascii: ";")) {
      let parameter = parameter.trimmed
      guard parameter.prefix(9).isCaselessEqual(to: "filename=") else { continue }
      var name = parameter.dropFirst(9).trimmed
      if name.first == UInt8(ascii: "\"") {
        name = name.dropFirst().prefix { $0 != UInt8(ascii: "\"") }
      }
      return name.isEmpty ? nil : name
    }
    return nil
  }
}
