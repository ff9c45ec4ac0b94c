internal import AllyDeviceModels
internal import AllyHW

/// The 82540EM model under software that may write anything into its registers, its ports and the memory it reads.
struct DeviceTarget: FuzzTarget {
  static let name = "device"

  private static let requester = RequesterID(bus: 0, device: 3, function: 0)
  /// Where steps that name a slot store descriptors and buffers, so that they meet.
  private static let ring: UInt64 = 0x1000
  private static let buffers: UInt64 = 0x4000

  init() {}

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    var bus = FlatBus()
    var nic = E1000Model(requester: Self.requester, macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56])
    var wire = Wire(transmitStamp: 0 as UInt64, capacity: 64 << 10, isPaced: input.byte() & 1 != 0)
    for _ in 0..<512 where !input.isEmpty {
      switch input.byte() % 9 {
      case 0:
        let register = E1000Choices.register(&input)
        nic.writeRegister(register, value: UInt64(Self.value(&input)), width: .doubleWord)
      case 1:
        let widths: [RegisterWidth] = [.byte, .word, .doubleWord, .quadWord]
        let width = widths[Int(input.byte() & 3)]
        let offset = UInt32(input.number(UInt16.self)) << 1
        if input.byte() & 1 == 0 {
          nic.writeRegister(offset, value: input.number(UInt64.self), width: width)
        } else {
          require(nic.readRegister(offset, width: width) & ~width.mask == 0, "\(offset) reads wider than asked")
        }
      case 2:
        let offset = UInt32(input.byte())
        let value = UInt64(input.number(UInt32.self))
        nic.writePort(offset, value: value, width: .doubleWord)
        _ = nic.readPort(offset, width: .doubleWord)
      case 3:
        let slot = UInt64(input.byte() & 31)
        bus.store(UInt64(Self.value(&input)), at: Self.ring + slot * 16)
        bus.store(input.number(UInt64.self), at: Self.ring + slot * 16 + 8)
      case 4: bus.store(input.number(UInt64.self), at: UInt64(input.number(UInt16.self)) << 1)
      case 5:
        let frame = [UInt8](repeating: input.byte(), count: Int(input.byte())) + input.take(Int(input.byte() & 63))
        _ = wire.toNIC.append(frame.span, stamp: 1)
      case 6: nic.isLinkUp = input.byte() & 1 == 0
      case 7: if input.byte() == 0x77 { nic.reset() }
      default: run(&nic, on: &bus, &wire)
      }
    }
    run(&nic, on: &bus, &wire)
  }

  private func run(_ nic: inout E1000Model, on bus: inout FlatBus, _ wire: inout Wire<UInt64>) {
    let waiting = wire.toNIC.count
    nic.run(on: &bus, wire: &wire, frames: 16)
    require(wire.toNIC.count <= waiting, "a run added frames to those that wait")
    let longest = nic.maximumFrameLength
    while let length = wire.fromNIC.withFirst({ frame, _ in frame.count }) {
      require(length > 0 && length <= longest, "a frame of \(length) bytes was sent")
      wire.fromNIC.removeFirst()
    }
    while wire.completed.removeFirst() != nil {}
    _ = nic.assertsInterrupt
  }

  /// A number, or a place where something is.
  private static func value(_ input: inout InputReader) -> UInt32 {
    let places: [UInt32] = [
      UInt32(ring), UInt32(buffers), UInt32(buffers) + 2048, UInt32(FlatBus.length) - 16, UInt32(FlatBus.length), 128,
      512, 1 << 1 | 3 << 3 | 1 << 26,
    ]
    let choice = input.byte()
    return choice < 128 ? places[Int(choice & 7)] &+ UInt32(choice >> 3) * 16 : input.number(UInt32.self)
  }
}

/// Which registers steps name: by one byte those with behaviour, by three any.
enum E1000Choices {
  private static let registers: [UInt32] = [
    0x0000, 0x0008, 0x0010, 0x0014, 0x0020, 0x0038, 0x00C0, 0x00C4, 0x00C8, 0x00D0, 0x00D8, 0x0100, 0x0400, 0x0410,
    0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3828, 0x4074, 0x5000,
    0x5200, 0x5400, 0x5404, 0x5600,
  ]

  static func register(_ input: inout InputReader) -> UInt32 {
    let choice = input.byte()
    return choice < 128 ? registers[Int(choice & 31)] : UInt32(input.number(UInt16.self)) << 2
  }
}

/// 64 KiB of memory, and nothing else.
private struct FlatBus: DMABus, ~Copyable {
  static let length = 64 << 10
  private var bytes = [UInt8](repeating: 0, count: Self.length)

  mutating func store(_ value: UInt64, at address: UInt64) {
    guard address <= UInt64(Self.length - 8) else { return }
    for index in 0..<8 { bytes[Int(address) + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
  }

  private func holds(_ address: BusAddress, _ count: Int) -> Bool {
    address.rawValue <= UInt64(Self.length) && UInt64(count) <= UInt64(Self.length) - address.rawValue
  }

  mutating func readMemory(
    _ address: BusAddress, into destination: inout MutableSpan<UInt8>, range: Range<Int>, requester: RequesterID
  ) -> Bool {
    guard holds(address, range.count) else { return false }
    for index in range { destination[index] = bytes[Int(address.rawValue) + index - range.lowerBound] }
    return true
  }

  mutating func writeMemory(_ address: BusAddress, _ source: Span<UInt8>, requester: RequesterID) -> Bool {
    guard holds(address, source.count) else { return false }
    for index in source.indices { bytes[Int(address.rawValue) + index] = source[index] }
    return true
  }

  mutating func publish(_ value: UInt64, at address: BusAddress, requester: RequesterID) -> Bool {
    guard address.rawValue % 8 == 0, holds(address, 8) else { return false }
    store(value, at: address.rawValue)
    return true
  }
}
