internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
public import AllyPacket
public import AllyRings
internal import AllySimulator

/// A capture on the whole path of paper §4.3: over the wire into a simulated 82540EM, through the DPI queue and the
/// inspector into the OS queue, and out of it by the OS's driver.
///
/// Captured frames without an Ethernet header get one for the NIC, which is taken off before inspection and before
/// delivery.
public struct InterceptedRun: CaptureRun {
  /// How well frames are protected on their way (Docs/Architecture.md).
  public var protection: PacketProtection
  /// The most frames that the NIC receives before the DPI core has its turn.
  public var batch: Int
  /// Called for each frame that the inspector puts on the wire: what it tells the senders of rejected frames.
  public var sent: ((RawSpan) -> Void)?

  public init(protection: PacketProtection, batch: Int = 64) {
    self.protection = protection
    self.batch = max(1, batch)
  }

  /// The longest frame that the reader gives out, with a synthetic header and the frame check sequence.
  static let longestFrame = CaptureReader.longestFrame + SyntheticHeader.byteCount + 4

  public mutating func inspect<Inspector: PacketInspector & ~Copyable>(
    _ reader: inout CaptureReader, inspecting inspector: inout Inspector,
    deliver: (borrowing Packet) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> RunSummary {
    let machine = try Self.machine(protection: protection, answers: !Inspector.actions.isEmpty)
    var path = InterceptedPath(machine: machine, batch: batch, sent: sent, inspector: inspector)
    let start = ContinuousClock.now
    var failure: CommandFailure?
    do {
      var isMore = reader.advance()
      while isMore {
        while isMore, try path.offer(reader.bytes, stamp: reader.stamp, deliver: deliver) { isMore = reader.advance() }
        try path.run(deliver: deliver)
      }
    } catch {
      failure = error
    }
    var summary = path.summary
    summary.seconds = (ContinuousClock.now - start) / .seconds(1)
    inspector = path.takeInspector()
    if let failure { throw failure }
    return summary
  }

  private static func machine(protection: PacketProtection, answers: Bool) throws(CommandFailure) -> Machine {
    let limits = RingLimits(
      maximumDescriptors: 1024, maximumFrameLength: UInt32(longestFrame) + 256,
      copyMemory: protection == .copyToDPIMemory || answers ? 8 << 20 : 0)
    do {
      return try .e1000(layout: MachineLayout(limits: limits, protection: protection), maximumFrameLength: longestFrame)
    } catch {
      throw CommandFailure(.systemFault, "the simulated machine cannot be made: \(error)")
    }
  }

  typealias Machine = SimulatedMachine<RingVirtualizer<E1000Driver>, E1000Model, E1000OSDriver>
}

/// The Ethernet header that frames of other link layers wear between wire and inspection (decision 15 of
/// Docs/Architecture.md): no addresses, and the local experimental EtherType of IEEE 802.
enum SyntheticHeader {
  static let byteCount = 14
  static let bytes: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xB5]
}

/// Remembers, in their order, the stamps of the frames that the inspector accepts: the OS driver delivers the same
/// frames in the same order, but knows no stamps. Among them come the frames that the inspector sends to the OS.
struct AcceptedStamps<Inspector: PacketInspector & ~Copyable>: PacketInspector, ~Copyable {
  var inspector: Inspector
  var counts = FrameCounts()
  private var stamps: [Delivery] = []
  private var first = 0

  /// What the OS driver is to deliver next.
  enum Delivery {
    case accepted(FrameStamp)
    /// A frame of the inspector's own.
    case own
  }

  init(_ inspector: consuming Inspector) { self.inspector = inspector }

  static var actions: InspectorActions { Inspector.actions }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    let verdict = inspector.inspect(packet)
    note(verdict, packet)
    return verdict
  }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    let verdict = inspector.inspect(packet, answering: &answers)
    note(verdict, packet)
    for _ in 0..<answers.injectedTowardsOS { stamps.append(.own) }
    return verdict
  }

  private mutating func note(_ verdict: Verdict, _ packet: borrowing Packet) {
    counts.count(verdict, bytes: packet.bytes.byteCount)
    if verdict.passes { stamps.append(.accepted(packet.stamp)) }
  }

  /// What is delivered next; nil when nothing is.
  mutating func removeFirst() -> Delivery? {
    guard first < stamps.count else { return nil }
    let stamp = stamps[first]
    first += 1
    if first == stamps.count {
      stamps.removeAll(keepingCapacity: true)
      first = 0
    }
    return stamp
  }

  consuming func take() -> Inspector { inspector }
}

/// The machine of one ``InterceptedRun``.
private struct InterceptedPath<Inspector: PacketInspector & ~Copyable>: ~Copyable {
  private var machine: InterceptedRun.Machine
  private var inspector: AcceptedStamps<Inspector>
  private let batch: Int
  private let sent: ((RawSpan) -> Void)?
  private var frame: [UInt8] = []
  private var delivered: UInt64 = 0

  init(
    machine: consuming InterceptedRun.Machine, batch: Int, sent: ((RawSpan) -> Void)?, inspector: consuming Inspector
  ) {
    self.machine = machine
    self.inspector = AcceptedStamps(inspector)
    self.batch = batch
    self.sent = sent
    self.machine.bootOS()
  }

  consuming func takeInspector() -> Inspector { inspector.take() }

  /// Puts a frame on the wire; false when the wire is full and the machine has to run first.
  mutating func offer(
    _ bytes: RawSpan, stamp: FrameStamp, deliver: (borrowing Packet) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> Bool {
    guard bytes.byteCount > 0 else {
      // A wire carries no empty frames; what a capture cut to nothing is inspected in its turn, and is its own delivery.
      try run(deliver: deliver)
      let packet = Packet(bytes: bytes, stamp: stamp, direction: .receive)
      guard inspector.inspect(packet).passes else { return true }
      _ = inspector.removeFirst()
      delivered += 1
      try deliver(packet)
      return true
    }
    // Taken out while the machine reads it: a view into one part of `self` and a change of another would exclude
    // each other.
    var frame: [UInt8] = []
    swap(&frame, &self.frame)
    frame.removeAll(keepingCapacity: true)
    if stamp.linkType != .ethernet { frame.append(contentsOf: SyntheticHeader.bytes) }
    unsafe bytes.withUnsafeBytes { unsafe frame.append(contentsOf: $0) }
    let isTaken = machine.offer(frame.span, stamp: stamp)
    swap(&frame, &self.frame)
    return isTaken
  }

  /// Lets the machine run until nothing moves.
  mutating func run(deliver: (borrowing Packet) throws(CommandFailure) -> Void) throws(CommandFailure) {
    while true {
      let received = machine.runNIC(frames: batch)
      let passed = machine.passDPI(inspecting: &inspector)
      let interrupted = try Self.runOS(&machine, &inspector, &delivered, deliver)
      takeSent()
      if received == 0, !passed, !interrupted { return }
    }
  }

  /// Takes what the appliance has put on the wire: its OS sends nothing.
  private mutating func takeSent() {
    while machine.hardware.wire.fromNIC.count > 0 {
      // Bytes of initialized integers: any of them may be read raw.
      if let sent { _ = machine.hardware.wire.fromNIC.withFirst { frame, _ in unsafe sent(frame.bytes) } }
      machine.hardware.wire.fromNIC.removeFirst()
    }
  }

  /// Lets the OS take its interrupts, and delivers the frames that its driver takes with the stamps that they had. Static,
  /// so that the machine and the stamps are two things to the exclusivity check.
  private static func runOS(
    _ machine: inout InterceptedRun.Machine, _ inspector: inout AcceptedStamps<Inspector>, _ delivered: inout UInt64,
    _ deliver: (borrowing Packet) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> Bool {
    var failure: CommandFailure?
    let interrupted = machine.runOS { bytes in
      guard failure == nil else { return }
      let stamp: FrameStamp
      switch inspector.removeFirst() {
      case .accepted(let itsStamp): stamp = itsStamp
      case .own: return
      case nil:
        failure = CommandFailure(.internalFault, "the OS driver took a frame that the inspector has not accepted")
        return
      }
      delivered += 1
      let header = stamp.linkType == .ethernet ? 0 : SyntheticHeader.byteCount
      do throws(CommandFailure) {
        try deliver(Packet(bytes: bytes.extracting(droppingFirst: header), stamp: stamp, direction: .receive))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return interrupted
  }

  var summary: RunSummary {
    var summary = RunSummary()
    summary.counts = inspector.counts
    summary.delivered = delivered
    var machine = InterceptionSummary()
    let interrupts = self.machine.hardware.northbridge.interrupts.counters
    let redirections = self.machine.hardware.northbridge.remapping.counters
    machine.mmioRedirections = redirections.loads + redirections.stores
    machine.interprocessorInterrupts = interrupts.redirectionIPIs + interrupts.mimicked
    machine.nicInterrupts = interrupts.redirected
    machine.osInterrupts = self.machine.osDriver.counters.interrupts
    let receive = self.machine.hardware.dpi.virtualizer[0].receive.state
    let transmit = self.machine.hardware.dpi.virtualizer[0].transmit.state
    machine.count(self.machine.hardware.dpi.counters, receive.counters, transmit.counters)
    machine.answers = transmit.counters.injected + receive.counters.injected
    machine.rings = [
      .init(
        name: "receive", highWater: UInt64(receive.counters.highWater), size: UInt64(receive.osQueue.count)),
      .init(
        name: "transmit", highWater: UInt64(transmit.counters.highWater), size: UInt64(transmit.osQueue.count)),
    ]
    machine.faults = [
      ("receive ring faults", receive.counters.faults.total),
      ("transmit ring faults", transmit.counters.faults.total),
      ("DMA faults", self.machine.hardware.northbridge.iommu.faults.total),
      ("OS memory faults", self.machine.hardware.os.faults),
      ("frames the OS driver found damaged", self.machine.osDriver.counters.receiveErrors),
    ]
    summary.interception = machine
    return summary
  }
}
