/// The most that a queue pair may take, chosen by the appliance; the DPI memory that it needs follows.
@frozen
public struct RingLimits: Sendable, BitwiseCopyable, Equatable {
  /// Descriptors per queue.
  public var maximumDescriptors: UInt32
  /// Bytes of a frame that lies in several buffers and is gathered for inspection.
  public var maximumFrameLength: UInt32
  /// Bytes of the largest single receive buffer.
  public var maximumBufferLength: UInt32
  /// Bytes of DPI buffers per direction, for frames that are copied (``PacketProtection/copyToDPIMemory``) or that inspectors
  /// replace or inject; 0 when there are none.
  public var copyMemory: UInt64

  /// The longest frame is 256 KiB and a few headers by default: captures hold such.
  @inlinable
  public init(
    maximumDescriptors: UInt32 = 4096, maximumFrameLength: UInt32 = 262_144 + 256,
    maximumBufferLength: UInt32 = 16384, copyMemory: UInt64 = 0
  ) {
    self.maximumDescriptors = maximumDescriptors
    self.maximumFrameLength = maximumFrameLength
    self.maximumBufferLength = maximumBufferLength
    self.copyMemory = copyMemory
  }
}

/// Why a queue pair cannot be set up in the memory it was given.
public enum RingSetupError: Error, Equatable, Sendable {
  /// The memory is too small.
  case memoryTooSmall(needed: UInt64)
  /// The memory is not 4,096-byte aligned, is absent, or lies in more than one segment.
  case memoryUnusable
  /// Some of the memory is not DPI memory.
  case memoryOutsideDPIMemory
  /// Limits that make no sense: fewer than 8 descriptors, a size above 2^31, or copying without memory for it.
  case limits
  /// A descriptor format that is not a multiple of 8 bytes or has padding.
  case descriptorFormat
  /// A protection level that the NIC does not support.
  case protection
  /// There is no state to go on from, or it was written with other limits or by another version or driver.
  case noState
}
