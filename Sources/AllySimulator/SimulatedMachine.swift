public import AllyDeviceModels
internal import AllyHW
public import AllyPacket
public import AllyRings

/// A machine of the paper, simulated without privileges: hardware with an intercepted NIC, the appliance's DPI core, and an
/// OS with its stock driver (paper §2.1, Figure 1).
///
///     var machine = try SimulatedMachine<RingVirtualizer<E1000Driver>, E1000Model, E1000OSDriver>.e1000()
///     machine.bootOS()
///     machine.offer(frame, stamp: stamp)
///     machine.run(inspecting: &inspector) { frame in … }
///
/// Deterministic: the same calls give the same events in the same order.
public struct SimulatedMachine<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>: ~Copyable {
  public var hardware: SimulatedHardware<Virtualizer, Model>
  public var osDriver: OSDriver
  /// Interrupts that the OS core took.
  public private(set) var osInterrupts: UInt64 = 0

  /// - Parameters:
  ///   - layout: where everything lies.
  ///   - model: the NIC, with ``MachineLayout/nic`` as its requester id.
  ///   - osDriver: its rings and buffers lie in OS memory from ``MachineLayout/driverMemory`` on.
  public init(
    layout: MachineLayout = MachineLayout(), model: consuming Model, osDriver: consuming OSDriver
  ) throws(SimulatorError) {
    let driverEnd = MachineLayout.driverMemory.rawValue + osDriver.memoryByteCount
    guard driverEnd <= layout.osMemory else {
      throw .layout("the OS driver needs \(driverEnd) bytes of OS memory; there are \(layout.osMemory)")
    }
    self.hardware = try SimulatedHardware(layout: layout, model: model)
    self.osDriver = osDriver
  }

  /// The OS starts its driver.
  public mutating func bootOS(stationAddress: UInt64 = 0x5634_1200_5452) {
    osDriver.start(stationAddress: stationAddress, on: &hardware)
  }

  /// Puts a frame on the wire towards the NIC.
  ///
  /// - Returns: false when the wire is full: let the machine run first.
  public mutating func offer(_ frame: Span<UInt8>, stamp: FrameStamp) -> Bool {
    hardware.wire.toNIC.append(frame, stamp: stamp)
  }

  /// The OS sends a frame.
  ///
  /// - Returns: false when the driver's ring is full: let the machine run first.
  public mutating func send(_ frame: RawSpan, doorbell: Bool = true) -> Bool {
    osDriver.send(frame, doorbell: doorbell, on: &hardware)
  }

  /// Lets everything run until nothing moves: NIC, DPI core, OS, in turn. When somebody waits for a timer, time passes.
  ///
  /// - Parameters:
  ///   - inspector: what the DPI core asks about each frame.
  ///   - batch: the most frames that the NIC moves before the DPI core has its turn.
  ///   - deliver: the OS's network stack; called for each good frame that its driver took, in order.
  public mutating func run<Inspector: PacketInspector & ~Copyable>(
    inspecting inspector: inout Inspector, batch: Int = 64, deliver: (RawSpan) -> Void
  ) {
    while true {
      let moved = runNIC(frames: batch)
      let passed = passDPI(inspecting: &inspector)
      let interrupted = runOS(deliver: deliver)
      if moved == 0, !passed, !interrupted {
        guard let timer = hardware.nextTimer, timer > hardware.now else { return }
        hardware.advance(to: timer)
      }
    }
  }

  /// Lets the NIC run; see ``SimulatedHardware/runNIC(frames:)``.
  @discardableResult
  public mutating func runNIC(frames: Int) -> Int { hardware.runNIC(frames: frames) }

  /// One pass of the DPI core; see ``SimulatedHardware/passDPI(inspecting:)``.
  @discardableResult
  public mutating func passDPI<Inspector: PacketInspector & ~Copyable>(inspecting inspector: inout Inspector) -> Bool {
    hardware.passDPI(inspecting: &inspector)
  }

  /// The OS core takes its interrupts.
  ///
  /// - Returns: whether there were any.
  @discardableResult
  public mutating func runOS(deliver: (RawSpan) -> Void) -> Bool {
    guard let vector = hardware.northbridge.interrupts.acknowledge(at: MachineLayout.osCore) else { return false }
    osInterrupts &+= 1
    if vector < MachineLayout.osMessageVector {
      osDriver.interrupt(on: &hardware, deliver: deliver)
    } else {
      osDriver.interrupt(message: Int(vector - MachineLayout.osMessageVector), on: &hardware, deliver: deliver)
    }
    hardware.northbridge.interrupts.endInterrupt(at: MachineLayout.osCore)
    return true
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model == E1000Model, OSDriver == E1000OSDriver {
  /// A machine with an Intel 82540EM.
  ///
  /// `maximumFrameLength` is the longest frame that the NIC takes; see `E1000Model.maximumFrameLength`. With a `checksumKey`
  /// it has frame checksums; see `E1000Model`.
  public static func e1000(
    layout: MachineLayout = MachineLayout(), receiveDescriptors: UInt32 = 1024, transmitDescriptors: UInt32 = 256,
    bufferLength: UInt32 = 2048, maximumFrameLength: Int = E1000Model.datasheetFrameLength,
    checksumKey: (UInt64, UInt64)? = nil
  ) throws(SimulatorError) -> SimulatedMachine {
    try SimulatedMachine(
      layout: layout,
      model: E1000Model(
        requester: MachineLayout.nic, macAddress: MachineLayout.nicAddress,
        maximumFrameLength: maximumFrameLength, checksumKey: checksumKey),
      osDriver: E1000OSDriver(
        layout: E1000OSDriver.Layout(
          base: MachineLayout.driverMemory, receiveDescriptors: receiveDescriptors,
          transmitDescriptors: transmitDescriptors, bufferLength: bufferLength)))
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model == E1000EModel, OSDriver == E1000EOSDriver {
  /// A machine with an Intel 82574L.
  ///
  /// `maximumFrameLength` is the longest frame that the NIC takes; see `E1000EModel.maximumFrameLength`.
  public static func e1000e(
    layout: MachineLayout = MachineLayout(), receiveDescriptors: UInt32 = 1024, transmitDescriptors: UInt32 = 256,
    bufferLength: UInt32 = 2048, maximumFrameLength: Int = E1000EModel.datasheetFrameLength
  ) throws(SimulatorError) -> SimulatedMachine {
    try SimulatedMachine(
      layout: layout,
      model: E1000EModel(
        requester: MachineLayout.nic, macAddress: MachineLayout.nicAddress, maximumFrameLength: maximumFrameLength),
      osDriver: E1000EOSDriver(
        layout: E1000EOSDriver.Layout(
          base: MachineLayout.driverMemory, receiveDescriptors: receiveDescriptors,
          transmitDescriptors: transmitDescriptors, bufferLength: bufferLength)))
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model == IGBModel, OSDriver == IGBOSDriver {
  /// A machine with an Intel 82576.
  ///
  /// `queues` is how many queue pairs the OS uses, 1 to 4; `maximumFrameLength` the longest frame that the NIC takes; see
  /// `IGBModel.maximumFrameLength`.
  public static func igb(
    layout: MachineLayout = MachineLayout(), queues: Int = 4, receiveDescriptors: UInt32 = 256,
    transmitDescriptors: UInt32 = 256, bufferLength: UInt32 = 2048,
    maximumFrameLength: Int = IGBModel.datasheetFrameLength
  ) throws(SimulatorError) -> SimulatedMachine {
    try SimulatedMachine(
      layout: layout,
      model: IGBModel(
        requester: MachineLayout.nic, macAddress: MachineLayout.nicAddress, maximumFrameLength: maximumFrameLength),
      osDriver: IGBOSDriver(
        layout: IGBOSDriver.Layout(
          base: MachineLayout.driverMemory, receiveDescriptors: receiveDescriptors,
          transmitDescriptors: transmitDescriptors, bufferLength: bufferLength),
        queues: queues))
  }
}

extension SimulatedMachine
where Virtualizer: ~Copyable, Model == IGBVirtualFunctionModel, OSDriver == IGBVirtualFunctionOSDriver {
  /// A machine whose NIC is a virtual function of an Intel 82576.
  public static func igbVirtualFunction(
    layout: MachineLayout = MachineLayout(), receiveDescriptors: UInt32 = 256, transmitDescriptors: UInt32 = 256,
    bufferLength: UInt32 = 2048, maximumFrameLength: Int = IGBModel.datasheetFrameLength
  ) throws(SimulatorError) -> SimulatedMachine {
    try SimulatedMachine(
      layout: layout,
      model: IGBVirtualFunctionModel(
        requester: MachineLayout.nic, macAddress: MachineLayout.nicAddress, maximumFrameLength: maximumFrameLength),
      osDriver: IGBVirtualFunctionOSDriver(
        layout: IGBVirtualFunctionOSDriver.Layout(
          base: MachineLayout.driverMemory, receiveDescriptors: receiveDescriptors,
          transmitDescriptors: transmitDescriptors, bufferLength: bufferLength)))
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model == VirtioNetModel, OSDriver == VirtioNetOSDriver {
  /// A machine with a virtio network device.
  ///
  /// `driver` is where the OS's driver has its queues, and what it negotiates; `maximumFrameLength` the longest frame that the
  /// NIC takes, in bytes without frame check sequence.
  public static func virtioNet(
    layout: MachineLayout = MachineLayout(),
    driver: VirtioNetOSDriver.Layout = VirtioNetOSDriver.Layout(base: MachineLayout.driverMemory),
    maximumFrameLength: Int = 1518
  ) throws(SimulatorError) -> SimulatedMachine {
    try SimulatedMachine(
      layout: layout,
      model: VirtioNetModel(
        requester: MachineLayout.nic, macAddress: MachineLayout.nicAddress, queuePairs: driver.queuePairs,
        maximumFrameLength: maximumFrameLength),
      osDriver: VirtioNetOSDriver(layout: driver))
  }
}

extension SimulatedMachine where Virtualizer: ~Copyable, Model == RTL8139Model, OSDriver == RTL8139OSDriver {
  /// A machine with a Realtek RTL8139C. `driver` is where the OS's driver has its ring and buffers.
  public static func rtl8139(
    layout: MachineLayout = MachineLayout(),
    driver: RTL8139OSDriver.Layout = RTL8139OSDriver.Layout(base: MachineLayout.driverMemory)
  ) throws(SimulatorError) -> SimulatedMachine {
    try SimulatedMachine(
      layout: layout,
      model: RTL8139Model(requester: MachineLayout.nic, macAddress: MachineLayout.nicAddress),
      osDriver: RTL8139OSDriver(layout: driver))
  }
}
