public import AllyPacket

/// Where frames meet their inspector: the one place for each direction that makes a packet of bytes.
extension ReceiveVirtualizer {
  /// Stamps and inspects one frame that lies in one piece, for an inspector without actions.
  @unsafe
  @inlinable
  @inline(__always)
  static func inspectReceived<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ place: UnsafeMutableRawPointer, length: UInt32, queue: UInt16, offloads: FrameOffloads,
    inspecting inspector: inout Inspector, clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: length)
    // What is not Ethernet came under a made-up Ethernet header (decision 15 of Docs/Architecture.md).
    let skipped = stamp.linkType == .ethernet ? 0 : min(14, Int(length))
    let bytes = unsafe UnsafeRawBufferPointer(start: place + skipped, count: Int(length) &- skipped).bytes
    return inspector.inspect(
      Packet(bytes: bytes, stamp: stamp, direction: .receive, queue: queue, offloads: offloads))
  }

  /// As above, for any inspector. `skipped` gets how many bytes of a made-up header the inspector did not see.
  ///
  /// - Returns: the verdict; `replace` only when there is a replacement.
  @unsafe
  @inlinable
  static func inspectReceived<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ place: UnsafeMutableRawPointer, length: UInt32, queue: UInt16, offloads: FrameOffloads, skipped: inout Int,
    inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: length)
    skipped = stamp.linkType == .ethernet ? 0 : min(14, Int(length))
    let bytes = unsafe UnsafeRawBufferPointer(start: place + skipped, count: Int(length) &- skipped).bytes
    let packet = Packet(bytes: bytes, stamp: stamp, direction: .receive, queue: queue, offloads: offloads)
    return inspect(packet, with: &inspector, &answers)
  }
}

extension TransmitVirtualizer {
  /// Stamps and inspects one frame that lies in one piece, for an inspector without actions.
  @unsafe
  @inlinable
  @inline(__always)
  static func inspectTransmitted<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ place: UnsafeMutableRawPointer, length: UInt32, queue: UInt16, offloads: FrameOffloads,
    inspecting inspector: inout Inspector, clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: length)
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(length)).bytes
    return inspector.inspect(
      Packet(bytes: bytes, stamp: stamp, direction: .transmit, queue: queue, offloads: offloads))
  }

  /// As above, for any inspector.
  ///
  /// - Returns: the verdict; `replace` only when there is a replacement.
  @unsafe
  @inlinable
  static func inspectTransmitted<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ place: UnsafeMutableRawPointer, length: UInt32, queue: UInt16, offloads: FrameOffloads,
    inspecting inspector: inout Inspector, answers: inout FrameAnswers, clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: length)
    let bytes = unsafe UnsafeRawBufferPointer(start: place, count: Int(length)).bytes
    let packet = Packet(bytes: bytes, stamp: stamp, direction: .transmit, queue: queue, offloads: offloads)
    return inspect(packet, with: &inspector, &answers)
  }
}

/// Asks an inspector in the way that it wants to be asked.
///
/// For virtualizers: `answers` is used by inspectors with actions alone.
///
/// - Returns: the verdict; `replace` only when there is a replacement in `answers`.
@inlinable
public func inspect<Inspector: PacketInspector & ~Copyable>(
  _ packet: borrowing Packet, with inspector: inout Inspector, _ answers: inout FrameAnswers
) -> Verdict {
  let verdict: Verdict
  if Inspector.actions.isEmpty {
    verdict = inspector.inspect(packet)
  } else {
    answers.begin()
    verdict = inspector.inspect(packet, answering: &answers)
  }
  return verdict == .replace && answers.replacementLength == 0 ? .drop : verdict
}

extension RingMemory {
  /// What an inspector gets to answer with: this direction's scratch area, and both outboxes of the queue pair.
  @inlinable
  func answers(towardsOS: FrameOutbox, towardsWire: FrameOutbox) -> FrameAnswers {
    guard let scratch = unsafe scratch else { return FrameAnswers() }
    return unsafe FrameAnswers(
      scratch: scratch, capacity: Int(limits.maximumFrameLength), towardsOS: towardsOS, towardsWire: towardsWire)
  }
}
