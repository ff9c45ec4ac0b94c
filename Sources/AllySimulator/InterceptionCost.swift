public import AllyAppliance
internal import AllyDeviceModels
internal import AllyHW
public import AllyPacket

/// What moving frames cost a machine, as the paper's Table 2 and §5.2 count it: interrupts, register accesses, and bytes that
/// the DPI core moved. Instructions are not in here; `Benchmarks/instructions-per-frame.sh` counts them.
public struct InterceptionCost: Sendable, Equatable {
  /// The traffic of the paper's benchmarks, as it is on the link.
  public enum Workload: String, Sendable, CaseIterable {
    /// The OS sends: 16 frames of 1,514 bytes by one doorbell, which 8 acknowledgements of 60 bytes answer.
    case stream = "TCP_STREAM"
    /// The OS receives: the same the other way around.
    case maerts = "TCP_MAERTS"
    /// The OS answers each frame of 66 bytes with another, one at a time.
    case requestResponse = "TCP_RR"
  }

  /// Frames on the link, both ways.
  public var frames: UInt64 = 0
  /// Interrupts that the OS core took.
  public var osInterrupts: UInt64 = 0
  /// The OS core's accesses to the NIC's registers.
  public var osRegisterAccesses: UInt64 = 0
  /// What the DPI core did; zeros on a machine without.
  public var core = DPICoreCounters()

  public init() {}

  /// The frames of one round: what the OS sends, and what comes over the wire.
  fileprivate static func round(_ workload: Workload) -> (sent: [[UInt8]], received: [[UInt8]]) {
    func frames(_ count: Int, _ length: Int, toOS: Bool) -> [[UInt8]] {
      let addresses: [UInt8] =
        toOS
        ? [0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1] : [2, 0, 0, 0, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56]
      let frame = addresses + [0x88, 0xB5] + [UInt8](repeating: 0xA5, count: length - 14)
      return [[UInt8]](repeating: frame, count: count)
    }
    return switch workload {
    case .stream: (frames(16, 1514, toOS: false), frames(8, 60, toOS: true))
    case .maerts: (frames(8, 60, toOS: false), frames(16, 1514, toOS: true))
    case .requestResponse: (frames(1, 66, toOS: false), frames(1, 66, toOS: true))
    }
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model: ~Copyable, OSDriver: ~Copyable {
  /// Carries a workload's traffic, after the OS was booted, and says what it cost.
  ///
  /// - Parameters:
  ///   - workload: which traffic.
  ///   - rounds: how often; see ``InterceptionCost/Workload``.
  ///   - inspector: what the DPI core asks about each frame.
  public mutating func cost<Inspector: PacketInspector & ~Copyable>(
    of workload: InterceptionCost.Workload, rounds: Int, inspecting inspector: inout Inspector
  ) -> InterceptionCost {
    run(inspecting: &inspector) { _ in }
    var cost = InterceptionCost()
    let before = (osInterrupts, hardware.osRegisterAccesses, hardware.dpi.counters)
    let (sent, received) = InterceptionCost.round(workload)
    for _ in 0..<rounds {
      for frame in received where offer(frame.span, stamp: FrameStamp()) { cost.frames += 1 }
      if workload == .requestResponse { run(inspecting: &inspector) { _ in } }
      for frame in sent where unsafe send(frame.span.bytes, doorbell: false) { cost.frames += 1 }
      osDriver.ringDoorbell(on: &hardware)
      run(inspecting: &inspector) { _ in }
      while hardware.wire.fromNIC.count > 0 { hardware.wire.fromNIC.removeFirst() }
    }
    cost.osInterrupts = osInterrupts - before.0
    cost.osRegisterAccesses = hardware.osRegisterAccesses - before.1
    cost.core = hardware.dpi.counters.since(before.2)
    return cost
  }
}

extension BareMachine where Model: ~Copyable, OSDriver: ~Copyable {
  /// As ``SimulatedMachine/cost(of:rounds:inspecting:)``, without Ally.
  public mutating func cost(of workload: InterceptionCost.Workload, rounds: Int) -> InterceptionCost {
    run { _ in }
    var cost = InterceptionCost()
    let before = (osInterrupts, hardware.osRegisterAccesses)
    let (sent, received) = InterceptionCost.round(workload)
    for _ in 0..<rounds {
      for frame in received where hardware.wire.toNIC.append(frame.span, stamp: FrameStamp()) { cost.frames += 1 }
      if workload == .requestResponse { run { _ in } }
      for frame in sent where unsafe osDriver.send(frame.span.bytes, doorbell: false, on: &hardware) {
        cost.frames += 1
      }
      osDriver.ringDoorbell(on: &hardware)
      run { _ in }
      while hardware.wire.fromNIC.count > 0 { hardware.wire.fromNIC.removeFirst() }
    }
    cost.osInterrupts = osInterrupts - before.0
    cost.osRegisterAccesses = hardware.osRegisterAccesses - before.1
    return cost
  }
}
