import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// The 82540EM for the kit.
enum E1000Family {
  static let vectors = DatasheetVectors(e1000: E1000Vectors.receive, E1000Vectors.transmit)

  /// The model and the OS driver, for whichever driver module.
  static func bench<Driver: NICDriver>() -> NICBench<RingVirtualizer<Driver>, E1000Model, E1000OSDriver> {
    var bench = NICBench<RingVirtualizer<Driver>, E1000Model, E1000OSDriver>(
      queueLength: 32,
      model: { E1000Model(requester: MachineLayout.nic, macAddress: Family.macAddress) },
      osDriver: { E1000OSDriver(layout: Family.intelLayout) })
    bench.longestFrame = 9000
    // Status; of the causes those that a driver acts upon: link, overrun and receiver timer.
    bench.alsoCompared = [ComparedRegister(0x0008), ComparedRegister(0x00C0, mask: 0xC4)] + Family.intelStatistics
    return bench
  }

  @Suite("82540EM") struct Tests {
    @Test func conforms() {
      expectConformance(checkDriver(E1000Driver.self, vectors: vectors, on: bench(), seed: 2))
    }

    @Test(arguments: Family.protections) func anOSDriverCannotTell(protection: PacketProtection) {
      let bench: NICBench<RingVirtualizer<E1000Driver>, E1000Model, E1000OSDriver> = bench()
      expectTransparency(bench, protection)
    }
  }
}
