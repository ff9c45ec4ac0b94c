internal import CZlib

/// Undoes one compression by zlib, piece by piece, within a fixed amount of memory.
@safe
final class Inflater {
  enum Format: Sendable { case gzip, deflate }

  /// What became of a piece.
  enum Outcome { case more, ended, failed }

  /// What comes out is handed on in pieces of this many bytes; only the last one is smaller.
  static var pieceSize: Int { 8192 }

  // zlib keeps the stream's address, so that it must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  private var isOpen: Bool

  /// - Parameter format: `gzip` also recognises zlib's own header; `deflate` is the bare format.
  init?(_ format: Format) {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    isOpen = unsafe Inflater.open(stream, format)
    if !isOpen {
      unsafe stream.deallocate()
      return nil
    }
  }

  deinit {
    if isOpen { unsafe inflateEnd(stream) }
    unsafe stream.deallocate()
  }

  private static func open(_ stream: UnsafeMutablePointer<z_stream>, _ format: Format) -> Bool {
    let bits: Int32 = format == .gzip ? 15 + 32 : -15
    return unsafe inflateInit2_(stream, bits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
  }

  /// Begins anew.
  func restart(_ format: Format) -> Bool {
    if isOpen { unsafe inflateEnd(stream) }
    unsafe stream.pointee = z_stream()
    isOpen = unsafe Inflater.open(stream, format)
    return isOpen
  }

  /// Decompresses a piece, and hands on what it becomes in pieces of ``pieceSize``.
  ///
  /// - Parameter body: returns whether it wants more.
  func inflate(_ data: RawSpan, _ body: (RawSpan) -> Bool) -> Outcome {
    guard isOpen else { return .failed }
    var outcome = Outcome.more
    // zlib reads and writes within the lengths that it is given, and keeps no address beyond the call.
    unsafe data.withUnsafeBytes { input in
      guard let start = input.baseAddress else { return }
      unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
      unsafe stream.pointee.avail_in = UInt32(input.count)
      unsafe withUnsafeTemporaryAllocation(byteCount: Self.pieceSize, alignment: 16) { output in
        while true {
          unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
          unsafe stream.pointee.avail_out = UInt32(output.count)
          let status = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
          let count = unsafe output.count - Int(stream.pointee.avail_out)
          let unusedInput = unsafe stream.pointee.avail_in
          if count > 0 {
            let piece = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: output[..<count]))
            if !body(piece) { return }
          }
          if status == Z_STREAM_END {
            outcome = .ended
            return
          }
          if status == Z_BUF_ERROR || status == Z_OK && unusedInput == 0 && count < output.count { return }
          if status != Z_OK {
            outcome = .failed
            return
          }
        }
      }
    }
    return outcome
  }
}
