import AllyHW
import Testing

/// Whatever OS cores, devices and hypervisors try, in whatever page tables: what happens is what the owner of the flat map
/// has written down.
@Suite("A million accesses: the flat map and the hardware agree")
struct PartitionPropertyTests {
  private static let accessesPerWorld = 5_000

  /// Worlds, one after the other, until there were `accesses` or one of them found something.
  private static func run<Extension: MMUExtension>(
    seed: UInt64, accesses: Int, defect: SeededDefect? = nil, extension make: (CoreRole, Partition) -> Extension
  ) throws -> (tally: Tally, finding: String?, kind: Finding.Kind?) {
    var seeds = SeededGenerator(seed: seed)
    var total = Tally()
    while total.accesses < accesses {
      let worldSeed = seeds.next()
      let world = try PropertyWorld(seed: worldSeed, defect: defect, extension: make)
      world.run(min(accessesPerWorld, accesses - total.accesses))
      total.accesses += world.tally.accesses
      total.aimedAtDPI += world.tally.aimedAtDPI
      total.aimedAtRemappedPages += world.tally.aimedAtRemappedPages
      total.afterBoundaryMove += world.tally.afterBoundaryMove
      if let finding = world.finding { return (total, "world \(worldSeed): \(finding)", finding.kind) }
    }
    return (total, nil, nil)
  }

  @Test("no disagreement", arguments: UInt64(1)...10)
  func noDisagreement(seed: UInt64) throws {
    let (tally, finding, _) = try Self.run(seed: seed, accesses: 100_000) {
      AllyExtension(role: $0, partition: $1)
    }
    #expect(finding == nil, "seed \(seed)")
    #expect(tally.accesses >= 100_000)
    #expect(tally.aimedAtDPI * 5 >= tally.accesses, "seed \(seed): \(tally)")
    #expect(tally.aimedAtRemappedPages * 10 >= tally.accesses, "seed \(seed): \(tally)")
    #expect(tally.afterBoundaryMove * 20 >= tally.accesses, "seed \(seed): \(tally)")
  }

  @Test("each seeded defect is found, for what it is", arguments: SeededDefect.allCases)
  func findsDefect(_ defect: SeededDefect) throws {
    let (_, finding, kind) = try Self.run(seed: 11, accesses: 100_000, defect: defect) {
      DefectiveExtension(role: $0, partition: $1, defect: defect)
    }
    #expect(finding != nil)
    #expect(kind == defect.expectedFinding, "\(finding ?? "nothing")")
  }
}
