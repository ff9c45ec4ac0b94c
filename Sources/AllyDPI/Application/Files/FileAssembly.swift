internal import AllyPacket

/// Bytes that the files of one core may keep of content that came before what stands in front of it.
final class FileBudget {
  var left = 64 << 20
}

/// A file whose content comes in pieces that name their place in it, in any order.
final class FileAssembly {
  let file: TransferredFile
  /// Content that came before what stands in front of it in the file, in the order of the file.
  private var ahead: [(offset: UInt64, bytes: [UInt8])] = []
  private(set) var bytesAhead = 0
  var piecesAhead: Int { ahead.count }

  /// Bytes that are kept until what is in front of them comes, and pieces of them; what is more makes a gap.
  static var mostAhead: Int { 4 << 20 }
  private static var mostPiecesAhead: Int { 4096 }

  private let budget: FileBudget

  init(_ file: TransferredFile, _ budget: FileBudget) {
    self.file = file
    self.budget = budget
  }

  deinit { budget.left += bytesAhead }

  /// Takes content at its place.
  ///
  /// - Returns: whether some of it had come before.
  @discardableResult
  func take(_ data: RawSpan, at offset: UInt64) -> Bool {
    if data.byteCount == 0 { return false }
    if offset > file.size {
      let isRoom = bytesAhead + data.byteCount <= FileAssembly.mostAhead && data.byteCount <= budget.left
      if isRoom, ahead.count < FileAssembly.mostPiecesAhead {
        let place = ahead.lastIndex { $0.offset <= offset }.map { $0 + 1 } ?? 0
        ahead.insert((offset, data.array), at: place)
        bytesAhead += data.byteCount
        budget.left -= data.byteCount
        return false
      }
      release(through: offset)
      if offset > file.size { file.skip(Int(clamping: offset - file.size)) }
    }
    let known = Int(clamping: file.size - min(file.size, offset))
    if known < data.byteCount { file.append(data.extracting(known...)) }
    release(through: file.size)
    return known > 0
  }

  /// No more content comes.
  ///
  /// - Parameters:
  ///   - isWhole: as far as the sender's word goes.
  ///   - end: where the file ends, as far as that is known: what is missing in front of it is a gap.
  func close(isWhole: Bool, at end: UInt64 = 0) {
    release(through: .max)
    if end > file.size { file.skip(Int(clamping: end - file.size)) }
    file.close(isWhole: isWhole)
  }

  /// Hands on what was ahead and begins at or before a place; what is missing in front of it is a gap.
  private func release(through end: UInt64) {
    var end = end
    var released = 0
    while released < ahead.count, ahead[released].offset <= end {
      let next = ahead[released]
      released += 1
      bytesAhead -= next.bytes.count
      budget.left += next.bytes.count
      if next.offset > file.size { file.skip(Int(clamping: next.offset - file.size)) }
      // A file that was closed before takes nothing, and no gap either.
      let known = Int(clamping: file.size - min(file.size, next.offset))
      if file.size >= next.offset, known < next.bytes.count {
        let rest = next.bytes[known...]
        file.append(rest.rawBytes)
      }
      end = max(end, file.size)
    }
    ahead.removeFirst(released)
  }
}
