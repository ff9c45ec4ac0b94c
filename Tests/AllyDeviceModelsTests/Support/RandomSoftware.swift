import AllyDeviceModels
import AllyHW
import Testing

/// Offsets of registers that the families have in common, those of the rings twice.
private let commonOffsets: [UInt32] = [
  0x0000, 0x0010, 0x0014, 0x0020, 0x0038, 0x00C0, 0x00C8, 0x00D0, 0x00D8, 0x0100, 0x0100, 0x0400, 0x0400, 0x2800,
  0x2804, 0x2808, 0x2810, 0x2818, 0x2818, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3818, 0x3828, 0x5000, 0x5404,
]

/// Software that writes what it likes into registers and rings. Every run must end, and DPI memory must stay as it is.
///
/// - Parameters:
///   - bench: the NIC; its wire should be short.
///   - offsets: registers that are written besides the common ones.
///   - seed: of the random numbers; printed when something fails.
///   - repair: sets up what the family needs besides rings, RCTL and TCTL, so that frames move now and then.
func expectHarmless<Model: BenchModel & ~Copyable>(
  _ bench: NICBench<Model>, offsets: [UInt32] = [], seed: UInt64, repair: (NICBench<Model>) -> Void = { _ in }
) {
  typealias Bench = NICBench<Model>
  var random = SeededGenerator(seed: seed)
  // What is near the boundary; the addresses below are, too.
  let dpiBytes = 0x2_0000
  for offset in stride(from: UInt64(0), to: UInt64(dpiBytes), by: 8) {
    bench.store(0x5A5A_5A5A_5A5A_5A5A, at: Bench.dpiBase + offset)
  }
  for _ in 0..<3000 {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: bench.offer(frame(Int.random(in: 0..<3000, using: &random)))
    case 1:
      bench.run(frames: Int.random(in: 0..<64, using: &random))
      _ = bench.nic.takeInterrupts(by: [.pin, .messages, .messageTable].randomElement(using: &random)!)
      _ = bench.sentFrames()
      _ = bench.stamps
    case 2:
      // Descriptors of every kind, with addresses near the boundary.
      let ring = Bool.random(using: &random) ? Bench.receiveRing : Bench.transmitRing
      let slot = UInt64.random(in: 0..<64, using: &random)
      let address = UInt64.random(in: Bench.dpiBase - 0x1000..<Bench.dpiBase + 0x1000, using: &random)
      bench.store(Bool.random(using: &random) ? address : random.next(), at: ring + 16 * slot)
      bench.store(random.next(), at: ring + 16 * slot + 8)
    case 3, 4:
      // Rings that work now and then, or no random write would get far.
      bench.write(0x0100, UInt32.random(in: 0...UInt32.max, using: &random) | Bench.enable | Bench.promiscuous)
      bench.write(0x0400, 1 << 1)
      for (base, ring) in [(UInt32(0x2800), Bench.receiveRing), (0x3800, Bench.transmitRing)] {
        bench.write(base, UInt32(ring))
        bench.write(base + 4, 0)
        bench.write(base + 8, 64 * 16)
        bench.write(base + 0x10, UInt32.random(in: 0..<64, using: &random))
        bench.write(base + 0x18, UInt32.random(in: 0..<66, using: &random))
      }
      repair(bench)
    default:
      var value = UInt32(truncatingIfNeeded: random.next())
      if Bool.random(using: &random) { value &= 0xFFFF }
      bench.write((commonOffsets + offsets).randomElement(using: &random)!, value)
    }
  }
  var isUntouched = true
  for offset in stride(from: UInt64(0), to: UInt64(dpiBytes), by: 8)
  where bench.load(Bench.dpiBase + offset) != 0x5A5A_5A5A_5A5A_5A5A {
    isUntouched = false
  }
  #expect(isUntouched, "seed \(seed)")
  #expect(bench.nic.faults.descriptorReads + bench.nic.faults.buffers > 0, "seed \(seed)")
}
