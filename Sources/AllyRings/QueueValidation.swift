public import AllyHW

extension DescriptorQueue {
  /// Checks a queue that the OS has programmed; the one place where its registers are believed or not.
  ///
  /// - Parameter stride: a descriptor's size in bytes.
  @usableFromInline
  static func validated(
    _ programmed: ProgrammedQueue, rules: QueueRules, limits: RingLimits, stride: Int,
    memory: borrowing PhysicalMemory, partition: Partition
  ) throws(RingFault) -> DescriptorQueue {
    guard programmed.hasKnownFormat else { throw .descriptorFormat }
    let length = programmed.byteLength
    let count = length / UInt32(stride)
    guard length > 0, length % rules.lengthMultiple == 0, length % UInt32(stride) == 0,
      count > 1, count <= limits.maximumDescriptors, programmed.bufferLength <= limits.maximumBufferLength
    else { throw .queueLength }
    guard programmed.base.rawValue % max(rules.baseAlignment, 8) == 0 else { throw .queueMisaligned }
    let base = PhysicalAddress(programmed.base.rawValue)
    guard !partition.touchesDPI(base, length: UInt64(length)) else { throw .queueInDPIMemory }
    guard let place = unsafe memory.pointer(at: base, length: UInt64(length), for: .readWrite) else {
      throw .queueAbsent
    }
    guard UInt(bitPattern: place) % 8 == 0 else { throw .queueMisaligned }
    guard programmed.head < count else { throw .headOutOfRange }
    return DescriptorQueue(base: base, count: count, start: programmed.head)
  }
}

extension RingFault: Error {}

/// Whether a format can be loaded 64 bits at a time.
@usableFromInline
func isUsable<Format: Descriptor>(_ format: Format.Type) -> Bool {
  let size = MemoryLayout<Format>.size
  return size > 0 && size % 8 == 0 && size == MemoryLayout<Format>.stride && MemoryLayout<Format>.alignment <= 8
    && size <= 256 && Format.ownershipWordOffset >= 0 && Format.ownershipWordOffset % 8 == 0
    && Format.ownershipWordOffset < size
}
