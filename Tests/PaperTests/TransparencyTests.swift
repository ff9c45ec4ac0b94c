import AllyDeviceModels
import AllyDrivers
import AllyPacket
import AllyRings
import AllySimulator
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// An OS driver cannot tell whether Ally is there (paper §3): the same random run with Ally and without, compared.
///
/// `ALLY_STEPS` says how many steps; `make soak` takes 1,000,000.
@Suite struct TransparencyTests {
  private static var steps: Int { unsafe getenv("ALLY_STEPS").flatMap { unsafe Int(String(cString: $0)) } ?? 6000 }

  /// Registers of the 82540EM that read the same; Docs/Transparency.md lists what does not.
  private static let registers: [ComparedRegister] = [
    // Control, status, receive and transmit control.
    .init(0x0000), .init(0x0008), .init(0x0100), .init(0x0400),
    // Causes that a driver acts upon: link, overrun and receiver timer.
    .init(0x00C0, mask: 0xC4), .init(0x00C4), .init(0x00D0),
    // Both queues: base, length, head, tail.
    .init(0x2800), .init(0x2804), .init(0x2808), .init(0x2810), .init(0x2818),
    .init(0x3800), .init(0x3804), .init(0x3808), .init(0x3810), .init(0x3818),
    // Statistics: good and total frames and octets each way, broadcast, multicast, missed.
    .init(0x4010), .init(0x4074), .init(0x4078), .init(0x407C), .init(0x4080), .init(0x4088), .init(0x408C),
    .init(0x4090), .init(0x4094), .init(0x40C0), .init(0x40C8), .init(0x40D0), .init(0x40D4),
  ]

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func anE1000DriverCannotTell(protection: PacketProtection) throws {
    let layout = MachineLayout(
      limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 1 << 20 : 0), protection: protection)
    let machine = try E1000Machine.e1000(layout: layout, receiveDescriptors: 64, transmitDescriptors: 32)
    let bare = try BareMachine(
      layout: layout,
      model: E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]),
      osDriver: E1000OSDriver(
        layout: E1000OSDriver.Layout(
          base: MachineLayout.driverMemory, receiveDescriptors: 64, transmitDescriptors: 32, bufferLength: 2048)))
    var run = TransparencyRun(
      machine: machine, bare: bare, registers: Self.registers, longestFrame: 9000, seed: 0xA11E)
    let difference = run.run(steps: Self.steps)
    #expect(difference == nil)
    #expect(run.frames > Self.steps / 2)
  }
}
