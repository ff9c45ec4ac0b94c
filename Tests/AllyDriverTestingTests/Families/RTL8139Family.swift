import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import AllySimulator
import Testing

/// The RTL8139C for the kit: a receive ring of bytes and registers for descriptors, so the laws that need no descriptor
/// formats.
enum RTL8139Family {
  typealias Bench = NICBench<ByteRingVirtualizer<RTL8139Driver>, RTL8139Model, RTL8139OSDriver>

  /// - Parameter runsOver: whether frames at the ring's end go on behind it.
  static func bench(runsOver: Bool) -> Bench {
    var bench = Bench(
      queueLength: 32,
      model: { RTL8139Model(requester: MachineLayout.nic, macAddress: Family.macAddress) },
      osDriver: {
        RTL8139OSDriver(
          layout: RTL8139OSDriver.Layout(
            base: MachineLayout.driverMemory, ringLength: runsOver ? 32_768 : 8192, runsOver: runsOver))
      })
    bench.longestFrame = 1792
    // Benchmarks/instructions-per-frame.sh counts its allocations.
    bench.readsRegistersPerFrame = true
    // CAPR and CBR.
    bench.holdNoAddress = [0x38]
    // Behind the last frame there is a header that says that the next one is not finished.
    bench.comparesMemory = false
    // Registers have all widths here; those that are compared are named.
    bench.mayDiffer = Array(stride(from: 0, to: 0x100, by: 4))
    bench.alsoCompared = [
      // Station address, transmit descriptors, ring, command, both pointers.
      .init(0x00), .init(0x10), .init(0x14), .init(0x18), .init(0x1C), .init(0x20), .init(0x24), .init(0x28),
      .init(0x2C), .init(0x30), .init(0x34), .init(0x38),
      // Mask, causes, transmit and receive configuration, missed frames, summary.
      .init(0x3C, width: .word), .init(0x3E, width: .word), .init(0x40), .init(0x44), .init(0x4C),
      .init(0x60, width: .word),
    ]
    return bench
  }

  @Suite("RTL8139C") struct Tests {
    @Test func conforms() { expectConformance(checkVirtualizer(bench(runsOver: false), seed: 2)) }

    @Test(arguments: Family.protections, [true, false])
    func anOSDriverCannotTell(protection: PacketProtection, runsOver: Bool) {
      expectTransparency(bench(runsOver: runsOver), protection)
    }
  }
}
