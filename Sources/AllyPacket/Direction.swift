/// Which way a frame travels, as the operating system sees it.
@frozen
public enum Direction: UInt8, Sendable, BitwiseCopyable {
  /// From the wire towards the OS (paper §4.3, Figure 4).
  case receive
  /// From the OS towards the wire.
  case transmit
}
