internal import CBrotli

/// Undoes Brotli (RFC 7932). Its window takes 16 MiB at most.
@safe
final class BrotliDecompressor: Decompressor {
  private let state: OpaquePointer

  init?() {
    guard let state = unsafe BrotliDecoderCreateInstance(nil, nil, nil) else { return nil }
    unsafe self.state = state
  }

  deinit { unsafe BrotliDecoderDestroyInstance(state) }

  func inflate(_ data: RawSpan, _ body: (RawSpan) -> Bool) -> Inflater.Outcome {
    var outcome = Inflater.Outcome.more
    // The library reads and writes within the lengths that it is given, and keeps no address beyond the call.
    unsafe data.withUnsafeBytes { input in
      var next = unsafe input.baseAddress?.assumingMemoryBound(to: UInt8.self)
      var left = input.count
      unsafe withUnsafeTemporaryAllocation(byteCount: Inflater.pieceSize, alignment: 16) { output in
        while true {
          var place = unsafe output.baseAddress?.assumingMemoryBound(to: UInt8.self)
          var room = output.count
          let result = unsafe BrotliDecoderDecompressStream(state, &left, &next, &room, &place, nil)
          let count = output.count - room
          if count > 0 {
            let piece = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: output[..<count]))
            if !body(piece) { return }
          }
          switch result {
          case BROTLI_DECODER_RESULT_SUCCESS:
            outcome = .ended
            return
          case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT: return
          case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT: continue
          default:
            outcome = .failed
            return
          }
        }
      }
    }
    return outcome
  }
}
