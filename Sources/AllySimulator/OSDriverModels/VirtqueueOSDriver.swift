internal import AllyHW

/// The driver's half of a virtqueue, split or packed (virtio 1.2, §2.7 and §2.8). Buffers have numbers below the queue's size.
struct VirtqueueOSDriver {
  // The three parts, from the base.
  static let driverArea: UInt64 = 0x6000
  static let deviceArea: UInt64 = 0x8000

  let base: PhysicalAddress
  let size: UInt32
  let isPacked: Bool
  /// Split: numbers that run on. Packed: places.
  private var next: UInt32 = 0
  private var nextUsed: UInt32 = 0
  private var wrap = true
  private var usedWrap = true
  /// Descriptors that each buffer takes; 0 for one that the device does not have.
  private var descriptors: [UInt32]
  private var free: UInt32
  /// Split: the first free descriptor, and after each the next.
  private var freeHead: UInt32 = 0
  private var links: [UInt32]
  /// Split: which buffer a head descriptor is of.
  private var numbers: [UInt16]

  init(base: PhysicalAddress, size: UInt32, isPacked: Bool) {
    self.base = base
    self.size = size
    self.isPacked = isPacked
    descriptors = [UInt32](repeating: 0, count: Int(size))
    free = size
    links = (0..<size).map { ($0 + 1) % size }
    numbers = [UInt16](repeating: 0, count: Int(size))
  }

  /// Buffers that the device has.
  var buffersInUse: UInt32 { UInt32(descriptors.count { $0 > 0 }) }

  mutating func reset<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    self = VirtqueueOSDriver(base: base, size: size, isPacked: isPacked)
    for offset in stride(from: 0, to: UInt64(0x1_0000), by: 8) { environment.store(0, at: base.advanced(by: offset)) }
  }

  /// A buffer that the device does not have; nil when it has all, or too few descriptors are free.
  func freeNumber(descriptors needed: UInt32) -> UInt16? {
    guard needed <= free, let index = descriptors.firstIndex(of: 0) else { return nil }
    return UInt16(index)
  }

  private func load16<Environment: OSEnvironment & ~Copyable>(
    _ offset: UInt64, _ environment: inout Environment
  ) -> UInt16 {
    UInt16(truncatingIfNeeded: environment.load(base.advanced(by: offset & ~7)) >> (8 * (offset & 7)))
  }

  /// Only the driver writes to the word that this is in.
  private func store16<Environment: OSEnvironment & ~Copyable>(
    _ value: UInt32, at offset: UInt64, _ environment: inout Environment
  ) {
    let shift = 8 * (offset & 7)
    let word = environment.load(base.advanced(by: offset & ~7)) & ~(0xFFFF << shift)
    environment.store(word | UInt64(value & 0xFFFF) << shift, at: base.advanced(by: offset & ~7))
  }

  /// The device reads the parts before `writableFrom`, and may write those from there on.
  mutating func post<Environment: OSEnvironment & ~Copyable>(
    _ number: UInt16, _ parts: [(UInt64, UInt32)], writableFrom: Int = .max, isIndirect: Bool = false,
    on environment: inout Environment
  ) {
    descriptors[Int(number)] = UInt32(parts.count)
    free -= UInt32(parts.count)
    let kind = { (index: Int) in (index >= writableFrom ? 2 : 0) | (isIndirect ? 4 : 0) as UInt64 }
    if isPacked {
      var words: [(PhysicalAddress, UInt64)] = []
      for (index, part) in parts.enumerated() {
        let owner: UInt64 = wrap ? 1 << 7 : 1 << 15
        let flags = owner | kind(index) | (index < parts.count - 1 ? 1 : 0)
        let place = base.advanced(by: 16 * UInt64(next))
        environment.store(part.0, at: place)
        words.append((place.advanced(by: 8), UInt64(part.1) | UInt64(number) << 32 | flags << 48))
        next += 1
        if next == size {
          next = 0
          wrap.toggle()
        }
      }
      // The first descriptor's flags make the chain available, so they come last.
      for (place, word) in words.reversed() { environment.store(word, at: place) }
      return
    }
    let head = freeHead
    for (index, part) in parts.enumerated() {
      let isLast = index == parts.count - 1
      let place = base.advanced(by: 16 * UInt64(freeHead))
      let following = links[Int(freeHead)]
      environment.store(part.0, at: place)
      let flags = kind(index) | (isLast ? 0 : 1)
      environment.store(UInt64(part.1) | flags << 32 | UInt64(following) << 48, at: place.advanced(by: 8))
      freeHead = following
    }
    numbers[Int(head)] = number
    store16(head, at: Self.driverArea + 4 + 2 * UInt64(next % size), &environment)
    next = (next + 1) & 0xFFFF
    store16(next, at: Self.driverArea + 2, &environment)
  }

  /// The next buffer that the device has used; its number is nil when the device did not have it. Nil when there is none.
  mutating func takeUsed<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment
  ) -> (number: UInt16?, length: UInt32)? {
    if isPacked {
      let word = environment.load(base.advanced(by: 16 * UInt64(nextUsed) + 8))
      guard (word >> 55 & 1 == 1) == usedWrap, (word >> 63 == 1) == usedWrap else { return nil }
      let number = UInt16(truncatingIfNeeded: word >> 32)
      let length = UInt32(truncatingIfNeeded: word)
      guard UInt32(number) < size, descriptors[Int(number)] > 0 else {
        advanceUsed(by: 1)
        return (nil, length)
      }
      advanceUsed(by: descriptors[Int(number)])
      release(number)
      return (number, length)
    }
    guard UInt32(load16(Self.deviceArea + 2, &environment)) != nextUsed else { return nil }
    let element = Self.deviceArea + 4 + 8 * UInt64(nextUsed % size)
    let head = UInt32(load16(element, &environment)) | UInt32(load16(element + 2, &environment)) << 16
    let length = UInt32(load16(element + 4, &environment)) | UInt32(load16(element + 6, &environment)) << 16
    nextUsed = (nextUsed + 1) & 0xFFFF
    guard head < size else { return (nil, length) }
    let number = numbers[Int(head)]
    guard descriptors[Int(number)] > 0 else { return (nil, length) }
    var last = head
    for _ in 1..<max(descriptors[Int(number)], 1) { last = links[Int(last)] }
    links[Int(last)] = freeHead
    freeHead = head
    release(number)
    return (number, length)
  }

  private mutating func advanceUsed(by count: UInt32) {
    nextUsed += count
    guard nextUsed >= size else { return }
    nextUsed -= size
    usedWrap.toggle()
  }

  private mutating func release(_ number: UInt16) {
    free += descriptors[Int(number)]
    descriptors[Int(number)] = 0
  }

  /// Wants an interrupt at the next used buffer.
  func askForInterrupt<Environment: OSEnvironment & ~Copyable>(
    hasEventIndex: Bool, on environment: inout Environment
  ) {
    if isPacked {
      store16(nextUsed | (usedWrap ? 1 << 15 : 0), at: Self.driverArea, &environment)
      store16(hasEventIndex ? 2 : 0, at: Self.driverArea + 2, &environment)
    } else if hasEventIndex {
      store16(nextUsed, at: Self.driverArea + 4 + 2 * UInt64(size), &environment)
    } else {
      store16(0, at: Self.driverArea, &environment)
    }
  }
}
