@testable import AllyFirewall
import AllyPacket
import Testing

/// The table against a dictionary that does the same slowly.
@Suite struct ConnectionTableTests {
  private func key(_ number: UInt16) -> ConnectionKey {
    let (flow, _) = FlowKey.canonical(
      source: IPAddress(v4: 1), sourcePort: number, destination: IPAddress(v4: 2), destinationPort: 80, ipProtocol: 17)
    return ConnectionKey(flow: flow, isIPv6: false)
  }

  /// Few places close to each other and to the end of the 128 slots, so that probing runs through others' entries and
  /// around; few tags, so that keys are compared.
  private func hash(_ number: UInt16) -> UInt64 { UInt64(number % 3) << 32 | UInt64(118 + number % 7 * 3) }

  @Test(arguments: [51, 52, 53] as [UInt64])
  func `Insertions, deletions and expiry agree with a dictionary`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var table = ConnectionTable(capacity: 64)
    var expected: [UInt16: UInt64] = [:]
    var now: UInt64 = 1_000
    for round in 0..<20_000 {
      now += UInt64.random(in: 0...3, using: &random)
      let number = UInt16.random(in: 0..<60, using: &random)
      let hash = hash(number)
      let key = key(number)
      if let expires = expected[number], expires < now { expected[number] = nil }
      let found = table.find(key, hash: hash, now: now)
      #expect((found != nil) == (expected[number] != nil), "seed \(seed), round \(round)")
      if let found {
        if Bool.random(using: &random) {
          table.remove(found)
          expected[number] = nil
        }
      } else {
        var connection = Connection(key: key, startsReversed: false, hash: hash)
        connection.expires = now + UInt64.random(in: 10...200, using: &random)
        // Answered, so that none is given up for another.
        connection.isAnswered = true
        let isInserted = table.insert(connection, now: now)
        #expect(isInserted, "seed \(seed), round \(round)")
        expected[number] = connection.expires
      }
      // What the table already swept the dictionary may still hold, never the other way round.
      #expect(table.count >= expected.values.count { $0 >= now }, "seed \(seed), round \(round)")
    }
    for (number, expires) in expected where expires >= now {
      let found = table.find(key(number), hash: hash(number), now: now)
      #expect(found != nil)
    }
    #expect(table.expired > 0)
  }

  @Test(arguments: [61, 62, 63] as [UInt64])
  func `Another table goes on in the same memory`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let length = ConnectionTable.byteCount(capacity: 64)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 16)
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    var expected: [UInt16: UInt64] = [:]
    var now: UInt64 = 1_000
    for generation in 0..<20 {
      // As a fork of a process in which the table was made and not used.
      var table = unsafe ConnectionTable(capacity: 64, in: memory)
      table.takeUp()
      #expect(table.count == expected.count, "seed \(seed), generation \(generation)")
      for round in 0..<200 {
        now += 1
        let number = UInt16.random(in: 0..<60, using: &random)
        let found = table.find(key(number), hash: hash(number), now: now)
        #expect((found != nil) == (expected[number] != nil), "seed \(seed), generation \(generation), round \(round)")
        guard let found else {
          var connection = Connection(key: key(number), startsReversed: false, hash: hash(number))
          connection.expires = .max
          connection.isAnswered = true
          let isInserted = table.insert(connection, now: now)
          #expect(isInserted, "seed \(seed), generation \(generation), round \(round)")
          expected[number] = now
          continue
        }
        var connection = table[found]
        if Bool.random(using: &random) {
          table.remove(found)
          expected[number] = nil
        } else {
          connection.startsReversed.toggle()
          table[found] = connection
          #expect(table[found].startsReversed == connection.startsReversed)
        }
      }
    }
  }

  @Test func `Dead connections do not fill the table`() {
    var table = ConnectionTable(capacity: 8)
    for number in 0..<1_000 as Range<UInt16> {
      var connection = Connection(
        key: key(number), startsReversed: false, hash: UInt64(number) &* 0x9E37_79B9_7F4A_7C15)
      connection.isAnswered = true
      connection.expires = UInt64(number)
      let isInserted = table.insert(connection, now: UInt64(number) + 1)
      #expect(isInserted)
      #expect(table.count <= 3)
    }
    #expect(table.evicted == 0)
  }
}
