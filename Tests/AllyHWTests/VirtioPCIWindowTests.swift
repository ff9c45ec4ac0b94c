import AllyHW
import Testing

/// The structures of a virtio device, wherever it has them.
@Suite struct VirtioPCIWindowTests {
  private func structure(
    _ kind: VirtioPCIStructure.Kind, _ register: Int, _ offset: UInt32, _ length: UInt32, multiplier: UInt32 = 0
  ) -> VirtioPCIStructure {
    VirtioPCIStructure(
      kind: kind, capabilityOffset: 0x40, register: register, offset: offset, length: length,
      notificationMultiplier: multiplier)
  }

  @Test func eachStructureIsFound() throws {
    let window = try #require(
      VirtioPCIWindow([
        structure(.notification, 2, 0x8000, 0x400, multiplier: 0x40), structure(.device, 0, 0x100, 12),
        structure(.common, 4, 0x40, 0x38), structure(.interruptStatus, 1, 0x20, 1),
      ]))
    #expect(window.place(of: 0x14, length: 1) == .init(register: 4, offset: 0x54))
    #expect(window.place(of: 0x1000, length: 1) == .init(register: 1, offset: 0x20))
    #expect(window.place(of: 0x2008, length: 2) == .init(register: 0, offset: 0x108))
    // The address of the queue whose `queue_notify_off` is 3.
    #expect(window.place(of: 0x3000 + 3 * 4, length: 2) == .init(register: 2, offset: 0x80C0))
  }

  @Test func nothingIsBeyondAStructure() throws {
    let window = try #require(
      VirtioPCIWindow([
        structure(.common, 4, 0, 0x38), structure(.interruptStatus, 4, 0x1000, 1), structure(.device, 4, 0x2000, 12),
        structure(.notification, 4, 0x3000, 8, multiplier: 4),
      ]))
    #expect(window.place(of: 0x36, length: 2) != nil)
    #expect(window.place(of: 0x38, length: 2) == nil)
    #expect(window.place(of: 0x1000, length: 4) == nil)
    #expect(window.place(of: 0x3004, length: 2) != nil)
    #expect(window.place(of: 0x3008, length: 2) == nil)
    #expect(window.place(of: 0x4000, length: 1) == nil)
    #expect(window.place(of: .max, length: 8) == nil)
  }

  /// The device's first structure of a kind is the one that it prefers; one behind no base address register counts for nothing.
  @Test func theFirstUsableOfAKindCounts() throws {
    let rest = [
      structure(.interruptStatus, 0, 0, 4), structure(.device, 0, 0, 12),
      structure(.notification, 0, 0, 4, multiplier: 0),
    ]
    let window = try #require(
      VirtioPCIWindow(
        [structure(.common, 9, 0, 64), structure(.common, 3, 0, 64), structure(.common, 5, 0, 64)] + rest))
    #expect(window.place(of: 0, length: 4)?.register == 3)
    // With a multiplier of 0 all queues share an address.
    #expect(window.place(of: 0x3000 + 7 * 4, length: 2) == .init(register: 0, offset: 0))
    #expect(VirtioPCIWindow(rest) == nil)
    #expect(VirtioPCIWindow([]) == nil)
  }
}
