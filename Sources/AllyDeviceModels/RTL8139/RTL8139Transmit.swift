import AllyHW

extension RTL8139Model {
  /// Sends the descriptors that software has posted, one after the other: 0, 1, 2, 3, 0 (datasheet 5.2).
  mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard command.contains(.transmitterEnable) else { return 0 }
    var sent = 0
    while sent < min(frames, 4), transmitStatus[transmitNext] & RTL8139TransmitStatus.own == 0,
      wire.hasRoom(forFrameOf: Self.maximumTransmitLength)
    {
      let status = transmitStatus[transmitNext]
      let isSent = send(status, from: transmitAddress[transmitNext], on: &bus, wire: &wire)
      transmitStatus[transmitNext] =
        status | RTL8139TransmitStatus.own | (isSent ? RTL8139TransmitStatus.ok : RTL8139TransmitStatus.aborted)
      interruptStatus.insert(isSent ? .transmitOK : .transmitError)
      transmitNext = (transmitNext + 1) & 3
      sent += 1
    }
    return sent
  }

  private mutating func send<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    _ status: UInt32, from address: UInt32, on bus: inout Bus, wire: inout End
  ) -> Bool {
    var length = Int(status & RTL8139TransmitStatus.size)
    guard length > 0, length <= Self.maximumTransmitLength else {
      faults.unsendableFrames &+= 1
      return false
    }
    let requester = requester
    var span = frame.mutableSpan
    guard bus.readMemory(BusAddress(UInt64(address)), into: &span, range: 0..<length, requester: requester) else {
      faults.transmitReads &+= 1
      interruptStatus.insert(.systemError)
      return false
    }
    // TCR.CRC: software has put the frame check sequence at the end; the wire carries none.
    if transmitConfiguration >> 16 & 1 == 1 { length = max(0, length - 4) }
    // TCR.LBK: what is sent comes back, and never reaches the wire.
    if transmitConfiguration >> 17 & 3 == 3 {
      let copy = Array(frame[..<length])
      _ = receive(copy.span, on: &bus, isPaced: false)
      return true
    }
    if !wire.transmit(frame.span.extracting(0..<length)) { faults.wireOverruns &+= 1 }
    return true
  }
}
