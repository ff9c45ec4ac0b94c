/// How well inspected bytes are kept from changing before they are used (paper §4.3, last paragraphs).
@frozen
public enum PacketProtection: UInt8, Sendable, BitwiseCopyable {
  /// Frames stay in the OS's buffers. No copy; but OS cores could rewrite a frame between inspection and use, and a
  /// dropped frame leaves a trace (``ReceiveDropAppearance``). For an OS that one trusts.
  case inPlace
  /// Frames are copied between OS and DPI memory, so that what was inspected is what is used, and a received frame
  /// that is dropped leaves no trace. For an OS that one does not trust.
  case copyToDPIMemory
  /// Frames stay in the OS's buffers, as ``inPlace``, and a NIC with frame checksums (``FrameChecksum``) says what it received
  /// and finds out what it fetches: what is inspected is a snapshot of which that checksum was verified or computed. A received
  /// frame that OS cores changed before its inspection ends there; one that they change after its inspection is not sent. For
  /// an OS that one does not trust, without DPI memory for its buffers; a dropped frame leaves the trace that it leaves in
  /// place, and what a frame says may be read before its verdict.
  case checksum
}

/// What an OS driver sees of a received frame that was dropped ``PacketProtection/inPlace``.
@frozen
public enum ReceiveDropAppearance: UInt8, Sendable, BitwiseCopyable {
  /// The descriptor completes with an error that makes the stock driver discard the frame and reuse the buffer.
  case errorCompletion
  /// The descriptor completes with a length of 0.
  case zeroLength
  /// Nothing: the buffer is kept back and given to a later frame.
  case bufferKept
}
