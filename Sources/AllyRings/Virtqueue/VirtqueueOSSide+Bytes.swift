/// Moving bytes between a buffer's segments and memory of one's own.
extension VirtqueueOSSide {
  /// Copies what the device reads, from `offset` on, to `target`, which has room for all of it.
  @unsafe
  public func copyReadable(from offset: Int = 0, to target: UnsafeMutableRawPointer) {
    var skipped = offset
    var filled = 0
    for index in 0..<Int(chain.readable) {
      let part = unsafe segmentPlace[index]
      let length = Int(part.length)
      guard skipped < length else {
        skipped &-= length
        continue
      }
      unsafe (target + filled).copyMemory(from: part.place + skipped, byteCount: length &- skipped)
      filled &+= length &- skipped
      skipped = 0
    }
  }

  /// What the device reads, from `offset` on, when it lies in one piece.
  @unsafe
  @inlinable
  public func readablePiece(from offset: Int) -> UnsafeMutableRawPointer? {
    guard chain.readable > 0 else { return nil }
    let first = unsafe segmentPlace[0]
    if chain.readable == 1 { return Int(first.length) > offset ? unsafe first.place + offset : nil }
    return chain.readable == 2 && Int(first.length) == offset ? unsafe segmentPlace[1].place : nil
  }

  /// Copies `count` bytes from `source` into the buffer, from its first byte that the device may write on.
  ///
  /// - Precondition: the chain's writable length is at least `count`.
  @unsafe
  public func fillWritable(from source: UnsafeMutableRawPointer, count: Int) {
    var done = 0
    for index in Int(chain.readable)..<Int(chain.count) {
      let part = unsafe segmentPlace[index]
      let length = min(Int(part.length), count &- done)
      guard length > 0 else { return }
      unsafe part.place.copyMemory(from: source + done, byteCount: length)
      done &+= length
    }
  }
}
