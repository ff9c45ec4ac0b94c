import AllyDriverTesting
import AllyRings
import AllySimulator
import MinimalDriver
import Testing

/// What the kit's model of a NIC with rings, and of an OS's driver for it, need to know.
enum MinimalNIC: RingNICDescription {
  typealias Receive = MinimalDescriptor
  typealias Transmit = MinimalDescriptor

  static var registers: RingNICRegisters {
    RingNICRegisters(
      receive: MinimalDriver.receiveRing, transmit: MinimalDriver.transmitRing, received: MinimalDriver.received,
      sent: MinimalDriver.sent, reset: MinimalDriver.reset, resetBit: 1, cause: MinimalDriver.cause,
      mask: MinimalDriver.mask)
  }
}

@Suite struct MinimalDriverTests {
  typealias Bench = NICBench<RingVirtualizer<MinimalDriver>, RingNIC<MinimalNIC>, RingOSDriver<MinimalNIC>>

  let bench = Bench(queueLength: 32, model: { RingNIC(requester: MachineLayout.nic) }, osDriver: { RingOSDriver() })

  @Test func holdsEveryLaw() {
    let failures = checkDriver(MinimalDriver.self, vectors: minimalVectors, on: bench, seed: 1)
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test(arguments: [PacketProtection.inPlace, .copyToDPIMemory])
  func anOSDriverCannotTell(protection: PacketProtection) {
    let failure = checkTransparency(bench, protection: protection, steps: 2000, seed: 2)
    #expect(failure == nil, "\(String(describing: failure))")
  }
}
