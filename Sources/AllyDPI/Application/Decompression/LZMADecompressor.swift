internal import CLZMA

/// Undoes LZMA in the format of its first program (`.lzma`).
@safe
final class LZMADecompressor: Decompressor {
  /// Bytes that the library may take: what asks for more is not decoded.
  private static var memoryLimit: UInt64 { 1 << 20 }

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
