internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
@testable internal import AllyHost
internal import AllyPacket
internal import AllyRings
internal import Glibc

/// A guest's virtio network device under a front end that may send any messages, in any order, with memory and event
/// descriptors, and under a guest that writes anything into the memory that it shares.
///
/// Nothing traps, replies are as long as they say, and no byte of DPI memory reaches the guest.
struct VhostUserTarget: FuzzTarget {
  static let name = "vhost-user"
  private static let memoryLength = 1 << 16

  init() {}

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let limits = RingLimits(maximumDescriptors: 64, maximumFrameLength: 16_384, copyMemory: 1 << 16)
    let model = VirtioNetModel(
      requester: RequesterID(bus: 0, device: 0, function: 0), macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
      queuePairs: 2, queueSize: 64)
    typealias NIC = GuestNIC<VirtqueueVirtualizer<VirtioNetDriver>, ModelNIC<VirtioNetModel, LoopLine>, AcceptAll>
    let made = try? NIC(
      ModelNIC(model: model, line: LoopLine()), windows: [.empty, .empty, .empty, .empty, .registers],
      inspecting: SharedInspector(AcceptAll()), settings: InterceptionSettings(limits: limits))
    guard let nic = made, let device = try? VhostUserDevice(nic) else { fatalError("the device cannot be made") }
    var template = Array("/tmp/ally-fuzz-XXXXXX".utf8CString)
    let file = unsafe mkstemp(&template)
    unsafe unlink(&template)
    ftruncate(file, off_t(Self.memoryLength))
    let quiet = unsafe open("/dev/null", O_RDWR | O_NONBLOCK)
    defer {
      close(file)
      close(quiet)
    }
    var now: UInt64 = 0
    for _ in 0..<256 where !input.isEmpty {
      let choice = input.byte()
      if choice & 1 == 1 {
        // The guest stores eight bytes somewhere.
        let place = UInt64(input.byte()) << 8 | UInt64(input.byte())
        let value = input.take(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        nic.withMemory { _ = $0.store(value, at: PhysicalAddress(place & ~7)) }
      } else {
        let received = ReceivedDescriptors()
        for _ in 0..<Int(choice >> 1 & 3) {
          received.append([dup(choice & 8 == 0 ? file : quiet)])
        }
        let request = UInt32(input.byte())
        let payload = input.take(Int(input.byte()))
        var bytes: [UInt8] = []
        bytes.append(littleEndian: request)
        bytes.append(littleEndian: choice & 16 == 0 ? 1 : 9 as UInt32)
        bytes.append(littleEndian: UInt32(payload.count))
        guard let header = VhostUserHeader(bytes[...]) else { fatalError("a header of 12 bytes is none") }
        let message = VhostUserConnection.Message(header: header, payload: payload[...], descriptors: received)
        do {
          if let (reply, words) = try device.reply(to: message) {
            require(Int(reply.size) == words.count, "a reply says a wrong length")
          }
        } catch {
          device.disconnect()
        }
      }
      now += 1_000_000
      _ = device.work(at: now)
    }
    device.disconnect()
    require(nic.withMemory { $0.load(UInt64.self, at: PhysicalAddress(0)) } == nil, "memory of a client that is gone")
  }
}
