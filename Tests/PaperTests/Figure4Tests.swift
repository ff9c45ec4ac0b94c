import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// Figure 4: the evolution of the descriptor queues on reception, panel by panel.
@Suite struct Figure4Tests {
  private static func hardware(_ protection: PacketProtection = .inPlace) throws -> E1000Hardware {
    let limits = RingLimits(copyMemory: protection == .inPlace ? 0 : 1 << 20)
    return try E1000Hardware(
      layout: MachineLayout(limits: limits, protection: protection),
      model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56]))
  }

  @Test func theFourPanels() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    #expect(hardware.receivePicture() == "OS . . . . . . . . h0 t0 | DPI . . . . . . . . h0 t0")

    // (a) Descriptors are made available by the OS in the OS queue. The OS increases the OS Tail Pointer.
    HandDrivenOS.post(&hardware, slots: 0..<3)
    #expect(hardware.receivePicture() == "OS P P P . . . . . h0 t3 | DPI . . . . . . . . h0 t0")

    // (b) The DPI core copies descriptors and updates the DPI Tail Pointer.
    hardware.passDPI(inspecting: &inspector)
    #expect(hardware.receivePicture() == "OS P P P . . . . . h0 t3 | DPI P P P . . . . . h0 t3")

    // (c) The NIC copies received packets and completes descriptors in the DPI queue, and updates the DPI Head Pointer.
    let frames = [Frames.numbered(1), Frames.numbered(2)]
    for (index, frame) in frames.enumerated() {
      try hardware.put(frame, ordinal: index + 1)
    }
    hardware.runNIC(frames: 2)
    #expect(hardware.receivePicture() == "OS P P P . . . . . h0 t3 | DPI C C P . . . . . h2 t3")
    #expect(inspector.seen.isEmpty, "nothing is inspected before the DPI core has its turn")
    #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.osCore) == nil)

    // (d) The DPI core processes the packets, marks descriptors in the OS queue as completed and updates the OS Head
    // Pointer; an IPI tells the OS.
    hardware.passDPI(inspecting: &inspector)
    #expect(hardware.receivePicture() == "OS C C P . . . . . h2 t3 | DPI C C P . . . . . h2 t3")
    #expect(inspector.seen.map(\.bytes) == frames)
    #expect(hardware.northbridge.interrupts.pending(at: MachineLayout.osCore) == MachineLayout.osVector)
    for (slot, frame) in frames.enumerated() {
      #expect(
        hardware.bytes(at: HandDrivenOS.buffer(slot), count: frame.count) == frame, "the frame is in the OS's buffer")
    }
  }

  @Test func aDropInPlaceShowsAsAnErrorAndLeavesNoPayload() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector { $0 == 1 }
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<3)
    hardware.passDPI(inspecting: &inspector)
    for number in 1...2 { try hardware.put(Frames.numbered(number), ordinal: number) }
    hardware.runNIC(frames: 2)
    hardware.passDPI(inspecting: &inspector)
    #expect(hardware.receivePicture() == "OS X C P . . . . . h2 t3 | DPI C C P . . . . . h2 t3")
    #expect(
      hardware.bytes(at: HandDrivenOS.buffer(0), count: 64) == [UInt8](repeating: 0, count: 64),
      "the dropped payload is scrubbed")
  }

  @Test func aDropWithCopyingLeavesNoTrace() throws {
    var hardware = try Self.hardware(.copyToDPIMemory)
    var inspector = ScriptedInspector { $0 == 1 }
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<3)
    hardware.passDPI(inspecting: &inspector)
    for number in 1...2 { try hardware.put(Frames.numbered(number), ordinal: number) }
    hardware.runNIC(frames: 2)
    #expect(
      hardware.bytes(at: HandDrivenOS.buffer(0), count: 64) == [UInt8](repeating: 0, count: 64),
      "before inspection nothing is in OS memory")
    hardware.passDPI(inspecting: &inspector)
    let picture = hardware.receivePicture()
    #expect(picture.hasPrefix("OS C P P . . . . . h1 t3 |"))
    #expect(
      hardware.bytes(at: HandDrivenOS.buffer(0), count: 64) == Frames.numbered(2),
      "the accepted frame takes the first free slot")
  }

  @Test func theQueuesWrap() throws {
    var hardware = try Self.hardware()
    var inspector = ScriptedInspector()
    HandDrivenOS.start(&hardware, count: 8)
    HandDrivenOS.post(&hardware, slots: 0..<7)
    hardware.passDPI(inspecting: &inspector)
    for number in 1...6 { try hardware.put(Frames.numbered(number), ordinal: number) }
    hardware.runNIC(frames: 6)
    hardware.passDPI(inspecting: &inspector)
    #expect(hardware.receivePicture() == "OS C C C C C C P . h6 t7 | DPI C C C C C C P . h6 t7")
    // The OS gives slots 7 and 0 to 2 back, over the end of the ring.
    for slot in [7, 0, 1, 2] {
      hardware.store(HandDrivenOS.buffer(slot).rawValue, at: HandDrivenOS.descriptor(slot))
      hardware.store(0, at: HandDrivenOS.descriptor(slot).advanced(by: 8))
    }
    hardware.writeRegister(QueueRegister.receiveTail, 3)
    hardware.passDPI(inspecting: &inspector)
    #expect(hardware.receivePicture() == "OS P P P C C C P P h6 t3 | DPI P P P C C C P P h6 t3")
    for number in 7...10 { try hardware.put(Frames.numbered(number), ordinal: number) }
    hardware.runNIC(frames: 4)
    hardware.passDPI(inspecting: &inspector)
    #expect(hardware.receivePicture() == "OS C C P C C C C C h2 t3 | DPI C C P C C C C C h2 t3")
    #expect(inspector.seen.map(\.bytes) == (1...10).map { Frames.numbered($0) })
  }
}

extension E1000Hardware {
  /// Puts a frame on the wire.
  mutating func put(_ frame: [UInt8], ordinal: Int) throws {
    let stamp = FrameStamp(time: UInt64(ordinal), ordinal: UInt64(ordinal), lengthOnWire: UInt32(frame.count))
    let taken = wire.toNIC.append(frame.span, stamp: stamp)
    try #require(taken, "the wire is full")
  }

  /// What the OS core reads at `address`.
  mutating func bytes(at address: PhysicalAddress, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    return read(address, count: count, into: &bytes) ? bytes : []
  }
}
