/// What a NIC does for a frame besides carrying it, as the descriptors say: what it found out on receive, what it is asked
/// to do on transmit.
///
/// None of it is in the frame's bytes. On transmit they are what the OS posted: a checksum that the NIC inserts is not yet
/// there, a frame that the NIC cuts into segments is still whole, and a VLAN tag that the NIC inserts is only here.
@frozen
public struct FrameOffloads: Sendable, BitwiseCopyable, Equatable {
  /// Receive: the VLAN tag that the NIC took out of the frame. Transmit: the one that it will put in. Priority in bits
  /// 15–13, identifier in 11–0; nil for none.
  public var vlan: UInt16?
  /// Receive: the NIC found the IP header checksum good. Transmit: the NIC inserts it.
  public var ipChecksum: Bool
  /// Receive: the NIC found the TCP or UDP checksum good. Transmit: the NIC inserts it.
  public var transportChecksum: Bool
  /// Transmit: the payload bytes of each segment that the NIC cuts the frame into; 0 when the frame is sent as it is.
  public var segmentSize: UInt16
  /// Transmit: with ``segmentSize``, the bytes of the headers that each segment gets.
  public var headerLength: UInt16

  @inlinable
  public init(
    vlan: UInt16? = nil, ipChecksum: Bool = false, transportChecksum: Bool = false, segmentSize: UInt16 = 0,
    headerLength: UInt16 = 0
  ) {
    self.vlan = vlan
    self.ipChecksum = ipChecksum
    self.transportChecksum = transportChecksum
    self.segmentSize = segmentSize
    self.headerLength = headerLength
  }

  /// Nothing beyond carrying the frame.
  @inlinable public static var none: FrameOffloads { FrameOffloads() }
}
