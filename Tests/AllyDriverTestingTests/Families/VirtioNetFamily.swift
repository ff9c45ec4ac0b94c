import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// A virtio network device for the kit, with split and with packed queues: no descriptor rings, so the laws that need no
/// descriptor formats.
enum VirtioNetFamily {
  typealias Bench = NICBench<VirtqueueVirtualizer<VirtioNetDriver>, VirtioNetModel, VirtioNetOSDriver>

  static func bench(isPacked: Bool) -> Bench {
    var bench = Bench(
      queueLength: 32,
      model: { VirtioNetModel(requester: MachineLayout.nic, macAddress: Family.macAddress) },
      osDriver: {
        VirtioNetOSDriver(
          layout: VirtioNetOSDriver.Layout(
            base: MachineLayout.driverMemory, queueSize: 32, usesPackedQueues: isPacked))
      })
    // The driver takes whichever transmit buffer has come back.
    bench.comparesMemory = false
    // VIRTIO_F_RING_RESET, bit 40, is not offered.
    bench.mayDiffer = [0x04]
    bench.alsoCompared = [ComparedRegister(0x04, mask: ~0x100)]
    return bench
  }

  @Suite("virtio-net") struct Tests {
    @Test(arguments: [false, true]) func conforms(isPacked: Bool) {
      expectConformance(checkVirtualizer(bench(isPacked: isPacked), seed: 6))
    }

    @Test(arguments: Family.protections, [false, true])
    func anOSDriverCannotTell(protection: PacketProtection, isPacked: Bool) {
      expectTransparency(bench(isPacked: isPacked), protection)
    }
  }
}
