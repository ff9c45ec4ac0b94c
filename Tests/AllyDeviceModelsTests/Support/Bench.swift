import AllyDeviceModels
import AllyHW

/// The stamp of a test's frames.
struct TestStamp: BitwiseCopyable, Equatable {
  var ordinal: UInt64
  var time: UInt64 = 0
}

/// A model that a bench can make.
protocol BenchModel: DeviceModel, ~Copyable {
  init(requester: RequesterID, macAddress: [UInt8], maximumFrameLength: Int)
  var faults: IntelFaults { get }
  static var datasheetFrameLength: Int { get }
}

extension E1000Model: BenchModel {}
extension E1000EModel: BenchModel {}

/// A bench with an 82540EM.
typealias Bench = NICBench<E1000Model>

/// A NIC model in a machine of 4 MiB, of which the last is DPI memory, and software that drives it by hand: by the legacy
/// descriptors, which all families take.
@safe
final class NICBench<Model: BenchModel & ~Copyable> {
  static var memoryLength: Int { 4 << 20 }
  static var dpiBase: UInt64 { 3 << 20 }
  static var requester: RequesterID { RequesterID(bus: 0, device: 3, function: 0) }
  static var macAddress: [UInt8] { [0x52, 0x54, 0x00, 0x12, 0x34, 0x56] }
  static var receiveRing: UInt64 { 0x1_0000 }
  static var transmitRing: UInt64 { 0x8_0000 }
  static var buffers: UInt64 { 0x10_0000 }

  private let storage: UnsafeMutableRawPointer
  var northbridge: Northbridge
  var nic: Model
  var wire: Wire<TestStamp>
  var receiveCount: UInt64 = 0
  var transmitTail: UInt64 = 0
  var transmitCount: UInt64 = 0
  private var ordinal: UInt64 = 0

  init(
    maximumFrameLength: Int = Model.datasheetFrameLength, isPaced: Bool = false, wireCapacity: Int = 4 << 20
  ) {
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
    nic = Model(
      requester: Self.requester, macAddress: Self.macAddress, maximumFrameLength: maximumFrameLength)
    wire = Wire(transmitStamp: TestStamp(ordinal: 0), capacity: wireCapacity, isPaced: isPaced)
  }

  deinit { unsafe storage.deallocate() }

  // MARK: Registers and memory

  var assertsInterrupt: Bool { nic.assertsInterrupt }

  func read(_ offset: UInt32) -> UInt32 { UInt32(nic.readRegister(offset, width: .doubleWord)) }
  func write(_ offset: UInt32, _ value: UInt32) {
    nic.writeRegister(offset, value: UInt64(value), width: .doubleWord)
  }
  func load(_ address: UInt64) -> UInt64 {
    northbridge.memory.load(UInt64.self, at: PhysicalAddress(address)) ?? 0xDEAD_DEAD_DEAD_DEAD
  }
  func store(_ value: UInt64, at address: UInt64) {
    _ = northbridge.memory.store(value, at: PhysicalAddress(address))
  }
  func bytes(_ address: UInt64, _ count: Int) -> [UInt8] {
    (0..<UInt64(count)).map { northbridge.memory.load(UInt8.self, at: PhysicalAddress(address + $0)) ?? 0xEE }
  }
  func store(_ bytes: [UInt8], at address: UInt64) {
    for (index, byte) in bytes.enumerated() {
      _ = northbridge.memory.store(byte, at: PhysicalAddress(address + UInt64(index)))
    }
  }

  // MARK: Receiving

  /// RCTL bits.
  static var enable: UInt32 { 1 << 1 }
  static var promiscuous: UInt32 { 3 << 3 }
  static var longPackets: UInt32 { 1 << 5 }
  static var broadcast: UInt32 { 1 << 15 }
  static var strip: UInt32 { 1 << 26 }

  /// Sets the receive ring up, with buffers of `bufferLength` bytes, and posts all descriptors but one.
  func startReceiving(
    descriptors: Int, control: UInt32 = NICBench.enable | NICBench.promiscuous | NICBench.strip,
    bufferLength: UInt64 = 2048
  ) {
    receiveCount = UInt64(descriptors)
    for index in 0..<receiveCount {
      store(Self.buffers + index * bufferLength, at: Self.receiveRing + 16 * index)
      store(0, at: Self.receiveRing + 16 * index + 8)
    }
    write(0x2800, UInt32(Self.receiveRing))
    write(0x2804, 0)
    write(0x2808, UInt32(descriptors * 16))
    write(0x2810, 0)
    write(0x2818, UInt32(descriptors - 1))
    write(0x0100, control)
  }

  /// Puts a frame on the wire; its stamp's ordinal counts up from 1.
  @discardableResult
  func offer(_ frame: [UInt8]) -> Bool {
    ordinal += 1
    return wire.toNIC.append(frame.span, stamp: TestStamp(ordinal: ordinal))
  }

  @discardableResult
  func run(frames: Int = 1000) -> Int { nic.run(on: &northbridge, wire: &wire, frames: frames) }

  func receive(_ frame: [UInt8]) {
    offer(frame)
    run()
  }

  typealias Completed = CompletedFrame

  /// The descriptor, as a driver reads it.
  func completed(_ index: UInt64) -> Completed {
    let word = load(Self.receiveRing + 16 * index + 8)
    return Completed(
      data: bytes(load(Self.receiveRing + 16 * index), Int(word & 0xFFFF)),
      status: UInt8(truncatingIfNeeded: word >> 32), errors: UInt8(truncatingIfNeeded: word >> 40),
      special: UInt16(truncatingIfNeeded: word >> 48))
  }

  var stamps: [UInt64] {
    var found: [UInt64] = []
    while let stamp = wire.completed.removeFirst() { found.append(stamp.ordinal) }
    return found
  }

  // MARK: Sending

  func startSending(descriptors: Int, control: UInt32 = 1 << 1) {
    transmitCount = UInt64(descriptors)
    write(0x3800, UInt32(Self.transmitRing))
    write(0x3804, 0)
    write(0x3808, UInt32(descriptors * 16))
    write(0x3810, 0)
    write(0x3818, 0)
    write(0x0400, control)
  }

  static var endOfPacket: UInt64 { 1 << 24 }
  static var frameCheck: UInt64 { 1 << 25 }
  static var reportStatus: UInt64 { 1 << 27 }
  static var extended: UInt64 { 1 << 29 }

  /// Writes a descriptor at the tail, without telling the NIC. Returns its index.
  @discardableResult
  func describe(_ first: UInt64, _ second: UInt64) -> UInt64 {
    let index = transmitTail
    store(first, at: Self.transmitRing + 16 * index)
    store(second, at: Self.transmitRing + 16 * index + 8)
    transmitTail = (transmitTail + 1) % transmitCount
    return index
  }

  func ringDoorbell() {
    write(0x3818, UInt32(transmitTail))
    run()
  }

  /// Sends a frame with one legacy descriptor.
  @discardableResult
  func send(_ frame: [UInt8], _ command: UInt64 = NICBench.endOfPacket | NICBench.frameCheck | NICBench.reportStatus)
    -> UInt64
  {
    let address = Self.buffers + 4096 * transmitTail
    store(frame, at: address)
    let index = describe(address, UInt64(frame.count) | command)
    ringDoorbell()
    return index
  }

  /// The frames that came out, oldest first.
  func sentFrames() -> [[UInt8]] {
    var frames: [[UInt8]] = []
    while let frame = wire.fromNIC.withFirst({ span, _ in (0..<span.count).map { span[$0] } }) {
      frames.append(frame)
      wire.fromNIC.removeFirst()
    }
    return frames
  }

  func isDone(_ index: UInt64) -> Bool { load(Self.transmitRing + 16 * index + 8) >> 32 & 1 == 1 }
}

/// What a completed receive descriptor in the legacy format says.
struct CompletedFrame: Equatable {
  var data: [UInt8]
  var status: UInt8
  var errors: UInt8
  var special: UInt16
}

/// A frame to this NIC with so many bytes, all different from its neighbours.
func frame(_ length: Int, to destination: [UInt8] = Bench.macAddress, seed: UInt8 = 0) -> [UInt8] {
  var bytes = destination + [0x02, 0, 0, 0, 0, 0x01, 0x88, 0xB5]
  for index in bytes.count..<max(length, bytes.count) { bytes.append(UInt8(truncatingIfNeeded: index) &+ seed) }
  return Array(bytes[..<length])
}

/// CRC-32 of IEEE 802.3, one bit at a time: slow, and independent of the model's.
func bitwiseFrameCheckSequence(_ bytes: [UInt8]) -> [UInt8] {
  var value = UInt32.max
  for byte in bytes {
    for bit in 0..<8 {
      let isSet = (value ^ UInt32(byte) >> UInt32(bit)) & 1 == 1
      value = value >> 1 ^ (isSet ? 0xEDB8_8320 : 0)
    }
  }
  value = ~value
  return (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
}

/// The Internet checksum of a run of bytes with its checksum field taken as it is, for comparison.
func internetSum(_ bytes: some Sequence<UInt8>, plus start: UInt32 = 0) -> UInt16 {
  var sum = start
  for (index, byte) in bytes.enumerated() { sum += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
  while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
  return UInt16(sum)
}
