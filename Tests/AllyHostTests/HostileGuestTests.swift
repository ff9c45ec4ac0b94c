import AllyHW
import AllyPacket
import AllyRings
import Foundation
import Testing

@testable import AllyHost

/// A guest that writes anything anywhere beside one that does its work (Docs/ThreatModel.md). `ALLY_HOSTILE_SECONDS` says how
/// long each goes on, 2 by default, and `ALLY_SEED` repeats a run; `make soak` takes a minute each, with the address sanitizer.
@Suite(.serialized) struct HostileGuestTests {
  private static var seconds: Double {
    ProcessInfo.processInfo.environment["ALLY_HOSTILE_SECONDS"].flatMap(Double.init) ?? 2
  }

  private static func seed() -> UInt64 {
    ProcessInfo.processInfo.environment["ALLY_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...(.max))
  }

  /// Registers that do something, of the three NICs that have any here.
  private static let registers: [UInt32] = [
    0x0000, 0x0004, 0x0008, 0x0010, 0x0014, 0x0018, 0x0020, 0x0028, 0x0038, 0x00C0, 0x00C4, 0x00C8, 0x00D0, 0x00D8,
    0x00E4, 0x0100, 0x0400, 0x0410, 0x1500, 0x1504, 0x1508, 0x150C, 0x1520, 0x1524, 0x1528, 0x152C, 0x1530, 0x1700,
    0x2008, 0x2800, 0x2804, 0x2808, 0x280C, 0x2810, 0x2818, 0x2820, 0x2828, 0x282C, 0x3800, 0x3804, 0x3808, 0x3810,
    0x3818, 0x3820, 0x3828, 0x3840, 0x3938, 0x2918, 0x2900, 0x2908, 0x3900, 0x3908, 0x5000, 0x5008, 0x5200, 0x5400,
    0x5404, 0x5818, 0x5B50, 0x5B54, 0x5B5C, 0x8000, 0xC000, 0xE000,
  ]

  private func value(_ random: inout SeededGenerator) -> UInt32 {
    switch random.next() % 6 {
    case 0: return UInt32(BenchGuest.base) + UInt32(random.next() % UInt64(BenchGuest.length)) & ~0xF
    case 1: return UInt32(random.next() % 300)
    case 2: return 1 << UInt32(random.next() % 32)
    case 3: return 0x0400_801A | UInt32(truncatingIfNeeded: random.next()) & 0x0303_0000
    case 4: return UInt32(1 + random.next() % 64) * 128
    default: return UInt32(truncatingIfNeeded: random.next())
    }
  }

  /// One thing that a driver with a mind of its own may do.
  private func act(_ guest: BenchGuest, _ random: inout SeededGenerator) throws {
    switch random.next() % 16 {
    case 0...6:
      let isKnown = random.next() & 7 != 0
      let register =
        isKnown
        ? Self.registers[Int(random.next() % UInt64(Self.registers.count))] : UInt32(random.next() % 0x2_0000) & ~3
      try guest.write(register, value(&random))
    case 7...10:
      // A descriptor somewhere, of any kind, that may point at memory, at nothing, or at DPI memory.
      let place = 0x1000 + UInt64(random.next() % 0x400) * 16
      let addresses: [UInt64] = [
        BenchGuest.base + random.next() % UInt64(BenchGuest.length), random.next(), 1 << 60,
        BenchGuest.base + UInt64(BenchGuest.length) - 8,
      ]
      guest.store(addresses[Int(random.next() & 3)], at: place)
      guest.store(random.next() & 1 == 0 ? random.next() : 0x0B00_0000 | random.next() % 2000, at: place + 8)
    case 11:
      guest.offer((0..<Int(14 + random.next() % 1600)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    case 12:
      // Ports, configuration space, odd widths, places outside.
      let region = UInt32(random.next() % 9)
      let count = UInt32(1 + random.next() % 8)
      let payload =
        bytes(UInt32(random.next() % 0x140), 0, region, count)
        + (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      try guest.post(10, payload)
    case 13:
      // Sane rings now and then, so that what follows meets a NIC at work.
      if random.next() & 15 == 0 {
        try guest.allowDMA()
        try guest.bringUp()
      }
    case 14: if random.next() & 63 == 0 { try guest.reset() }
    default:
      _ = try guest.read(Self.registers[Int(random.next() % UInt64(Self.registers.count))])
      guest.emptyFarEnd()
    }
  }

  /// Has a guest do what it likes for as long as the test lasts, and another its work meanwhile, frame by frame.
  private func disturb(
    _ polite: BenchGuest, _ seed: UInt64, _ act: (inout SeededGenerator) throws -> Void
  ) throws {
    var random = SeededGenerator(seed: seed)
    let end = Date().addingTimeInterval(Self.seconds)
    var round: UInt8 = 0
    repeat {
      for _ in 0..<500 { try act(&random) }
      round &+= 1
      let frame = Self.frame(round)
      #expect(try polite.send(frame) == frame, "seed \(seed): the other guest's frame did not leave")
      #expect(polite.offer(frame), "seed \(seed)")
      #expect(try polite.receive() == frame, "seed \(seed): the other guest got no frame")
    } while Date() < end
  }

  @Test(arguments: GuestBenchKind.allCases, [PacketProtection.copyToDPIMemory, .inPlace])
  func `A guest that writes anything harms nobody else, and recovers`(
    kind: GuestBenchKind, protection: PacketProtection
  ) throws {
    let seed = Self.seed()
    let bench = try GuestBench([kind, .e1000], protection: protection) { AcceptAll() }
    let hostile = try BenchGuest(bench, 0, kind)
    let polite = try BenchGuest(bench, 1)
    try polite.bringUp()
    try disturb(polite, seed) { try act(hostile, &$0) }

    try hostile.reset()
    try hostile.bringUp()
    hostile.emptyFarEnd()
    let frame = Self.frame(200)
    #expect(try hostile.send(frame) == frame, "seed \(seed): it cannot send after a reset")
    // Frames that came before the reset may wait on the cable still.
    hostile.offer(frame)
    var isReceived = false
    for _ in 0..<200 where !isReceived {
      guard let received = try hostile.receive() else { break }
      isReceived = received == frame
    }
    #expect(isReceived, "seed \(seed): it cannot receive after a reset")
    #expect(bench.end() == nil)
  }

  /// One thing that a driver of virtqueues, or its front end, may do.
  private func act(_ guest: VirtioBenchGuest, _ random: inout SeededGenerator) throws {
    let ring = UInt32(random.next() % 5)
    switch random.next() % 32 {
    case 0...9:
      // A descriptor of either layout, which may point at memory, at other descriptors, at nothing.
      let place = VirtioBenchGuest.ring(Int(random.next() & 1)) + UInt64(random.next() % 64) * 16
      let addresses: [UInt64] = [
        VirtioBenchGuest.base + random.next() % UInt64(VirtioBenchGuest.length), random.next(), 1 << 60,
        VirtioBenchGuest.base + UInt64(VirtioBenchGuest.length) - 8,
      ]
      guest.store(addresses[Int(random.next() & 3)], at: place)
      guest.store(random.next() & 1 == 0 ? random.next() : random.next() & 0x003F_0007_0000_0FFF, at: place + 8)
    case 10...12:
      // Buffers become available, whatever they are.
      guest.store(
        UInt16(truncatingIfNeeded: random.next() & 7 == 0 ? random.next() : random.next() % 130),
        at: VirtioBenchGuest.ring(Int(random.next() & 1)) + 0x4002)
      guest.kick()
    case 13...15:
      // Indices, flags, entries of the driver's area and the device's.
      let area = VirtioBenchGuest.ring(Int(random.next() & 1)) + (random.next() & 1 == 0 ? 0x4000 : 0x8000)
      let value = UInt16(truncatingIfNeeded: random.next() & 3 == 0 ? random.next() : random.next() % 80)
      guest.store(value, at: area + 2 * (random.next() % 72))
    case 16...19: guest.kick()
    case 20...21:
      let toAll = [UInt8](repeating: 0xFF, count: 6)
      guest.offer(toAll + (0..<Int(8 + random.next() % 1600)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    case 22: try guest.post(8, bytes(ring, UInt32(truncatingIfNeeded: random.next() & 1 == 0 ? 64 : random.next())))
    case 23: try guest.post(10, bytes(ring, UInt32(truncatingIfNeeded: random.next())))
    case 24:
      var addresses = bytes(ring, 0)
      for _ in 0..<4 {
        let inside = VirtioBenchGuest.userBase + random.next() % UInt64(VirtioBenchGuest.length)
        addresses.append(littleEndian: random.next() & 7 == 0 ? random.next() : inside & ~15)
      }
      try guest.post(9, addresses)
    case 25: try guest.lendEvent(12 + UInt32(random.next() % 3), ring)
    case 26: try guest.post(18, bytes(ring, UInt32(random.next() & 1)))
    case 27:
      // What is offered, with or without packed rings, and now and then what is not.
      let offered: [UInt64] = [0, 1, 11, 12, 15, 22, 28, 29, 34]
      let some = random.next() & offered.reduce(0) { $0 | 1 << $1 }
      try guest.post(2, numbers: [random.next() & 7 == 0 ? random.next() : some | 1 << 30 | 1 << 32])
    case 28:
      if random.next() & 3 == 0 {
        try guest.lendMemory(
          at: random.next() & 1 == 0 ? VirtioBenchGuest.base : random.next() & ~0xFFF,
          length: random.next() & 1 == 0 ? 0x10_0000 : random.next(), offset: random.next() & 0x1F_F000)
      } else {
        try guest.lendMemory()
      }
    case 29: if ring < 4 { _ = try guest.request(11, bytes(ring, 0)) }
    // Sane rings now and then, so that what follows meets a device at work.
    case 30: if random.next() & 1 == 0 { try guest.reset() }
    default: guest.emptyFarEnd()
    }
  }

  /// With copies: in place is refused for vhost-user, whose buffers have to go back in their order.
  @Test func `A guest that writes anything into virtqueues harms nobody else, and recovers`() throws {
    let seed = Self.seed()
    let bench = try GuestBench([.e1000], hasVirtio: true) { AcceptAll() }
    let polite = try BenchGuest(bench, 0)
    let hostile = try VirtioBenchGuest(bench, 1)
    try polite.bringUp()
    try hostile.reset()
    try disturb(polite, seed) { try act(hostile, &$0) }

    try hostile.reset()
    hostile.emptyFarEnd()
    let frame = Self.frame(200)
    #expect(hostile.send(frame) == frame, "seed \(seed): it cannot send after a reset")
    // Frames that came before the reset may wait on the cable still, and fill it.
    var isOffered = false
    var isReceived = false
    for _ in 0..<200 where !isReceived {
      if !isOffered { isOffered = hostile.offer(frame) }
      guard let received = hostile.receive() else { break }
      isReceived = received == frame
    }
    #expect(isReceived, "seed \(seed): it cannot receive after a reset")
    #expect(bench.end() == nil)
  }

  private static func frame(_ mark: UInt8) -> [UInt8] {
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5] + Array(repeating: mark, count: 100)
  }

  /// The emulator takes guest memory away that it has lent: the next access would end the process.
  @Test func `A client that cuts its memory short is let go, and no other`() throws {
    let bench = try GuestBench([.e1000, .e1000]) { AcceptAll() }
    let cut = try BenchGuest(bench, 0)
    let polite = try BenchGuest(bench, 1)
    try polite.bringUp()
    try cut.bringUp()
    #expect(try cut.send(Self.frame(1)) == Self.frame(1))
    #expect(ftruncate(cut.file, 0) == 0)
    #expect(throws: BenchGuest.Gone.self) {
      for _ in 0..<1000 {
        try cut.write(0x3818, 5)
        _ = try cut.read(0x0008)
      }
    }
    #expect(try polite.send(Self.frame(2)) == Self.frame(2))
    #expect(bench.end() == nil)
  }
}

@Suite struct MappedMemoryTests {
  @Test func `What is cut short becomes zeros, and is known`() throws {
    try MappedMemory.beginGuarding()
    var template = Array("/tmp/ally-memory-XXXXXX".utf8CString)
    let file = unsafe mkstemp(&template)
    unsafe unlink(&template)
    defer { close(file) }
    #expect(ftruncate(file, 0x3000) == 0)
    let memory = try MappedMemory(file, offset: 0x1000, length: 0x2000, rights: .readWrite)
    unsafe memory.storage.storeBytes(of: 7, as: UInt8.self)
    #expect(!memory.isLost)
    #expect(ftruncate(file, 0) == 0)
    #expect(unsafe memory.storage.load(as: UInt8.self) == 0)
    #expect(memory.isLost)
    unsafe memory.storage.storeBytes(of: 7, toByteOffset: 0x1FFF, as: UInt8.self)
  }
}
