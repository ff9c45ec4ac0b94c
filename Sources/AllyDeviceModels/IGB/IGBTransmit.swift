import AllyHW

/// Sending, and the switch between the functions (82576 datasheet §7.2, §7.10.3.6).
extension IGBModel {
  /// DTXSWC: whether frames between the functions stay inside.
  private var isSwitching: Bool { controller[IGBRegister.descriptorSwitch] & IGBRegister.loopbackEnable != 0 }

  mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard controller.isTransmitEnabled else { return 0 }
    guard isSwitching else { return transmitAll(on: &bus, wire: &wire, frames: frames) { _, _ in } }
    if fabric == nil { fabric = Wire(transmitStamp: 0, capacity: max(1 << 20, 4 * maximumFrameLength)) }
    // Taken out while the queues send into it, so that it and the rest are separate.
    guard var inside = fabric.take() else { return 0 }
    let sent = transmitAll(on: &bus, wire: &inside, frames: frames) { $0.transmitStamp = $1 }
    switchFrames(from: &inside, on: &bus, wire: &wire)
    fabric = consume inside
    return sent
  }

  /// Sends from each queue in turn; `mark` tells the wire from which pool the next frames are.
  private mutating func transmitAll<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int, mark: (inout End, Int) -> Void
  ) -> Int {
    var sent = 0
    for queue in 0..<Self.queues {
      let ring = IGBRegister.transmitQueue + UInt32(queue) * IGBRegister.queueStride
      guard controller[ring + IGBRegister.descriptorControl] & IGBRegister.queueEnable != 0,
        mayTransmit(queue)
      else { continue }
      controller.onWire = (0, 0)
      mark(&wire, queue % Self.pools)
      let pass = controller.transmit(queue: queue, ring: ring, on: &bus, wire: &wire, frames: frames - sent)
      count(controller.onWire, ofFunction: queue % Self.pools, isTransmit: true)
      if pass.wroteBack { interrupts.raise(queue: queue, isTransmit: true) }
      if pass.isEmpty { interrupts.raise(.transmitQueueEmpty) }
      sent += pass.sent
    }
    return sent
  }

  /// VFTE, while there are pools.
  private func mayTransmit(_ queue: Int) -> Bool {
    !hasPools || controller[IGBRegister.functionTransmitEnable] >> UInt32(queue % Self.pools) & 1 == 1
  }

  /// Gives each frame that a function has sent to the pools that want it, and to the wire unless it was for one of them
  /// alone.
  private mutating func switchFrames<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    from inside: inout Wire<Int>, on bus: inout Bus, wire: inout End
  ) {
    while true {
      let goesOut = inside.fromNIC.withFirst { frame, sender -> Bool in
        let isMulticast = frame.count > 0 && frame[0] & 1 == 1
        let isInside = !isMulticast && exactPools(frame) != 0
        // DTXSWC.LLE: whether a pool hears itself.
        let hearsItself = controller[IGBRegister.descriptorSwitch] >> UInt32(16 + sender) & 1 == 1
        if isMulticast || isInside {
          _ = receive(frame, on: &bus, isPaced: false, except: hearsItself ? 0 : 1 << UInt32(sender))
        }
        if !isInside, !wire.transmit(frame) { controller.faults.wireOverruns &+= 1 }
        return !isInside
      }
      guard goesOut != nil else { return }
      inside.fromNIC.removeFirst()
    }
  }
}
