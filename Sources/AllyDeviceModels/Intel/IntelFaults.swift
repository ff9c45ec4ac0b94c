/// What an Intel NIC would not count, or would fail over: errors that software or the bus put before the model.
@frozen
public struct IntelFaults: Sendable, BitwiseCopyable, Equatable {
  /// Descriptor reads that the bus refused; the ring stands still for this run.
  public var descriptorReads: UInt64 = 0
  /// Descriptor write-backs that the bus refused.
  public var descriptorWrites: UInt64 = 0
  /// Reads or writes of frame data that the bus refused.
  public var buffers: UInt64 = 0
  /// Runs that found a head or tail pointer outside its ring.
  public var badRings: UInt64 = 0
  /// Frames that software posted and that were not sent: longer than a frame may be, or with offload offsets outside.
  public var unsendableFrames: UInt64 = 0
  /// Frames that found no room on the wire.
  public var wireOverruns: UInt64 = 0
  /// Frames whose destination had room for a part only: a buffer in the middle was refused.
  public var cutFrames: UInt64 = 0
  /// Frames that were not sent because their bytes were not those of their checksum; see `E1000Model`.
  public var checksumMismatches: UInt64 = 0

  @inlinable
  public init() {}
}
