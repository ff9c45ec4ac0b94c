internal import CLZMA

/// Undoes LZMA in the format of its first program (`.lzma`).
@safe
final class LZMADecompressor: Decompressor {
  /// Bytes that the library may take.
  private static var memoryLimit: UInt64 { 1 << 20 }
  /// Bytes that content may refer back to: encoders name far more than what little they encode needs.
  private static var dictionary: UInt32 { 1 << 19 }
  /// The first bytes: properties, the size of the dictionary, that of the content.
  private static var headerLength: Int { 13 }

  private var header: [UInt8] = []
  /// The content named a larger dictionary than there is.
  private var isClamped = false
  private var produced = 0
  /// It also needed it.
  private(set) var hasReachedLimit = false

  // The library keeps the stream's state, so that it must not move.
  private let stream: UnsafeMutablePointer<lzma_stream>

  init?() {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: lzma_stream())
    guard unsafe lzma_alone_decoder(stream, LZMADecompressor.memoryLimit) == LZMA_OK else {
      unsafe stream.deallocate()
      return nil
    }
  }

  deinit {
    unsafe lzma_end(stream)
    unsafe stream.deallocate()
  }

  func inflate(_ data: RawSpan, _ body: (RawSpan) -> Bool) -> Inflater.Outcome {
    var start = 0
    if header.count < Self.headerLength {
      start = min(Self.headerLength - header.count, data.byteCount)
      header.append(data.extracting(0..<start))
      guard header.count == Self.headerLength else { return .more }
      clampDictionary()
      let outcome = decode(header.rawBytes, body)
      if outcome != .more { return outcome }
    }
    let outcome = decode(data.extracting(start...)) {
      produced += $0.byteCount
      return body($0)
    }
    if outcome == .failed && isClamped && produced >= Int(Self.dictionary) { hasReachedLimit = true }
    return outcome
  }

  private func clampDictionary() {
    let size = (1...4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32(header[$1]) }
    guard size > Self.dictionary else { return }
    isClamped = true
    for index in 0..<4 { header[1 + index] = UInt8(truncatingIfNeeded: Self.dictionary >> UInt32(8 * index)) }
  }

  private func decode(_ data: RawSpan, _ body: (RawSpan) -> Bool) -> Inflater.Outcome {
    var outcome = Inflater.Outcome.more
    // The library reads and writes within the lengths that it is given, and keeps no address beyond the call.
    unsafe data.withUnsafeBytes { input in
      guard let start = input.baseAddress else { return }
      unsafe stream.pointee.next_in = start.assumingMemoryBound(to: UInt8.self)
      unsafe stream.pointee.avail_in = input.count
      unsafe withUnsafeTemporaryAllocation(byteCount: Inflater.pieceSize, alignment: 16) { output in
        while true {
          unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
          unsafe stream.pointee.avail_out = output.count
          let status = unsafe lzma_code(stream, LZMA_RUN)
          let count = unsafe output.count - stream.pointee.avail_out
          let unusedInput = unsafe stream.pointee.avail_in
          if count > 0 {
            let piece = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: output[..<count]))
            if !body(piece) { return }
          }
          if status == LZMA_STREAM_END {
            outcome = .ended
            return
          }
          if status == LZMA_BUF_ERROR || status == LZMA_OK && unusedInput == 0 && count < output.count { return }
          if status != LZMA_OK {
            outcome = .failed
            return
          }
        }
      }
    }
    return outcome
  }
}
