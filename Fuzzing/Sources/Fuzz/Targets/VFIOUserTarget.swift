@testable internal import AllyHost
internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
internal import AllyPacket
internal import AllyRings

/// A guest's NIC under a client that may send any messages, in any order, as far as they are messages: each begins with its
/// command and its length.
struct VFIOUserTarget: FuzzTarget {
  static let name = "vfio-user"

  init() {}

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
    for _ in 0..<256 where !input.isEmpty {
      let command = UInt16(input.byte())
      let payload = input.take(Int(input.byte()))
      var bytes: [UInt8] = []
      bytes.append(littleEndian: 1 as UInt16)
      bytes.append(littleEndian: command)
      bytes.append(littleEndian: UInt32(16 + payload.count))
      bytes.append(littleEndian: 0 as UInt64)
      guard let header = VFIOUserHeader(bytes[...]) else { fatalError("a header of 16 bytes is none") }
      let message = VFIOUserConnection.Message(
        header: header, payload: payload[...], descriptors: ReceivedDescriptors())
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
