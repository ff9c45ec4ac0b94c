/// Both directions of one of a NIC's queue pairs.
@frozen
public struct QueuePair<Driver: NICDriver>: ~Copyable {
  public var receive: ReceiveVirtualizer<Driver.OSReceive, Driver.NICReceive>
  public var transmit: TransmitVirtualizer<Driver.OSTransmit, Driver.NICTransmit>

  /// Bytes of DPI memory for each direction.
  static func receiveMemory(_ limits: RingLimits) -> UInt64 {
    ReceiveVirtualizer<Driver.OSReceive, Driver.NICReceive>.requiredMemory(limits: limits)
  }
  static func transmitMemory(_ limits: RingLimits) -> UInt64 {
    TransmitVirtualizer<Driver.OSTransmit, Driver.NICTransmit>.requiredMemory(limits: limits)
  }
}
