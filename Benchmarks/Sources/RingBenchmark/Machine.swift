import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// How many frames the driver, the virtualizer and the NIC handle in one go.
let batch: UInt32 = 32

/// Descriptors per queue, as stock drivers have by default.
let descriptors: UInt32 = 256

/// The length of each frame in bytes.
let frameLength: UInt64 = 64

/// OS memory with a queue at its start and buffers behind it, DPI memory above. It lives as
/// long as the process does.
@safe
struct Machine: ~Copyable {
  var memory = PhysicalMemory()
  let partition: Partition
  @unsafe let osQueue: UnsafeMutablePointer<(UInt64, UInt64)>
  let region: DPIRegion
  let buffers: UInt64 = 0x10_0000

  init(dpiLength: UInt64 = 0x100_0000) {
    let size = 0x100_0000
    let base = PhysicalAddress(UInt64(size))
    region = DPIRegion(base: base, length: dpiLength)
    partition = Partition(boundary: base, end: base.advanced(by: dpiLength))
    let os = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    let dpi = UnsafeMutableRawPointer.allocate(byteCount: Int(dpiLength), alignment: 4096)
    unsafe os.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    unsafe dpi.initializeMemory(as: UInt8.self, repeating: 0, count: Int(dpiLength))
    do {
      try unsafe memory.map(base: PhysicalAddress(0), length: UInt64(size), storage: os, rights: .readWrite)
      try unsafe memory.map(
        base: base, length: dpiLength, storage: dpi, rights: .readWrite)
    } catch {
      fatalError("the benchmark's memory cannot be mapped: \(error)")
    }
    unsafe self.osQueue = os.assumingMemoryBound(to: (UInt64, UInt64).self)
  }

  /// The queue as a driver would program it.
  var programmed: ProgrammedQueue {
    ProgrammedQueue(
      base: BusAddress(0), byteLength: descriptors * 16, head: 0, tail: 0, isEnabled: true, bufferLength: 2048,
      trailerLength: 4)
  }

  /// Where a queue lies in this process: the NIC's view of it.
  @unsafe
  func place(of queue: DescriptorQueue) -> UnsafeMutablePointer<(UInt64, UInt64)> {
    guard
      let place = unsafe memory.pointer(at: queue.base, length: UInt64(queue.count) * 16, for: .readWrite)
    else { fatalError("the queue is not in memory") }
    return unsafe place.assumingMemoryBound(to: (UInt64, UInt64).self)
  }
}
