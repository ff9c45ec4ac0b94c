internal import AllyAppliance
public import AllyPacket
internal import AllyRings

/// Frames that passed an inspector; plain bytes, so that it can outlive its process.
public struct FrameCounts: Sendable, BitwiseCopyable {
  /// Frames that the wire brought, and their bytes as captured.
  public var frames: UInt64 = 0
  public var bytes: UInt64 = 0
  /// Frames by verdict.
  public var accepted: UInt64 = 0
  public var dropped: UInt64 = 0
  public var rejected: UInt64 = 0
  /// What the accepted frames are on the wire, where a NIC cuts some into several; 0 of a run that does not tell.
  public var segments: UInt64 = 0

  public init() {}

  /// Counts one frame and its verdict.
  public mutating func count(_ verdict: Verdict, bytes: Int) {
    frames += 1
    self.bytes += UInt64(bytes)
    switch verdict {
    case .accept, .replace: accepted += 1
    case .drop: dropped += 1
    case .reject: rejected += 1
    }
  }
}

/// What a run of a capture past an inspector came to.
public struct RunSummary: Sendable {
  public var counts = FrameCounts()
  /// Wall-clock seconds from the first frame's reading to the last one's verdict.
  public var seconds: Double = 0
  /// Frames that reached the other side: what the OS driver took out of its ring, or what was accepted when there
  /// is no ring.
  public var delivered: UInt64 = 0
  /// What interception did; nil for a run without rings.
  public var interception: InterceptionSummary?
  /// What crossed to an inspector in another process; nil when there was none.
  public var inspectorProcess: InspectorUse?
  /// How often it had to go on without a worker; nil of a run without a keeper.
  public var survival: SurvivalSummary?
  /// Interfaces that were listened to.
  public var interfaces: [InterfaceUse] = []

  public init() {}

  /// 10⁹ bits of frames per second of the run.
  public var gigabitsPerSecond: Double { seconds > 0 ? Double(counts.bytes) * 8 / seconds / 1e9 : 0 }
}

/// What crossed to an inspector in another process, in frames unless it says otherwise.
public struct InspectorUse: Sendable {
  /// What it gave a verdict on, and in how many batches that was handed over.
  public var frames: UInt64
  public var batches: UInt64
  /// Times that either process had to be woken.
  public var inspectorWakeUps: UInt64
  public var interceptorWakeUps: UInt64
  /// What had to be copied for it.
  public var copies: UInt64
  /// What passed, or was dropped, because there was no inspector.
  public var undecided: UInt64
  /// Inspectors after the first.
  public var restarts: UInt64
  /// What should not be, by name.
  public var faults: [(name: String, count: UInt64)]
}

/// What a keeper had to do.
public struct SurvivalSummary: Sendable {
  /// Workers that died and were replaced, and those of them that had stood still and were ended.
  public var deaths: UInt64
  public var stalls: UInt64
  /// Frames that were not inspected because workers had died of them.
  public var setAside: UInt64
  /// Frames of the wire that were lost with a worker.
  public var lost: UInt64
  /// Executables that took another's place.
  public var upgrades: UInt64
}

/// What was heard at an interface, in frames.
public struct InterfaceUse: Sendable {
  public var name: String
  /// What passed it while it was listened to, and what of that was lost because the ring was full.
  public var passed: UInt64
  public var lost: UInt64
  /// What was cut to the longest length that is kept.
  public var cut: UInt64
}

/// What the machine between the wire and the operating system counted.
public struct InterceptionSummary: Sendable {
  /// Accesses of the OS to NIC registers that the Remapping Table sent elsewhere (paper §4.2).
  public var mmioRedirections: UInt64 = 0
  /// Interprocessor interrupts, from the TLB Miss Handler to the DPI core and from it to the OS.
  public var interprocessorInterrupts: UInt64 = 0
  /// Interrupts that the NIC raised, all taken by the DPI core.
  public var nicInterrupts: UInt64 = 0
  /// Interrupts that the OS saw.
  public var osInterrupts: UInt64 = 0
  /// The DPI core's own accesses to the NIC's registers, and the bytes that it moved: descriptors, registers, copies of frames
  /// (paper Table 2).
  public var nicAccesses: UInt64 = 0
  public var movedBytes: UInt64 = 0
  /// Frames of the appliance's own, to the wire and to the OS: what it tells endpoints of rejected frames.
  public var answers: UInt64 = 0
  /// How full each ring was at its fullest.
  public var rings: [RingUse] = []
  /// Faults and refusals by name; those of zero are not worth a line.
  public var faults: [(name: String, count: UInt64)] = []

  /// Wires that lead out of this machine.
  public var wires: [WireUse] = []

  public init() {}

  /// Adds what a DPI core moved.
  mutating func count(_ core: DPICoreCounters, _ receive: QueueCounters, _ transmit: QueueCounters) {
    nicAccesses &+= core.nicReads &+ core.nicWrites
    movedBytes &+= core.descriptorBytes &+ core.registerBytes &+ receive.copiedBytes &+ transmit.copiedBytes
  }

  /// What passed a wire that leads out of this machine, in frames.
  public struct WireUse: Sendable {
    public var name: String
    /// What a NIC took from it, and what went to it.
    public var received: UInt64
    public var sent: UInt64
    /// What its other side did not take, and what waited too long for the NIC.
    public var refused: UInt64
    public var expired: UInt64
  }

  /// One ring's high-water mark, in descriptors.
  public struct RingUse: Sendable {
    public var name: String
    public var highWater: UInt64
    public var size: UInt64

    public init(name: String, highWater: UInt64, size: UInt64) {
      self.name = name
      self.highWater = highWater
      self.size = size
    }
  }
}
