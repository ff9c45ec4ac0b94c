/// Packets and their bytes, counted from the IP header on as nft does.
@frozen
public struct PacketCount: Sendable, BitwiseCopyable, Equatable {
  public var packets: UInt64
  public var bytes: UInt64

  @inlinable
  public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    self.packets = packets
    self.bytes = bytes
  }

  @inline(__always)
  mutating func add(_ length: UInt32) {
    packets &+= 1
    bytes &+= UInt64(length)
  }
}
