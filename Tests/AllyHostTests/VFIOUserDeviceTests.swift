import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings
import Foundation
import Testing

@testable import AllyHost

/// A guest's NIC, as its emulator's messages meet it; no socket between.
@Suite struct VFIOUserDeviceTests {
  let device: VFIOUserDevice
  let nic: any GuestDevice

  init() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "ally-\(UUID().uuidString)").path
    let model = E1000Model(
      requester: RequesterID(bus: 0, device: 0, function: 0), macAddress: [0x52, 0x54, 0, 0x12, 0x34, 0x56])
    nic = try GuestNIC<RingVirtualizer<E1000Driver>, ModelNIC<E1000Model, UplinkWire>, AcceptAll>(
      ModelNIC(model: model, line: UplinkWire(try .datagram(local: folder))), windows: [.registers, .indirect],
      inspecting: SharedInspector(AcceptAll()), settings: InterceptionSettings())
    device = VFIOUserDevice(nic)
  }

  /// Sends a message.
  ///
  /// - Returns: the reply's payload, or its error number.
  private func send(_ command: UInt16, _ payload: [UInt8], descriptors: [Int32] = []) throws -> Result<[UInt8], Refused>
  {
    let words: [UInt8] = [1, 0, UInt8(command), 0] + bytes(UInt32(16 + payload.count), 0, 0)
    let received = ReceivedDescriptors()
    received.append(descriptors[...])
    let header = try #require(VFIOUserHeader(words[...]))
    let (reply, answer) = device.answer(.init(header: header, payload: payload[...], descriptors: received))
    #expect(reply.identifier == 1 && reply.command == command && Int(reply.size) == 16 + answer.count)
    return reply.error == 0 ? .success(answer) : .failure(Refused(code: Int32(reply.error)))
  }

  struct Refused: Error, Equatable { var code: Int32 }

  private func readConfiguration(_ offset: UInt32, _ count: UInt32) throws -> [UInt8] {
    Array(try send(9, bytes(offset, 0, 7, count)).get().dropFirst(16))
  }

  private func writeConfiguration(_ offset: UInt32, _ value: UInt32) throws {
    _ = try send(10, bytes(offset, 0, 7, 4, value)).get()
  }

  private func memoryFile(bytes length: Int) -> Int32 {
    var template = Array("/tmp/ally-memory-XXXXXX".utf8CString)
    let file = unsafe mkstemp(&template)
    unsafe unlink(&template)
    #expect(ftruncate(file, off_t(length)) == 0)
    return file
  }

  private func map(_ address: UInt64, _ length: UInt64, flags: UInt32 = 3, file: Int32?, offset: UInt64 = 0) throws
    -> Result<[UInt8], Refused>
  {
    var payload = bytes(32, flags)
    for number in [offset, address, length] { payload.append(littleEndian: number) }
    return try send(2, payload, descriptors: file.map { [$0] } ?? [])
  }

  @Test func configurationSpaceIsThatOfTheModel() throws {
    #expect(try Array(readConfiguration(0, 256)[0..<4]) == [0x86, 0x80, 0x0E, 0x10])
    // 128 KiB of registers and 64 bytes of ports, by the sizing of PCI Local Bus Specification 3.0, §6.2.5.1.
    try writeConfiguration(0x10, .max)
    try writeConfiguration(0x14, .max)
    #expect(try readConfiguration(0x10, 8) == bytes(0xFFFE_0000, 0xFFFF_FFC1))
    try writeConfiguration(0, .max)
    #expect(try readConfiguration(0, 4) == [0x86, 0x80, 0x0E, 0x10])
  }

  @Test func registersAreReachedThroughPortsToo() throws {
    // The pass-through register FCAL at 0x28, written through the ports and read in memory.
    _ = try send(10, bytes(0, 0, 1, 4, 0x28)).get()
    _ = try send(10, bytes(4, 0, 1, 4, 0xC2_8001)).get()
    #expect(Array(try send(9, bytes(0x28, 0, 0, 4)).get().dropFirst(16)) == bytes(0xC2_8001))
    // An intercepted one: what the guest reads is the shadow.
    _ = try send(10, bytes(0, 0, 1, 4, 0x3800)).get()
    _ = try send(10, bytes(4, 0, 1, 4, 0x1234_5670)).get()
    #expect(Array(try send(9, bytes(0x3800, 0, 0, 4)).get().dropFirst(16)) == bytes(0x1234_5670))
  }

  @Test func accessesOutsideARegionAreRefused() throws {
    #expect(try send(9, bytes(0x1_FFFE, 0, 0, 4)) == .failure(Refused(code: EINVAL)))
    #expect(try send(9, bytes(.max, .max, 0, 4)) == .failure(Refused(code: EINVAL)))
    #expect(try send(9, bytes(0, 0, 6, 4)) == .failure(Refused(code: EINVAL)))
    #expect(try send(9, bytes(0, 0, 0, 3)) == .failure(Refused(code: EINVAL)))
    #expect(try send(10, bytes(252, 0, 7, 8, 0, 0)) == .failure(Refused(code: EINVAL)))
  }

  @Test func guestMemoryComesAndGoes() throws {
    let before = nic.withMemory { $0.segmentCount }
    #expect(try map(0x10_0000, 0x2000, file: memoryFile(bytes: 0x3000), offset: 0x1000) == .success([]))
    #expect(nic.withMemory { $0.store(UInt64(7), at: PhysicalAddress(0x10_1000)) })
    // Read-only, and not shared at all.
    #expect(try map(0x20_0000, 0x1000, flags: 1, file: memoryFile(bytes: 0x1000)) == .success([]))
    #expect(try map(0x30_0000, 0x1000, flags: 1, file: nil) == .success([]))
    nic.withMemory { memory in
      let readOnly = memory.load(UInt64.self, at: PhysicalAddress(0x20_0000))
      let isStored = memory.store(UInt64(7), at: PhysicalAddress(0x20_0000))
      let notShared = memory.load(UInt64.self, at: PhysicalAddress(0x30_0000))
      #expect(readOnly == 0)
      #expect(!isStored)
      #expect(notShared == nil)
    }
    #expect(try send(3, bytes(24, 0, 0x10_0000, 0, 0x1000, 0)) == .failure(Refused(code: ENOENT)))
    for (address, length) in [(0x10_0000, 0x2000), (0x20_0000, 0x1000), (0x30_0000, 0x1000)] as [(UInt32, UInt32)] {
      #expect(throws: Never.self) { try send(3, bytes(24, 0, address, 0, length, 0)).get() }
    }
    #expect(nic.withMemory { $0.segmentCount } == before)
    #expect(nic.withMemory { $0.load(UInt64.self, at: PhysicalAddress(0x10_1000)) } == nil)
  }

  @Test func memoryThatCannotBeIsRefused() throws {
    #expect(try map(0x10_0000, 0x2000, file: memoryFile(bytes: 0x2000)) == .success([]))
    #expect(try map(0x10_1000, 0x2000, file: memoryFile(bytes: 0x2000)) == .failure(Refused(code: EEXIST)))
    #expect(try map(0x0F_F000, 0x2000, file: nil) == .failure(Refused(code: EEXIST)))
    // Beyond its file, at DPI memory, around the end, of no length, not of pages.
    #expect(try map(0x20_0000, 0x2000, file: memoryFile(bytes: 0x1000)) == .failure(Refused(code: ENOMEM)))
    #expect(try map(nic.endOfGuestMemory, 0x1000, file: nil) == .failure(Refused(code: EINVAL)))
    #expect(try map(.max - 0xFFF, 0x2000, file: nil) == .failure(Refused(code: EINVAL)))
    #expect(try map(0x20_0000, 0, file: nil) == .failure(Refused(code: EINVAL)))
    #expect(try map(0x20_0010, 0x1000, file: nil) == .failure(Refused(code: EINVAL)))
  }

  @Test func aClientThatGoesLeavesNothing() throws {
    _ = try map(0x10_0000, 0x2000, file: memoryFile(bytes: 0x2000)).get()
    try writeConfiguration(0x10, 0xFEB0_0000)
    device.disconnect()
    #expect(nic.withMemory { $0.load(UInt64.self, at: PhysicalAddress(0x10_0000)) } == nil)
    #expect(try readConfiguration(0x10, 4) == [0, 0, 0, 0])
  }

  /// The pin interrupts once, masks itself, and again when the client takes the mask away while the level is still high.
  @Test func thePinMasksItself() throws {
    var ends: [Int32] = [0, 0]
    #expect(unsafe pipe(&ends) == 0)
    defer { close(ends[0]) }
    _ = try send(8, bytes(20, 0x24, 0, 0, 1), descriptors: [ends[1]]).get()
    // All causes may interrupt, and one is raised: IMS and ICS of the 82540EM.
    _ = try send(10, bytes(0xD0, 0, 0, 4, 0xFF)).get()
    _ = try send(10, bytes(0xC8, 0, 0, 4, 0x04)).get()
    for _ in 0..<3 { device.hear(at: 1) }
    #expect(interrupts(ends[0]) == 1)
    _ = try send(8, bytes(20, 0x11, 0, 0, 1)).get()
    #expect(interrupts(ends[0]) == 1)
    // The guest reads ICR, which clears it: no more.
    _ = try send(9, bytes(0xC0, 0, 0, 4)).get()
    device.hear(at: 2)
    _ = try send(8, bytes(20, 0x11, 0, 0, 1)).get()
    #expect(interrupts(ends[0]) == 0)
  }

  /// How many 8-byte ones were written to the pipe that stands for an eventfd.
  private func interrupts(_ end: Int32) -> Int {
    _ = fcntl(end, F_SETFL, O_NONBLOCK)
    var buffer = [UInt8](repeating: 0, count: 64)
    return max(0, unsafe read(end, &buffer, buffer.count)) / 8
  }
}
