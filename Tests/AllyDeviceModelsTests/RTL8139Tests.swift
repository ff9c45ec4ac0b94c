import AllyDeviceModels
import AllyHW
import Testing

/// An RTL8139C in a machine of 4 MiB, of which the last is DPI memory, and software that drives it by hand.
@safe
private final class RTL8139Bench {
  static let memoryLength = 4 << 20
  static let dpiBase: UInt64 = 3 << 20
  static let macAddress: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
  static let ring: UInt64 = 0x1_0000
  static let buffers: UInt64 = 0x10_0000

  private let storage: UnsafeMutableRawPointer
  var northbridge: Northbridge
  var nic: RTL8139Model
  var wire: Wire<TestStamp>
  private var transmitNext: UInt32 = 0
  private var readPlace = 0

  init(isPaced: Bool = false) {
    unsafe storage = .allocate(byteCount: Self.memoryLength, alignment: 4096)
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: Self.memoryLength)
    var memory = PhysicalMemory()
    try! unsafe memory.map(
      base: PhysicalAddress(0), length: UInt64(Self.memoryLength), storage: storage, rights: .readWrite)
    let partition = Partition(
      boundary: PhysicalAddress(Self.dpiBase), end: PhysicalAddress(UInt64(Self.memoryLength)))
    let table = unsafe RemappingTable(at: PhysicalAddress(Self.dpiBase), in: memory)!
    northbridge = Northbridge(
      memory: memory, iommu: IOMMU(partition: partition),
      interrupts: InterruptUnit(cores: [LocalAPICID(0)]), remapping: table)
    nic = RTL8139Model(requester: RequesterID(bus: 0, device: 5, function: 0), macAddress: Self.macAddress)
    wire = Wire(transmitStamp: TestStamp(ordinal: 0), isPaced: isPaced)
  }

  deinit { unsafe storage.deallocate() }

  var assertsInterrupt: Bool { nic.assertsInterrupt }
  func read8(_ offset: UInt32) -> UInt8 { UInt8(nic.readRegister(offset, width: .byte)) }
  func read16(_ offset: UInt32) -> UInt16 { UInt16(nic.readRegister(offset, width: .word)) }
  func read32(_ offset: UInt32) -> UInt32 { UInt32(nic.readRegister(offset, width: .doubleWord)) }
  func write8(_ offset: UInt32, _ value: UInt8) { nic.writeRegister(offset, value: UInt64(value), width: .byte) }
  func write16(_ offset: UInt32, _ value: UInt16) { nic.writeRegister(offset, value: UInt64(value), width: .word) }
  func write32(_ offset: UInt32, _ value: UInt32) {
    nic.writeRegister(offset, value: UInt64(value), width: .doubleWord)
  }
  func bytes(_ address: UInt64, _ count: Int) -> [UInt8] {
    (0..<UInt64(count)).map { northbridge.memory.load(UInt8.self, at: PhysicalAddress(address + $0)) ?? 0xEE }
  }
  func store(_ bytes: [UInt8], at address: UInt64) {
    for (index, byte) in bytes.enumerated() {
      _ = northbridge.memory.store(byte, at: PhysicalAddress(address + UInt64(index)))
    }
  }
  func run() { nic.run(on: &northbridge, wire: &wire, frames: 1000) }

  /// Accepts broadcasts and what is for this NIC, in a ring of 8 KiB.
  static let receiveConfiguration: UInt32 = 0x0A

  func start(receiveConfiguration: UInt32 = RTL8139Bench.receiveConfiguration) {
    write32(0x30, UInt32(Self.ring))
    write8(0x37, 0x0C)
    write32(0x44, receiveConfiguration)
    write16(0x3C, 0xE07F)
    readPlace = 0
    transmitNext = 0
  }

  func offer(_ frame: [UInt8]) { _ = wire.toNIC.append(frame.span, stamp: TestStamp(ordinal: 1)) }

  /// The frames in the ring, as a driver takes them out: status, and bytes with the frame check sequence.
  func takeReceived(wrap: Bool = true, ringLength: Int = 8192) -> [(status: UInt16, bytes: [UInt8])] {
    var found: [(status: UInt16, bytes: [UInt8])] = []
    while read8(0x37) & 1 == 0 {
      func at(_ place: Int, _ count: Int) -> [UInt8] {
        guard wrap else { return bytes(Self.ring + UInt64(place), count) }
        return (0..<count).map { bytes(Self.ring + UInt64((place + $0) % ringLength), 1)[0] }
      }
      let header = at(readPlace, 4)
      let length = Int(header[2]) | Int(header[3]) << 8
      found.append((UInt16(header[0]) | UInt16(header[1]) << 8, at(readPlace + 4, length)))
      readPlace = ((readPlace + 4 + length + 3) & ~3) % ringLength
      write16(0x38, UInt16(truncatingIfNeeded: readPlace - 16))
    }
    return found
  }

  func send(_ frame: [UInt8]) {
    let address = Self.buffers + UInt64(transmitNext) * 2048
    store(frame, at: address)
    write32(0x20 + 4 * transmitNext, UInt32(address))
    write32(0x10 + 4 * transmitNext, UInt32(frame.count))
    transmitNext = (transmitNext + 1) % 4
    run()
  }

  func sentFrames() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while let frame = wire.fromNIC.withFirst({ span, _ in (0..<span.count).map { span[$0] } }) {
      frames.append(frame)
      wire.fromNIC.removeFirst()
    }
    return frames
  }

  // MARK: EEPROM, a clock at a time

  private func clock(_ bit: UInt8) -> UInt8 {
    write8(0x50, 0x88 | bit << 1)
    write8(0x50, 0x8C | bit << 1)
    let out = read8(0x50) & 1
    write8(0x50, 0x88 | bit << 1)
    return out
  }

  /// Shifts bits in, the first on top, then reads 16 when told to.
  func eeprom(_ bits: UInt32, _ count: Int, reads: Bool = false) -> UInt16 {
    write8(0x50, 0x80)
    write8(0x50, 0x88)
    for index in (0..<count).reversed() { _ = clock(UInt8(bits >> UInt32(index) & 1)) }
    var word: UInt16 = 0
    if reads { for _ in 0..<16 { word = word << 1 | UInt16(clock(0)) } }
    write8(0x50, 0x80)
    write8(0x50, 0x00)
    return word
  }
}

@Suite("RTL8139C model")
struct RTL8139Tests {
  @Test("registers after a reset, in accesses of every width (datasheet, chapter 5)")
  func afterReset() {
    let bench = RTL8139Bench()
    #expect((0..<6).map { bench.read8($0) } == RTL8139Bench.macAddress)
    #expect(bench.read16(0x00) == 0x5452)
    #expect(bench.read32(0x00) == 0x1200_5452)
    for index: UInt32 in 0..<4 { #expect(bench.read32(0x10 + 4 * index) == 0x2000) }
    #expect(bench.read8(0x37) == 0x01)
    #expect(bench.read16(0x38) == 0xFFF0)
    #expect(bench.read16(0x3A) == 0)
    #expect(bench.read32(0x40) >> 22 & 0x1F3 == 0x1D0)
    #expect(bench.read16(0x60) == 0x000F)
    #expect(bench.nic.readRegister(0xFE, width: .doubleWord) == 0)
  }

  @Test("the station address is written 32 bits at a time, and only when unlocked")
  func stationAddress() {
    let bench = RTL8139Bench()
    bench.write32(0x00, 0x0403_0201)
    #expect(bench.read8(0) == 0x52)
    bench.write8(0x50, 0xC0)
    bench.write32(0x00, 0x0403_0201)
    bench.write32(0x04, 0x0000_0605)
    bench.write8(0x00, 0xEE)
    #expect((0..<6).map { bench.read8($0) } == [1, 2, 3, 4, 5, 6])
    // A reset by command keeps it; the EEPROM brings the old one back.
    bench.write8(0x37, 0x10)
    #expect(bench.read8(0x37) & 0x10 == 0)
    #expect(bench.read8(0) == 1)
    bench.write8(0x50, 0x40)
    #expect((0..<6).map { bench.read8($0) } == RTL8139Bench.macAddress)
    #expect(bench.read8(0x50) == 0)
  }

  @Test("the EEPROM is read and written bit by bit (93C46)")
  func eeprom() {
    let bench = RTL8139Bench()
    func read(_ word: UInt32) -> UInt16 { bench.eeprom(0b110 << 6 | word, 9, reads: true) }
    #expect(read(0) == 0x8129)
    #expect(read(1) == 0x10EC)
    #expect([read(7), read(8), read(9)] == [0x5452, 0x1200, 0x5634])
    // Writes need EWEN.
    _ = bench.eeprom((0b101 << 6 | 20) << 16 | 0xBEEF, 25)
    #expect(read(20) == 0)
    _ = bench.eeprom(0b100 << 6 | 0b11 << 4, 9)
    _ = bench.eeprom((0b101 << 6 | 20) << 16 | 0xBEEF, 25)
    #expect(read(20) == 0xBEEF)
    _ = bench.eeprom(0b111 << 6 | 20, 9)
    #expect(read(20) == 0xFFFF)
    _ = bench.eeprom(0b100 << 6, 9)
    _ = bench.eeprom((0b101 << 6 | 20) << 16 | 1, 25)
    #expect(read(20) == 0xFFFF)
  }

  @Test("the PHY's registers, and a link that comes and goes")
  func phy() {
    let bench = RTL8139Bench()
    #expect(bench.read16(0x64) & 0x24 == 0x24)
    #expect(bench.read8(0x58) & 0x04 == 0)
    bench.nic.isLinkUp = false
    #expect(bench.read16(0x64) & 0x24 == 0)
    #expect(bench.read8(0x58) & 0x04 == 4)
    #expect(bench.read16(0x3E) == 0x20)
    #expect(bench.read16(0x6C) == 1)
    // Speed and duplex are protected.
    bench.write16(0x62, 0)
    #expect(bench.read16(0x62) == 0x3100)
    bench.write8(0x50, 0xC0)
    bench.write16(0x62, 0)
    #expect(bench.read16(0x62) == 0)
    bench.write16(0x62, 0x8000)
    #expect(bench.read16(0x62) == 0x3100)
  }

  @Test("frames go round the four descriptors in order")
  func transmit() {
    let bench = RTL8139Bench()
    bench.start()
    let frames = (0..<11).map { frame(60 + $0, seed: UInt8($0)) }
    for (number, data) in frames.enumerated() {
      bench.send(data)
      #expect(bench.read32(0x10 + 4 * UInt32(number % 4)) == UInt32(data.count) | 0xA000)
    }
    #expect(bench.sentFrames() == frames)
    #expect(bench.read16(0x3E) == 0x04)
    #expect(bench.assertsInterrupt)
    bench.write16(0x3E, 0x04)
    #expect(!bench.assertsInterrupt)
    // Too long, and from where no memory is.
    bench.write32(0x10 + 12, 1793)
    bench.write32(0x20, 0xF000_0000)
    bench.write32(0x10, 60)
    bench.run()
    #expect(bench.read32(0x1C) >> 30 == 1)
    #expect(bench.read16(0x60) & 0xF0 == 0x90)
    #expect(bench.read16(0x3E) == 0x8008)
    #expect(bench.sentFrames() == [])
  }

  @Test(
    "the receive ring: header, frame, check sequence, at multiples of four, and around its end",
    arguments: [false, true])
  func receive(doesNotWrap: Bool) {
    let bench = RTL8139Bench()
    bench.start(receiveConfiguration: RTL8139Bench.receiveConfiguration | (doesNotWrap ? 0x80 : 0))
    for number in 0..<60 {
      let data = frame(61 + 23 * number, seed: UInt8(number))
      bench.offer(data)
      bench.run()
      #expect(bench.read16(0x3E) == 1)
      bench.write16(0x3E, 1)
      let taken = bench.takeReceived(wrap: !doesNotWrap)
      #expect(taken.map(\.bytes) == [data + bitwiseFrameCheckSequence(data)])
      #expect(taken.map(\.status) == [0x4001])
    }
  }

  @Test("a full ring loses frames, counts them, and goes on when the driver has read")
  func overflow() {
    let bench = RTL8139Bench()
    bench.start()
    for number in 0..<8 { bench.offer(frame(1500, seed: UInt8(number))) }
    bench.run()
    #expect(bench.read16(0x3E) == 0x11)
    #expect(bench.read32(0x4C) == 3)
    #expect(bench.takeReceived().map(\.bytes.count) == [1504, 1504, 1504, 1504, 1504])
    bench.offer(frame(100))
    bench.run()
    #expect(bench.takeReceived().count == 1)
    bench.write32(0x4C, 0)
    #expect(bench.read32(0x4C) == 0)
  }

  @Test("on a paced wire a frame waits for room")
  func paced() {
    let bench = RTL8139Bench(isPaced: true)
    bench.start()
    for number in 0..<12 { bench.offer(frame(1500, seed: UInt8(number))) }
    var received: [[UInt8]] = []
    for _ in 0..<4 {
      bench.run()
      received += bench.takeReceived().map { Array($0.bytes.dropLast(4)) }
    }
    #expect(received == (0..<12).map { frame(1500, seed: UInt8($0)) })
    #expect(bench.read32(0x4C) == 0)
  }

  @Test("the filter: own address, broadcast, multicast by hash, all")
  func filter() {
    let bench = RTL8139Bench()
    let other: [UInt8] = [0x02, 1, 2, 3, 4, 5]
    let group: [UInt8] = [0x01, 0, 0x5E, 0, 0, 1]
    let all = [UInt8](repeating: 0xFF, count: 6)
    func statuses(_ configuration: UInt32) -> [UInt16] {
      bench.write8(0x37, 0)
      bench.start(receiveConfiguration: configuration)
      for address in [RTL8139Bench.macAddress, other, group, all] { bench.offer(frame(60, to: address)) }
      bench.run()
      return bench.takeReceived().map(\.status)
    }
    #expect(statuses(0x00) == [])
    #expect(statuses(0x02) == [0x4001])
    #expect(statuses(0x08) == [0x2001])
    #expect(statuses(0x04) == [])
    bench.write32(0x08, 0xFFFF_FFFF)
    bench.write32(0x0C, 0xFFFF_FFFF)
    #expect(statuses(0x04) == [0x8001])
    #expect(statuses(0x01) == [0x4001, 0x0001, 0x8001, 0x2001])
    // 01:00:5E:00:00:01 is bit 31 of the 64 (CRC 0x7FA32D9B, upper six bits).
    bench.write32(0x08, 1 << 31)
    bench.write32(0x0C, 0)
    #expect(statuses(0x04) == [0x8001])
  }

  @Test("the timer interrupts when the count is reached, once")
  func timer() {
    let bench = RTL8139Bench()
    bench.start()
    bench.nic.advance(to: 1_000_000)
    bench.write32(0x48, 0)
    bench.write32(0x54, 1000)
    #expect(bench.nic.nextTimer == 1_030_000)
    bench.nic.advance(to: 1_029_000)
    #expect(bench.read16(0x3E) == 0)
    #expect(bench.read32(0x48) == 966)
    bench.nic.advance(to: 1_031_000)
    #expect(bench.read16(0x3E) == 0x4000)
    bench.write16(0x3E, 0x4000)
    bench.nic.advance(to: 2_000_000)
    #expect(bench.read16(0x3E) == 0)
  }

  @Test("a ring in DPI memory, or nowhere, receives nothing", arguments: [UInt32(3 << 20), 0xFFFF_0000])
  func ringElsewhere(base: UInt32) {
    let bench = RTL8139Bench()
    bench.start()
    bench.write32(0x30, base)
    let before = bench.bytes(RTL8139Bench.dpiBase, 64)
    bench.offer(frame(60))
    bench.run()
    #expect(bench.bytes(RTL8139Bench.dpiBase, 64) == before)
    #expect(bench.read16(0x3E) == 0x8000)
    #expect(bench.read8(0x37) & 1 == 1)
  }

  @Test("random register accesses never trap", arguments: 0..<16)
  func random(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let bench = RTL8139Bench()
    bench.start()
    for _ in 0..<4000 {
      let offset = UInt32.random(in: 0..<0x108, using: &generator)
      let width = [RegisterWidth.byte, .word, .doubleWord, .quadWord][Int.random(in: 0..<4, using: &generator)]
      if Bool.random(using: &generator) {
        bench.nic.writeRegister(offset, value: .random(in: 0...(.max), using: &generator), width: width)
      }
      _ = bench.nic.readRegister(offset, width: width)
      bench.offer(frame(Int.random(in: 1..<1900, using: &generator)))
      bench.run()
    }
  }
}
