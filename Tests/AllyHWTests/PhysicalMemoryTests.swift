import AllyHW
import Testing

@Suite("Physical memory and its partition")
struct PhysicalMemoryTests {
  @Test("lookups need one segment that holds every byte and allows the access")
  func lookups() throws {
    let storage = UnsafeMutableRawPointer.allocate(byteCount: 0x3000, alignment: 4096)
    defer { unsafe storage.deallocate() }
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: 0x3000)
    var memory = PhysicalMemory()
    try unsafe memory.map(
      base: PhysicalAddress(0x4000), length: 0x1000, storage: storage + 0x1000, rights: .readWrite)
    try unsafe memory.map(base: PhysicalAddress(0x1000), length: 0x1000, storage: storage, rights: .readWrite)
    try unsafe memory.map(base: PhysicalAddress(0x5000), length: 0x1000, storage: storage + 0x2000, rights: .read)
    #expect(memory.segmentCount == 3)

    #expect(memory.store(UInt32(7), at: PhysicalAddress(0x1FFC)) == true)
    #expect(memory.load(UInt32.self, at: PhysicalAddress(0x1FFC)) == 7)
    #expect(memory.load(UInt32.self, at: PhysicalAddress(0x1FFD)) == nil)
    #expect(memory.load(UInt32.self, at: PhysicalAddress(0xFFF)) == nil)
    #expect(memory.load(UInt32.self, at: PhysicalAddress(.max)) == nil)
    // From one segment into the next, though both are there.
    #expect(memory.load(UInt32.self, at: PhysicalAddress(0x4FFE)) == nil)
    #expect(memory.load(UInt32.self, at: PhysicalAddress(0x5000)) == 0)
    #expect(memory.store(UInt32(7), at: PhysicalAddress(0x5000)) == false)
  }

  @Test("segments do not overlap, and the table is bounded")
  func errors() throws {
    let storage = UnsafeMutableRawPointer.allocate(byteCount: 0x3000, alignment: 4096)
    defer { unsafe storage.deallocate() }
    var memory = PhysicalMemory(capacity: 2)
    func map(_ base: UInt64, _ length: UInt64) -> PhysicalMemoryError? {
      do {
        try unsafe memory.map(base: PhysicalAddress(base), length: length, storage: storage, rights: .read)
        return nil
      } catch { return error }
    }
    #expect(map(0x1000, 0) == .emptyOrWrapping)
    #expect(map(.max, 2) == .emptyOrWrapping)
    #expect(map(0x1000, 0x1000) == nil)
    #expect(map(0x1FFF, 1) == .overlaps)
    #expect(map(0x800, 0x801) == .overlaps)
    #expect(map(0x2000, 0x1000) == nil)
    #expect(map(0x3000, 0x1000) == .full)
    let generation = memory.generation
    #expect(throws: PhysicalMemoryError.notMapped) { try memory.unmap(base: PhysicalAddress(0x1000), length: 1) }
    try memory.unmap(base: PhysicalAddress(0x1000), length: 0x1000)
    #expect(memory.generation > generation)
    #expect(memory.load(UInt8.self, at: PhysicalAddress(0x1000)) == nil)
  }

  @Test("the boundary: the byte before it is the OS's, a range that reaches it is not")
  func partition() {
    let partition = Partition(boundary: PhysicalAddress(0x1000), end: PhysicalAddress(0x2000))
    #expect(!partition.isDPI(PhysicalAddress(0xFFF)))
    #expect(partition.isDPI(PhysicalAddress(0x1000)))
    #expect(partition.isDPI(PhysicalAddress(0x1FFF)))
    #expect(!partition.isDPI(PhysicalAddress(0x2000)))
    #expect(!partition.touchesDPI(PhysicalAddress(0xFF0), length: 16))
    #expect(partition.touchesDPI(PhysicalAddress(0xFF0), length: 17))
    #expect(!partition.touchesDPI(PhysicalAddress(0x1800), length: 0))
    #expect(!partition.touchesDPI(PhysicalAddress(0x2000), length: 1))
    #expect(partition.touchesDPI(PhysicalAddress(.max), length: 2))
  }
}
