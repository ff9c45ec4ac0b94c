/// What undoes one compression, piece by piece, within a fixed amount of memory.
protocol Decompressor: AnyObject {
  /// Decompresses a piece, and hands on what it becomes in pieces of ``Inflater/pieceSize``; only the last one is smaller.
  ///
  /// - Parameter body: returns whether it wants more.
  func inflate(_ data: RawSpan, _ body: (RawSpan) -> Bool) -> Inflater.Outcome
}

extension Inflater: Decompressor {}
