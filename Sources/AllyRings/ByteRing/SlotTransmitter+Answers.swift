public import AllyHW
public import AllyPacket

/// Frames that inspectors made, on their way to the NIC: in the DPI buffers of its slots, whatever the protection level.
extension SlotTransmitter {
  /// The shortest frame of Ethernet without frame check sequence (IEEE 802.3 §4.4.2), which a NIC of this kind does not see to.
  @inlinable static var shortestFrame: Int { 60 }

  /// Gives a replacement to the NIC in the place of the frame of the OS's next slot.
  @usableFromInline
  mutating func sendReplacement<NIC: NICDevice & ~Copyable>(
    _ answers: borrowing FrameAnswers, _ driver: Driver, nic: inout NIC
  ) {
    let state = unsafe memory.transmit
    guard let replacement = unsafe answers.replacement,
      let frame = unsafe placed(UnsafeRawBufferPointer(start: replacement, count: answers.replacementLength))
    else {
      unsafe state.pointee.counters.faults.count(.answerRefused)
      unsafe state.pointee.counters.countRefused(.drop)
      return end(.sent)
    }
    unsafe state.pointee.counters.replaced &+= 1
    give(frame, isOS: true, driver, nic: &nic)
  }

  /// Gives the NIC the frames that inspectors have added, as long as it has slots.
  @inlinable
  mutating func sendOutbox<NIC: NICDevice & ~Copyable>(_ driver: Driver, _ pass: inout SlotPass, nic: inout NIC) {
    if unsafe !memory.towardsWire.isEmpty { sendWaiting(driver, &pass, nic: &nic) }
  }

  @usableFromInline
  mutating func sendWaiting<NIC: NICDevice & ~Copyable>(_ driver: Driver, _ pass: inout SlotPass, nic: inout NIC) {
    let state = unsafe memory.transmit
    let outbox = unsafe memory.towardsWire
    while hasFreeSlot, !outbox.isEmpty {
      let frame: NICFrame?? = outbox.withFirst { bytes, _ in unsafe bytes.withUnsafeBytes { unsafe placed($0) } }
      pass.hasMoved = true
      outbox.removeFirst()
      if let frame = frame ?? nil {
        unsafe state.pointee.counters.injected &+= 1
        give(frame, isOS: false, driver, nic: &nic)
      } else {
        unsafe state.pointee.counters.faults.count(.answerRefused)
      }
    }
  }

  /// Puts a frame into the buffer of the NIC's next slot, with zeros behind it when it is too short; nil when it is too long.
  @unsafe
  private func placed(_ bytes: UnsafeRawBufferPointer) -> NICFrame? {
    guard let source = bytes.baseAddress, bytes.count > 0,
      unsafe bytes.count <= Int(min(Driver.longestFrame, UInt32(ByteRingMemory.slotLength)))
    else { return nil }
    let slot = Self.slot(state.given)
    let copy = unsafe memory.copy(slot)
    unsafe copy.copyMemory(from: source, byteCount: bytes.count)
    let length = max(bytes.count, Self.shortestFrame)
    for index in bytes.count..<length { unsafe copy.storeBytes(of: 0, toByteOffset: index, as: UInt8.self) }
    return unsafe NICFrame(buffer: memory.copyAddress(slot), length: UInt32(length))
  }
}
