import AllyHW

/// Receiving: filters, pools and queues (82576 datasheet §7.1, §7.10.3).
extension IGBModel {
  /// MRQC's modes: receive-side scaling over all queues, pools, and both.
  private enum Mode {
    static let scaling: UInt32 = 2
    static let pools: UInt32 = 3
    static let poolsWithScaling: UInt32 = 5
  }

  /// Bits of VMOLR, a pool's offload register.
  private enum Pool {
    static let longPacket: UInt32 = 1 << 16
    static let acceptUntagged: UInt32 = 1 << 24
    static let multicastTable: UInt32 = 1 << 25
    static let broadcast: UInt32 = 1 << 27
    static let allMulticast: UInt32 = 1 << 28
    static let stripTag: UInt32 = 1 << 30
    static let stripFrameCheckSequence: UInt32 = 1 << 31
  }

  private var mode: UInt32 { controller[IGBRegister.multipleQueues] & 7 }
  var hasPools: Bool { mode == Mode.pools || mode == Mode.poolsWithScaling }

  private func pool(_ number: Int) -> UInt32 { controller[IGBRegister.poolOffload + UInt32(number) * 4] }

  /// One frame, from the wire or from one of the functions, to the rings of those that want it; never to the pools in
  /// `except`, a bit each.
  mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, on bus: inout Bus, isPaced: Bool, except: UInt32 = 0
  ) -> FrameReception {
    let filter = controller.receiveFilter
    if let refusal = controller.refusal(
      of: frame, isEnabled: filter.control.contains(.enable), limit: limit(filter.control), isPaced: isPaced)
    {
      return refusal
    }
    let tag = filter.vlanTag(frame)
    let layers = IntelFrameLayers(frame, isTagged: tag != nil)
    var report = IntelReceiveReport()
    controller.checkChecksums(frame, layers, report: &report)
    let scaling = scale(frame, layers, report: &report)
    guard hasPools else {
      guard filter.accepts(frame, vlanTag: tag, register: { controller[$0] }) else {
        controller.countReceived(frame)
        return .filtered
      }
      let queue = mode == Mode.scaling ? scaling.queue : 0
      return deliver(frame, tag: tag, report: report, queue: queue, pool: nil, isPaced: isPaced, on: &bus)
    }
    var pools = pools(for: frame, tag: tag, filter: filter) & ~except
    guard pools != 0 else {
      controller.countReceived(frame)
      return .filtered
    }
    // A frame that several pools get is never held up by one of them.
    let mayWait = isPaced && pools & (pools - 1) == 0
    var reception = FrameReception.lost
    while pools != 0 {
      let number = pools.trailingZeroBitCount
      pools &= pools - 1
      // With scaling, the hash selects between a pool's two queues.
      let queue = number + (mode == Mode.poolsWithScaling ? (scaling.queue & 1) * Self.pools : 0)
      let one = deliver(frame, tag: tag, report: report, queue: queue, pool: number, isPaced: mayWait, on: &bus)
      if one == .completed || reception != .completed { reception = one }
    }
    return reception
  }

  /// The longest frame: RLPML, whose largest value means all that the model takes, while RCTL.LPE is set (§8.10.5).
  private func limit(_ control: IntelReceiveControl) -> Int {
    guard control.contains(.longPacket) else { return 1522 }
    let limit = Int(controller[IGBRegister.receiveLongMaximum])
    return limit == 0x3FFF ? maximumFrameLength : min(limit, maximumFrameLength)
  }

  private mutating func deliver<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, tag: UInt16?, report: IntelReceiveReport, queue: Int, pool number: Int?, isPaced: Bool,
    on bus: inout Bus
  ) -> FrameReception {
    let ring = IGBRegister.receiveQueue + UInt32(queue) * IGBRegister.queueStride
    guard controller[ring + IGBRegister.descriptorControl] & IGBRegister.queueEnable != 0 else {
      return isPaced ? .mustWait : .filtered
    }
    let split = controller[ring + IGBRegister.splitControl]
    let control = controller.receiveControl
    let offload = number.map { pool($0) } ?? 0
    let size = Int(split & 0x7F) * 1024
    let delivery = controller.deliver(
      frame, tag: tag, report: report,
      to: IntelReceiveTarget(
        ring: ring, bufferSize: size == 0 ? control.bufferSize : size,
        // DESCTYPE 0; all others are advanced, and headers are not split.
        format: split >> 25 & 7 == 0 ? .legacy : .extended,
        stripsFrameCheckSequence: control.contains(.stripFrameCheckSequence)
          || offload & Pool.stripFrameCheckSequence != 0,
        stripsTag: number == nil ? controller.isVLANEnabled : offload & Pool.stripTag != 0,
        dropsWithoutDescriptors: split >> 31 == 1),
      isPaced: isPaced, on: &bus)
    if delivery.reception == .completed {
      interrupts.raise(queue: queue, isTransmit: false)
      count((1, UInt32(frame.count + 4)), ofFunction: queue % Self.pools, isTransmit: false)
      // SRRCTL.RDMTS, in units of 16 descriptors.
      let threshold = Int(split >> 20 & 31) * 16
      if threshold > 0, delivery.reached(threshold) { interrupts.raise(.receiveDescriptorMinimum) }
    } else if delivery.isOverrun {
      controller[ring + IGBRegister.dropCount] &+= 1
      interrupts.raise(.receiverOverrun)
    }
    return delivery.reception
  }

  /// The statistics of the virtual functions: frames and octets, which wrap (§8.19).
  mutating func count(_ amount: (frames: UInt32, octets: UInt32), ofFunction function: Int, isTransmit: Bool) {
    guard hasPools else { return }
    let base = IGBRegister.functionStatistics + UInt32(function) * 0x100
    controller[base + (isTransmit ? 0x14 : 0x10)] &+= amount.frames
    controller[base + (isTransmit ? 0x34 : 0x18)] &+= amount.octets
  }

  // MARK: Scaling

  /// The queue that the hash selects, and the first word of an advanced descriptor (§7.1.5.2): RSS type and packet type, then
  /// either the hash or the IP identification and the packet checksum.
  private func scale(
    _ frame: Span<UInt8>, _ layers: IntelFrameLayers?, report: inout IntelReceiveReport
  ) -> (hash: IntelRSS, queue: Int) {
    var scaling = IntelRSS()
    var queue = 0
    if mode == Mode.scaling || mode == Mode.poolsWithScaling {
      scaling = IntelRSS(frame, layers, fields: controller[IGBRegister.multipleQueues]) {
        controller[IGBRegister.scalingKey + 4 * $0]
      }
      if scaling.type != .none {
        queue = Int(scaling.redirection { controller[IGBRegister.redirectionTable + 4 * $0] } & 15)
      }
    }
    report.firstWord = UInt64(scaling.type.rawValue) | packetType(layers) << 4
    let checksum = controller[IntelRegister.receiveChecksum]
    if checksum & IGBRegister.hashInsteadOfChecksum != 0 {
      report.firstWord |= UInt64(scaling.hash) << 32
    } else {
      controller.reportPacketChecksum(frame, layers, &report)
    }
    return (scaling, queue)
  }

  /// IPv4, IPv4 with options, IPv6, IPv6 with extensions, TCP, UDP, SCTP: a bit each (§7.1.5.2).
  private func packetType(_ layers: IntelFrameLayers?) -> UInt64 {
    guard let layers else { return 0 }
    var type: UInt64 = layers.isIPv4 ? 1 : 4
    if layers.hasExtensions { type |= layers.isIPv4 ? 2 : 8 }
    if layers.isTCP { type |= 16 }
    if layers.isUDP { type |= 32 }
    if layers.transportProtocol == 132, !layers.isFragment { type |= 64 }
    return type
  }

  // MARK: Pools

  /// The pools whose receive address matches exactly.
  func exactPools(_ frame: Span<UInt8>) -> UInt32 {
    guard frame.count >= 6 else { return 0 }
    let low = UInt32(frame[0]) | UInt32(frame[1]) << 8 | UInt32(frame[2]) << 16 | UInt32(frame[3]) << 24
    let high = UInt32(frame[4]) | UInt32(frame[5]) << 8
    var pools: UInt32 = 0
    for index in 0..<UInt32(24) {
      let address =
        index < 16
        ? IntelRegister.receiveAddress + 8 * index : IGBRegister.moreReceiveAddresses + 8 * (index - 16)
      let upper = controller[address + 4]
      guard upper >> 31 == 1, upper & 0xFFFF == high, controller[address] == low else { continue }
      pools |= upper >> 18 & 0xFF
    }
    return pools
  }

  /// The pools that get a frame (§7.10.3.3): by address, else the default one; then by VLAN and by VFRE.
  private func pools(for frame: Span<UInt8>, tag: UInt16?, filter: IntelReceiveFilter) -> UInt32 {
    guard frame.count >= 6 else { return 0 }
    var pools = exactPools(frame)
    if frame[0] & 1 == 1 {
      let isBroadcast = IntelReceiveFilter.isBroadcast(frame)
      let isInTable = !isBroadcast && filter.isInMulticastTable(frame, register: { controller[$0] })
      for number in 0..<Self.pools {
        let offload = self.pool(number)
        let wants =
          isBroadcast
          ? offload & Pool.broadcast != 0
          : offload & Pool.allMulticast != 0 || isInTable && offload & Pool.multicastTable != 0
        if wants { pools |= 1 << UInt32(number) }
      }
    }
    let virtualization = controller[IGBRegister.virtualization]
    let wantsAll = filter.control.contains(frame[0] & 1 == 1 ? .multicastPromiscuous : .unicastPromiscuous)
    if pools == 0 {
      // VT_CTL: the default pool, unless it is switched off; it gets what nobody else wants when RCTL is promiscuous.
      guard wantsAll || frame[0] & 1 == 0, virtualization >> 29 & 1 == 0 else { return 0 }
      pools = 1 << (virtualization >> 7 & 7)
    }
    for number in 0..<Self.pools where pools >> UInt32(number) & 1 == 1 {
      if !mayReceive(tag: tag, pool: number, filter: filter) { pools &= ~(1 << UInt32(number)) }
    }
    return pools & controller[IGBRegister.functionReceiveEnable]
  }

  /// VLVF for tagged frames while RCTL.VFE is set; VMOLR.AUPE for others.
  private func mayReceive(tag: UInt16?, pool number: Int, filter: IntelReceiveFilter) -> Bool {
    guard let tag else { return pool(number) & Pool.acceptUntagged != 0 }
    guard filter.control.contains(.vlanFilter) else { return true }
    for index in 0..<UInt32(32) {
      let entry = controller[IGBRegister.poolVLANFilter + 4 * index]
      guard entry >> 31 == 1, entry & 0xFFF == UInt32(tag & 0xFFF) else { continue }
      return entry >> (12 + UInt32(number)) & 1 == 1
    }
    return false
  }
}
