@testable internal import AllyHost
internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import Glibc

/// A guest's NIC under a client that may send any messages, in any order, as far as they are messages: each begins with a byte
/// that says what descriptors come with it, its command and its length. Memory that it lends it may cut short.
struct VFIOUserTarget: FuzzTarget {
  static let name = "vfio-user"

  /// Memory that the client lends, and what is no memory.
  private let memory: Int32
  private let other: Int32
  private static let memoryLength: off_t = 0x4_0000

  init() throws {
    try MappedMemory.beginGuarding()
    var template = Array("/tmp/ally-fuzz-XXXXXX".utf8CString)
    memory = unsafe mkstemp(&template)
    unsafe unlink(&template)
    other = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
    require(memory >= 0 && other >= 0, "the descriptors to lend can be made")
  }

  /// What comes with a message: nothing most often; memory; something else; several of both.
  private func descriptors(_ choice: UInt8) -> ReceivedDescriptors {
    let received = ReceivedDescriptors()
    let lent: [Int32] =
      switch choice & 15 {
      case 0...5: []
      case 6...11: [memory]
      case 12: [other]
      case 13: [memory, other]
      default: Array(repeating: other, count: Int(choice >> 4) * 2)
      }
    received.append(lent.map { dup($0) }[...])
    return received
  }

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let limits = RingLimits(maximumDescriptors: 64, maximumFrameLength: 16_384, copyMemory: 1 << 16)
    let model = E1000Model(
      requester: RequesterID(bus: 0, device: 0, function: 0), macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56])
    let made = try? GuestNIC<RingVirtualizer<E1000Driver>, ModelNIC<E1000Model, LoopLine>, AcceptAll>(
      ModelNIC(model: model, line: LoopLine()), windows: [.registers, .indirect],
      inspecting: SharedInspector(AcceptAll()), settings: InterceptionSettings(limits: limits))
    guard let nic = made else { fatalError("the guest's NIC cannot be made") }
    let device = VFIOUserDevice(nic)
    var now: UInt64 = 0
    _ = ftruncate(memory, Self.memoryLength)
    for _ in 0..<256 where !input.isEmpty {
      let lends = input.byte()
      if lends == 0xFF { _ = ftruncate(memory, off_t(input.byte()) << 10) }
      let command = UInt16(input.byte())
      let payload = input.take(Int(input.byte()))
      var bytes: [UInt8] = []
      bytes.append(littleEndian: 1 as UInt16)
      bytes.append(littleEndian: command)
      bytes.append(littleEndian: UInt32(16 + payload.count))
      bytes.append(littleEndian: 0 as UInt64)
      guard let header = VFIOUserHeader(bytes[...]) else { fatalError("a header of 16 bytes is none") }
      let message = VFIOUserConnection.Message(
        header: header, payload: payload[...], descriptors: descriptors(lends))
      let (reply, words) = device.answer(message)
      require(Int(reply.size) == VFIOUserHeader.byteCount + words.count, "a reply says a wrong length")
      require(reply.error == 0 || words.isEmpty, "an error carries words")
      now += 1_000_000
      device.hear(at: now)
      _ = device.work(at: now)
    }
    device.disconnect()
  }
}
