import AllyHW
import Testing

@Suite("Last Level Cache: the Remapping Table's lines")
struct LastLevelCacheTests {
  @Test("a table that fits misses each of its lines once, and then hits")
  func staysCached() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    for _ in 0..<50 {
      _ = machine.store(1, at: 0x7F00_0000_2818)
      _ = machine.log().removeFirst()
    }
    // Five rows of 24 bytes are in two lines.
    #expect(machine.northbridge.remapping.cache.counters.misses == 2)
    #expect(machine.northbridge.remapping.cache.counters.hits >= 50)
  }

  @Test("accesses to ordinary memory do not touch it")
  func memoryIsFree() {
    let machine = TestMachine()
    machine.map(0x1000, to: 0x3_2000)
    for _ in 0..<50 { _ = machine.store(1, at: 0x1000) }
    #expect(machine.northbridge.remapping.cache.counters == CacheCounters())
  }

  @Test("the least recently used line goes first", arguments: [UInt64(3), 17])
  func replacement(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let cache = LastLevelCache(sets: 2, ways: 3)
    // A list of line numbers for each set, the most recent first.
    var model: [[UInt64]] = [[], []]
    var expected = CacheCounters()
    for _ in 0..<3000 {
      let line = UInt64.random(in: 0..<12, using: &random)
      let set = Int(line & 1)
      if let place = model[set].firstIndex(of: line) {
        model[set].remove(at: place)
        expected.hits += 1
      } else {
        expected.misses += 1
      }
      model[set].insert(line, at: 0)
      if model[set].count > 3 { model[set].removeLast() }
      cache.read(PhysicalAddress(line * 64 + UInt64.random(in: 0..<64, using: &random)), length: 1)
      #expect(cache.counters == expected, "seed \(seed)")
    }
  }

  @Test("a range reads every line that it touches, however long it is")
  func ranges() {
    let cache = LastLevelCache(sets: 4, ways: 2)
    cache.read(PhysicalAddress(63), length: 2)
    #expect(cache.counters.misses == 2)
    cache.read(PhysicalAddress(0), length: 0)
    #expect(cache.counters.misses == 2)
    cache.invalidate()
    cache.read(PhysicalAddress(.max), length: 1)
    #expect(cache.counters.misses == 3)
    // Longer than the cache: bounded.
    cache.read(PhysicalAddress(0), length: .max)
    #expect(cache.counters.hits + cache.counters.misses <= 3 + 8)
  }

  private func move(_ northbridge: inout Northbridge, to place: UInt64, rows: Int) -> Bool {
    unsafe northbridge.remapping.move(to: PhysicalAddress(place), rows: rows, in: northbridge.memory)
  }

  @Test("the table can be moved in DPI memory, and keeps its rows")
  func movedTable() {
    let machine = TestMachine()
    machine.mapRegisters(at: 0x7F00_0000_0000)
    _ = machine.store(1, at: 0x7F00_0000_2818)
    let target = TestMachine.tableAddress.advanced(by: 8)
    let isMoved = move(&machine.northbridge, to: target.rawValue, rows: 40)
    #expect(isMoved)
    #expect(machine.northbridge.remapping.base == target)
    #expect(machine.store(2, at: 0x7F00_0000_2818) == .done(2))
    #expect(machine.registerFile.load(0x2818) == 2)
    #expect(machine.window.device.accesses.isEmpty)
    // Not where no memory is, not for fewer rows than there are.
    let places: [(UInt64, Int)] = [(TestMachine.memoryLength, 40), (target.rawValue, 4), (target.rawValue + 4, 40)]
    for (place, rows) in places {
      let isMoved = move(&machine.northbridge, to: place, rows: rows)
      #expect(!isMoved)
    }
    #expect(machine.store(3, at: 0x7F00_0000_2818) == .done(3))
  }
}
