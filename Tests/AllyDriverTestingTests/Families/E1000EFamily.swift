import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// The 82574L for the kit: messages, extended descriptors, checksums and segmentation left to the NIC.
enum E1000EFamily {
  typealias Bench = NICBench<RingVirtualizer<E1000EDriver>, E1000EModel, E1000EOSDriver>

  static var bench: Bench {
    var bench = Bench(
      queueLength: 32,
      model: { E1000EModel(requester: MachineLayout.nic, macAddress: Family.macAddress) },
      osDriver: { E1000EOSDriver(layout: Family.intelLayout) })
    bench.longestFrame = 9000
    // ICS shows the causes. With messages those of the queues stay until the driver reads ICR for another one.
    bench.mayDiffer = [0x00C8]
    bench.alsoCompared =
      [ComparedRegister(0x0008), ComparedRegister(0x00C8, mask: 0x0100_0044)] + Family.intelStatistics
    return bench
  }

  @Suite("82574L") struct Tests {
    @Test func conforms() {
      let vectors = DatasheetVectors(e1000: E1000EVectors.receive, E1000EVectors.transmit)
      expectConformance(checkDriver(E1000EDriver.self, vectors: vectors, on: bench, seed: 3))
    }

    @Test(arguments: Family.protections) func anOSDriverCannotTell(protection: PacketProtection) {
      expectTransparency(bench, protection)
    }
  }
}
