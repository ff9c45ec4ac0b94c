/// A condition on one file of a transaction. All such conditions of a rule must hold for the same file.
enum FileTest: BitwiseCopyable, Sendable {
  /// There is a file: what `filestore` asks for.
  case exists
  case size(NumberTest)
  /// The digest is in the list, or is not.
  case digest(FileDigestList, isNegated: Bool)

  func matches(_ file: TransferredFile, _ digests: ConstantTable<UInt8>) -> Bool {
    switch self {
    case .exists: return true
    case .size(let test):
      let size = UInt32(clamping: file.size)
      switch file.state {
      case .open: return false
      case .closed: return test.matches(size)
      // It was at least as large as what came of it.
      case .truncated: return test.hasNoUpperBound && test.matches(size)
      }
    case .digest(let list, let isNegated):
      guard file.state == .closed, let digest = file.digest(list.function) else { return false }
      return list.contains(digest, in: digests) != isNegated
    }
  }
}

/// A sorted list of digests in the program's table.
struct FileDigestList: BitwiseCopyable, Sendable {
  var function: Digest.Function
  /// Of the first digest in the table, in bytes.
  var start: UInt32
  /// Digests.
  var count: UInt32

  /// By binary search.
  func contains(_ digest: [UInt8], in table: ConstantTable<UInt8>) -> Bool {
    var low = 0
    var high = Int(count)
    while low < high {
      let middle = (low &+ high) / 2
      switch order(of: digest, at: middle, in: table) {
      case 0: return true
      case 1: low = middle &+ 1
      default: high = middle
      }
    }
    return false
  }

  /// -1, 0 or 1: whether the digest stands before, at or behind the place.
  private func order(of digest: [UInt8], at place: Int, in table: ConstantTable<UInt8>) -> Int {
    let first = Int(start) &+ place &* digest.count
    for (index, byte) in digest.enumerated() {
      let other = table[first &+ index]
      if byte != other { return byte < other ? -1 : 1 }
    }
    return 0
  }
}

extension FileDigestMatch.Kind {
  var function: Digest.Function {
    switch self {
    case .md5: .md5
    case .sha1: .sha1
    case .sha256: .sha256
    }
  }
}
