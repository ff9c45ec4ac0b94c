/// Bodies as files.
extension HTTPTransaction {
  /// Opens a file, unless one is open or there were too many.
  func openFile(from side: FlowSide, name: ArraySlice<UInt8>, policy: FilePolicy, keepsBytes: Bool = true) {
    guard files.count < 64, openFile(from: side) == nil else { return }
    if name.count > HTTPTransaction.longestFileName { note(.fileNameTooLong) }
    let name = name.prefix(HTTPTransaction.longestFileName)
    files.append(TransferredFile(name: name, side: side, policy: policy, keepsBytes: keepsBytes))
  }

  /// Bytes of a file's name.
  private static var longestFileName: Int { 4096 }

  func openFile(from side: FlowSide) -> TransferredFile? { files.last { $0.side == side && $0.state == .open } }

  func markGap(_ count: Int, from side: FlowSide) { openFile(from: side)?.skip(count) }

  func closeFile(from side: FlowSide, isWhole: Bool) {
    if isWhole { openFile(from: side)?.close(isWhole: true) } else { openFile(from: side)?.breakOff() }
  }

  /// A range is over: when it was the last that was missing, there is a whole file.
  func finishRange(_ policy: FilePolicy) {
    guard let part = range else { return }
    range = nil
    if files.count < 64, let file = policy.ranges?.takeWhole(part.key) { files.append(file) }
  }
}

extension HTTPParser {
  /// A response's body is a file, named by `Content-Disposition` (RFC 6266 §4.1), else by the path that was asked for.
  func openResponseFile(of transaction: HTTPTransaction) {
    let disposition = transaction.response.fields.value(of: "content-disposition")
    let name = disposition.flatMap(HTTPDisposition.fileName) ?? transaction.request.uri.normalizedPath
    transaction.openFile(from: .toClient, name: name, policy: filePolicy, keepsBytes: false)
    guard let range = transaction.response.fields.value(of: "content-range").flatMap({ HTTPContentRange($0) }) else {
      return
    }
    transaction.openFile(from: .toClient)?.range = range.bounds
    guard let bounds = range.bounds, let size = range.size, bounds.upperBound < size else { return }
    let key = (transaction.request.fields.value(of: "host").map { Array($0) } ?? []) + [0] + Array(name)
    let policy = filePolicy
    let assembly = policy.ranges?.assembly(key, size: size, policy.budget) {
      TransferredFile(name: name, side: .toClient, policy: policy)
    }
    transaction.range = assembly.map { HTTPRangePart(key: key, assembly: $0, offset: bounds.lowerBound) }
  }

  /// What is posted or put is a file, named by the path; a form (RFC 7578) carries its files in parts.
  func openRequestFile(of transaction: HTTPTransaction) {
    let isPost = transaction.isMethod("POST")
    guard isPost || transaction.isMethod("PUT") else { return }
    if isPost, let type = transaction.request.fields.value(of: "content-type"),
      let boundary = HTTPDisposition.parameter("boundary=", of: type), boundary.count < HTTPMultipart.longestBoundary
    {
      requestSide.multipart = HTTPMultipart(boundary: boundary)
    } else {
      transaction.openFile(from: .toServer, name: transaction.request.uri.normalizedPath, policy: filePolicy)
    }
  }

  /// Decoded content of a request's body.
  func appendRequestContent(_ data: RawSpan, to transaction: HTTPTransaction) {
    let room = transaction.request.body.room(limit: limits.requestBody)
    transaction.request.body.append(data, limit: limits.requestBody)
    let file = transaction.openFile(from: .toServer)
    let isLookedAt = room > 0 || file?.isKeptByRule == true
    if requestSide.multipart != nil && isLookedAt {
      requestSide.multipart?.append(data, to: transaction, policy: filePolicy)
    } else {
      file?.append(data, room: room)
    }
  }

  /// Decoded content of a response's body.
  func appendResponseContent(_ data: RawSpan, to transaction: HTTPTransaction) {
    let room = transaction.response.body.room(limit: limits.responseBody)
    transaction.response.body.append(data, limit: limits.responseBody)
    transaction.openFile(from: .toClient)?.append(data, room: room)
    guard let part = transaction.range else { return }
    part.assembly.take(data, at: part.offset)
    transaction.range?.offset = part.offset &+ UInt64(data.byteCount)
  }
}

/// A range of a file that an answer brings.
struct HTTPRangePart {
  var key: [UInt8]
  var assembly: FileAssembly
  /// Of the next byte.
  var offset: UInt64
}

/// `Content-Disposition`.
enum HTTPDisposition {
  /// The value of `filename`; nil without one.
  static func fileName(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? { parameter("filename=", of: value) }

  /// The value of a parameter, without quotes; nil without one.
  ///
  /// - Parameter name: in lower case, with the equals sign.
  static func parameter(_ name: StaticString, of value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    let length = name.utf8CodeUnitCount
    for parameter in value.split(separator: UInt8(ascii: ";")) {
      let parameter = parameter.trimmed
      guard parameter.prefix(length).isCaselessEqual(to: name) else { continue }
      var name = parameter.dropFirst(length).trimmed
      if name.first == UInt8(ascii: "\"") {
        name = name.dropFirst().prefix { $0 != UInt8(ascii: "\"") }
      }
      return name.isEmpty ? nil : name
    }
    return nil
  }
}
