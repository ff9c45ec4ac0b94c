import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// The 82576 for the kit: four queue pairs, a message for each direction.
enum IGBFamily {
  typealias Bench = NICBench<RingVirtualizer<IGBDriver>, IGBModel, IGBOSDriver>

  static let vectors = DatasheetVectors(e1000: IGBVectors.receive, IGBVectors.transmit)

  static var bench: Bench {
    var bench = Bench(
      queueLength: 32,
      model: { IGBModel(requester: MachineLayout.nic, macAddress: Family.macAddress) },
      osDriver: { IGBOSDriver(layout: Family.intelLayout, queues: 4) })
    bench.longestFrame = 9000
    bench.ordersFlowsAlone = true
    // ICS and ICR show the causes. Of these a few speak of the NIC's queues: receive descriptors minimum, transmit queue empty.
    bench.mayDiffer = [0x00C8, 0x1500, 0x1504]
    bench.alsoCompared =
      [ComparedRegister(0x0008), ComparedRegister(0x00C8, mask: 0x44), ComparedRegister(0x1504, mask: 0x44)]
      + Family.intelStatistics
    return bench
  }

  @Suite("82576") struct Tests {
    @Test func conforms() {
      expectConformance(checkDriver(IGBDriver.self, vectors: vectors, on: bench, seed: 4))
    }

    @Test(arguments: Family.protections) func anOSDriverCannotTell(protection: PacketProtection) {
      expectTransparency(bench, protection)
    }
  }
}

/// A virtual function of the 82576 for the kit, as a NIC of its own.
enum IGBVirtualFunctionFamily {
  typealias Bench = NICBench<
    RingVirtualizer<IGBVirtualFunctionDriver>, IGBVirtualFunctionModel, IGBVirtualFunctionOSDriver
  >

  static var bench: Bench {
    var bench = Bench(
      queueLength: 32,
      model: { IGBVirtualFunctionModel(requester: MachineLayout.nic, macAddress: Family.macAddress) },
      osDriver: { IGBVirtualFunctionOSDriver(layout: Family.intelLayout) })
    bench.longestFrame = 9000
    return bench
  }

  @Suite("82576, virtual function") struct Tests {
    @Test func conforms() {
      expectConformance(checkDriver(IGBVirtualFunctionDriver.self, vectors: IGBFamily.vectors, on: bench, seed: 5))
    }

    @Test(arguments: Family.protections) func anOSDriverCannotTell(protection: PacketProtection) {
      expectTransparency(bench, protection)
    }
  }
}
