import AllyPacket
import Testing

@testable import AllyDPI

/// A datagram of 10.0.0.1 to 10.0.0.2 in pieces.
private struct Pieces {
  var identification: UInt16 = 7
  var isIPv6 = false

  /// - Parameter offset: bytes; a multiple of 8.
  func frame(_ offset: Int, _ payload: [UInt8], more: Bool) -> [UInt8] {
    if isIPv6 {
      let field = UInt16(offset) | (more ? 1 : 0)
      let header: [UInt8] = [17, 0] + FrameBuilder.bytes(field) + FrameBuilder.bytes(UInt32(identification))
      // A Destination Options header before the Fragment header: its next-header field is what changes.
      return FrameBuilder.ipv6(next: 60, [44, 0, 1, 4, 0, 0, 0, 0] + header + payload)
    }
    return FrameBuilder.ipv4(
      protocol: 17, identification: identification, fragment: UInt16(offset / 8) | (more ? 0x2000 : 0), payload)
  }

  /// A UDP datagram cut every `size` bytes.
  func cut(_ datagram: [UInt8], every size: Int) -> [[UInt8]] {
    stride(from: 0, to: datagram.count, by: size).map { start in
      let end = min(start + size, datagram.count)
      return frame(start, Array(datagram[start..<end]), more: end < datagram.count)
    }
  }
}

@Suite("Defragment")
struct DefragmentTests {
  static let text = "The quick brown fox jumps over the lazy dog and runs into the wood"
  static let datagram = FrameBuilder.udp(4000, 53, FrameBuilder.text(text))

  @Test("fragments in any order give the datagram with the last of them", arguments: [false, true])
  func orders(isIPv6: Bool) {
    for seed in UInt64(1)...10 {
      var generator = SeededGenerator(seed: seed)
      var dissector = FrameDissector()
      let frames = Pieces(isIPv6: isIPv6).cut(Self.datagram, every: 16).shuffled(using: &generator)
      for frame in frames.dropLast() {
        let seen = dissector.see(frame, .raw)
        #expect(seen.packets.count == 1 && seen.last.fragment.isFragment && !seen.last.hasFlow, "seed \(seed)")
      }
      let seen = dissector.see(frames.last!, .raw)
      #expect(seen.packets.count == 2, "seed \(seed)")
      #expect(seen.lastPayload == Self.text, "seed \(seed)")
      #expect(seen.last.origin == .defragmented && seen.last.transport == .udp && seen.last.flaws.isEmpty)
      #expect(!seen.last.fragment.isFragment)
      #expect(seen.first.carriesPacket)
      #expect(dissector.statistics.reassembled == 1)
    }
  }

  @Test("a datagram of 65,535 bytes is put together, a longer one is not")
  func longest() {
    var dissector = FrameDissector()
    let datagram = FrameBuilder.udp(1, 2, [UInt8](repeating: 65, count: 65_535 - 28))
    var last: Dissection?
    for frame in Pieces().cut(datagram, every: 1480) { last = dissector.see(frame, .raw) }
    #expect(last?.payloads.last?.count == 65_535 - 28)
    let beyond = dissector.see(Pieces(identification: 9).frame(65_528, [1, 2, 3, 4, 5, 6, 7, 8], more: false), .raw)
    #expect(beyond.last.events.contains(.ipv4FragmentPacketTooLarge))
  }

  @Test("fragments of other datagrams do not mix")
  func identities() {
    var dissector = FrameDissector()
    let one = Pieces(identification: 1).cut(Self.datagram, every: 40)
    let two = Pieces(identification: 2).cut(
      FrameBuilder.udp(4000, 53, FrameBuilder.text(String(Self.text.reversed()))), every: 40)
    let counts = [one[0], two[0], two[1], one[1]].map { dissector.see(FrameBuilder.ethernet($0)).packets.count }
    #expect(counts == [1, 1, 2, 2])
    var frames = Dissection()
    frames = dissector.see(FrameBuilder.ethernet(one[0]))
    #expect(frames.packets.count == 1)
    frames = dissector.see(FrameBuilder.ethernet(0x8100, FrameBuilder.vlan(5, one[1])))
    #expect(frames.packets.count == 1)
    frames = dissector.see(FrameBuilder.ethernet(one[1]))
    #expect(frames.lastPayload == Self.text)
  }

  @Test("a datagram that waits too long is given up")
  func timeout() {
    var dissector = FrameDissector()
    let frames = Pieces().cut(Self.datagram, every: 40)
    _ = dissector.see(frames[0], .raw, seconds: 100)
    #expect(dissector.see(frames[1], .raw, seconds: 161).packets.count == 1)
    #expect(dissector.statistics.fragmentTimeouts == 1)
    #expect(dissector.see(frames[0], .raw, seconds: 162).packets.count == 2)
  }

  /// Bytes 8 to 16 of the datagram come twice; then those that make it whole. `A` is the first copy, `B` the second.
  private func winner(
    _ policy: OverlapPolicy, first: Range<Int>, second: Range<Int>, at position: Int
  ) -> Character {
    var defragmenter = Defragmenter(memoryCap: 1 << 20, policy: policy, seed: 1)
    var output = DatagramBuffer()
    var result: Character = "?"
    var overlapped = false
    func add(_ range: Range<Int>, _ letter: Character, more: Bool) {
      let frame = Pieces().frame(
        range.lowerBound, [UInt8](repeating: letter.asciiValue!, count: range.count), more: more)
      var packet = DecodedPacket()
      let bytes = unsafe frame.span.bytes
      _ = PacketDecoder(validatesChecksums: false).decode(frame: bytes, linkType: .raw, into: &packet)
      if defragmenter.add(&packet, bytes: bytes, time: 1, into: &output) {
        result = Character(UnicodeScalar(output.bytes.byte(at: 20 + position)))
      }
      if letter == "B" { overlapped = packet.events.contains(.ipv4FragmentOverlap) }
    }
    add(first, "A", more: true)
    add(second, "B", more: true)
    #expect(overlapped)
    // What is around: these never overlap what is tested.
    let covered = min(first.lowerBound, second.lowerBound)..<max(first.upperBound, second.upperBound)
    if covered.lowerBound > 0 { add(0..<covered.lowerBound, "C", more: true) }
    add(covered.upperBound..<(covered.upperBound + 8), "D", more: false)
    return result
  }

  @Test("who wins an overlap is up to the policy")
  func overlaps() {
    // The new piece begins later, at the same place, earlier; covers it; lies within.
    let cases: [(first: Range<Int>, second: Range<Int>, at: Int, winners: [OverlapPolicy: Character])] = [
      (
        8..<24, 16..<32, 16,
        [
          .first: "A", .last: "B", .bsd: "A", .bsdRight: "B", .linux: "A", .windows: "A", .solaris: "A",
          .segmentsLinux: "A", .segmentsOldLinux: "A", .segmentsSolaris: "B",
        ]
      ),
      (
        16..<32, 16..<40, 16,
        [
          .first: "A", .last: "B", .bsd: "A", .bsdRight: "B", .linux: "B", .windows: "A", .solaris: "A",
          .segmentsLinux: "B", .segmentsOldLinux: "B", .segmentsSolaris: "B",
        ]
      ),
      (
        16..<32, 8..<24, 16,
        [
          .first: "A", .last: "B", .bsd: "B", .bsdRight: "A", .linux: "B", .windows: "A", .solaris: "A",
          .segmentsLinux: "B", .segmentsOldLinux: "B", .segmentsSolaris: "A",
        ]
      ),
      (
        16..<32, 8..<40, 16,
        [
          .first: "A", .last: "B", .bsd: "B", .bsdRight: "A", .linux: "B", .windows: "B", .solaris: "B",
          .segmentsLinux: "B", .segmentsOldLinux: "B", .segmentsSolaris: "B",
        ]
      ),
      (
        16..<32, 8..<32, 24,
        [
          .first: "A", .last: "B", .bsd: "B", .bsdRight: "A", .linux: "B", .windows: "A", .solaris: "B",
          .segmentsLinux: "B", .segmentsOldLinux: "B", .segmentsSolaris: "B",
        ]
      ),
      (
        8..<40, 16..<24, 16,
        [
          .first: "A", .last: "B", .bsd: "A", .bsdRight: "B", .linux: "A", .windows: "A", .solaris: "A",
          .segmentsLinux: "A", .segmentsOldLinux: "A", .segmentsSolaris: "A",
        ]
      ),
    ]
    for (index, overlap) in cases.enumerated() {
      for policy in OverlapPolicy.allCases {
        let winner = winner(policy, first: overlap.first, second: overlap.second, at: overlap.at)
        #expect(winner == overlap.winners[policy], "case \(index), \(policy)")
      }
    }
  }

  @Test("random pieces against a model that keeps one byte after the other", arguments: OverlapPolicy.allCases)
  func model(_ policy: OverlapPolicy) {
    for seed in UInt64(1)...15 {
      var generator = SeededGenerator(seed: seed)
      var store = PieceStore(byteCap: 1 << 20, pieceCap: 4096, maximumPieces: 1024)
      var list = PieceList()
      var model: [Int: (byte: UInt8, origin: Range<Int>)] = [:]
      for _ in 0..<40 {
        let start = Int.random(in: 0..<60, using: &generator)
        let range = start..<(start + Int.random(in: 1...30, using: &generator))
        let bytes = range.map { _ in UInt8.random(in: 0...255, using: &generator) }
        let overlaps = range.contains { model[$0] != nil }
        let differs = zip(range, bytes).contains { model[$0].map { $0.byte } ?? $1 != $1 }
        for (position, byte) in zip(range, bytes) {
          if let existing = model[position], policy.existingWins(existing: existing.origin, new: range) { continue }
          model[position] = (byte, range)
        }
        let result = unsafe store.insert(bytes.span.bytes, at: start, policy: policy, into: &list)
        #expect(result.isComplete && result.overlaps == overlaps && result.differs == differs, "seed \(seed)")
      }
      var seen: [Int: UInt8] = [:]
      var next = store.first(of: list)
      var end = -1
      while let piece = next {
        #expect(piece.start >= end, "seed \(seed): pieces overlap")
        end = piece.end
        for offset in 0..<piece.count { seen[piece.start + offset] = store.bytes(of: piece).byte(at: offset) }
        next = store.piece(after: piece)
      }
      #expect(seen == model.mapValues { $0.byte }, "seed \(seed)")
      #expect(list.covered == model.count, "seed \(seed)")
      store.removeAll(of: &list)
      #expect(store.blocks.used == 0, "seed \(seed)")
    }
  }

  @Test("the memory cap holds, and what is there still works")
  func cap() {
    var dissector = FrameDissector(cap: 1 << 18)
    var defragmenter = Defragmenter(memoryCap: 1 << 18, seed: 1)
    var output = DatagramBuffer()
    for number in UInt16(0)..<20_000 {
      let frame = Pieces(identification: number).frame(8, [UInt8](repeating: 1, count: 1400), more: true)
      var packet = DecodedPacket()
      let bytes = unsafe frame.span.bytes
      _ = PacketDecoder(validatesChecksums: false).decode(frame: bytes, linkType: .raw, into: &packet)
      #expect(!defragmenter.add(&packet, bytes: bytes, time: 1, into: &output))
      _ = dissector.see(frame, .raw)
    }
    #expect(defragmenter.bytesHeld <= 1 << 18)
    #expect(defragmenter.statistics.fragmentMemoryCap > 0)
    let frames = Pieces(identification: 40_000).cut(Self.datagram, every: 40)
    #expect(dissector.see(frames[0], .raw).packets.count == 1)
    #expect(dissector.see(frames[1], .raw).lastPayload == Self.text)
  }

  @Test("a datagram in more pieces than one may have is not put together")
  func tooManyPieces() {
    var dissector = FrameDissector(cap: 1 << 24)
    let datagram = FrameBuilder.udp(1, 2, [UInt8](repeating: 65, count: 30_000))
    var ignored = false
    // Every other piece first, so that none can melt with its neighbour.
    let frames = Pieces().cut(datagram, every: 8)
    for frame in stride(from: 0, to: frames.count, by: 2).map({ frames[$0] }) {
      ignored = dissector.see(frame, .raw).last.events.contains(.ipv4FragmentIgnored)
    }
    #expect(ignored)
  }

  @Test("a fragmented tunnel of fragments gives the inner datagram")
  func nested() {
    var dissector = FrameDissector()
    var last: Dissection?
    for (index, inner) in Pieces(identification: 1).cut(Self.datagram, every: 40).enumerated() {
      let outer = Pieces(identification: UInt16(100 + index))
      let carrier = [UInt8](inner)
      for start in stride(from: 0, to: carrier.count, by: 24) {
        let end = min(start + 24, carrier.count)
        let field = UInt16(start / 8) | (end < carrier.count ? 0x2000 : 0)
        last = dissector.see(
          FrameBuilder.ipv4(
            8, 9, protocol: 4, identification: outer.identification, fragment: field, Array(carrier[start..<end])), .raw
        )
      }
    }
    #expect(last?.packets.count == 4)
    #expect(last?.lastPayload == Self.text)
    #expect(last?.packets.map(\.buffer) == [0, 1, 1, 2])
  }
}

@Suite("Defragment: memory")
struct BlockPoolTests {
  @Test("blocks never overlap, and all memory comes back", arguments: 1...6)
  func random(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var pool = BlockPool(capacity: 1 << 20)
    var held: [(block: Block, fill: UInt8, count: Int)] = []
    for step in 0..<4_000 {
      if Bool.random(using: &generator) || held.isEmpty {
        let count = Int.random(in: 1...9000, using: &generator)
        let hadRoom = pool.hasRoom(for: count)
        let block = pool.allocate(count)
        #expect((block != nil) == hadRoom, "seed \(seed), step \(step)")
        guard let block else { continue }
        #expect(block.capacity >= count)
        let fill = UInt8(truncatingIfNeeded: step)
        unsafe pool.write([UInt8](repeating: fill, count: count).span.bytes, to: block, at: 0)
        held.append((block, fill, count))
      } else {
        let (block, fill, count) = held.remove(at: Int.random(in: 0..<held.count, using: &generator))
        let isIntact = pool.bytes(block, 0..<count).hasSameBytes(
          as: unsafe [UInt8](repeating: fill, count: count).span.bytes)
        #expect(isIntact, "seed \(seed), step \(step)")
        pool.release(block)
      }
      #expect(pool.used <= pool.capacity)
    }
    for (block, _, _) in held { pool.release(block) }
    #expect(pool.used == 0)
    // All melted together again: the largest blocks are to be had, as many as there were.
    for _ in 0..<(pool.capacity / BlockPool.largest) { #expect(pool.allocate(BlockPool.largest) != nil) }
    #expect(pool.allocate(1) == nil)
  }

  @Test("an index finds what a dictionary finds", arguments: 1...4)
  func slots(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var slots = HashSlots(capacity: 256)
    var model: [UInt32: UInt64] = [:]
    for step in 0..<4_000 {
      let place = UInt32.random(in: 0..<256, using: &generator)
      if let hash = model[place] {
        #expect(slots.find(hash) { $0 == place } == place, "seed \(seed), step \(step)")
        slots.remove(hash, place: place)
        model[place] = nil
        #expect(slots.find(hash) { $0 == place } == nil, "seed \(seed), step \(step)")
      } else {
        // Few different tags, so that chains are long.
        let hash = UInt64.random(in: 0..<40, using: &generator) << 32
        slots.insert(hash, place: place)
        model[place] = hash
      }
    }
    #expect(slots.count == model.count)
    for (place, hash) in model { #expect(slots.find(hash) { $0 == place } == place) }
  }
}
