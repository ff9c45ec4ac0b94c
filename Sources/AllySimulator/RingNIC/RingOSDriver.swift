public import AllyHW
internal import AllyRings

/// An OS's driver for any NIC with one receive and one transmit ring, made from its description: rings, interrupt handler and
/// transmission as a plain driver does them, through registers and memory only.
public struct RingOSDriver<Description: RingNICDescription>: OSDriverModel, ~Copyable {
  /// What the driver counted, as `ip -s link` would show it.
  public struct Counters: Sendable, Equatable {
    public var framesReceived: UInt64 = 0
    /// Frames whose descriptors said that they are damaged: discarded, their buffers reused.
    public var receiveErrors: UInt64 = 0
    public var framesSent: UInt64 = 0
    public var interrupts: UInt64 = 0
    /// Interrupts whose cause register was empty.
    public var spuriousInterrupts: UInt64 = 0
  }

  /// Descriptors of each ring.
  public let descriptors: UInt32
  public private(set) var counters = Counters()
  public private(set) var completions: UInt64 = 0
  private let base: PhysicalAddress
  private let layout: RingNICRegisters
  private var nextToClean: UInt32 = 0
  private var nextToSend: UInt32 = 0
  private var nextToReclaim: UInt32 = 0
  /// The last descriptors of the frames that have been posted, oldest first.
  private var frameEnds: [UInt32] = []
  /// The frame whose descriptors come in, until its last.
  private var frame: [UInt8] = []
  private var frameIsDamaged = false

  /// - Parameters:
  ///   - base: where the driver has its rings and buffers: a multiple of 4,096.
  ///   - descriptors: of each ring; 32 wrap around often.
  public init(base: PhysicalAddress = MachineLayout.driverMemory, descriptors: UInt32 = 32) {
    precondition(descriptors >= 8, "a ring has eight descriptors at least")
    self.base = base
    self.descriptors = descriptors
    layout = Description.registers
  }

  // MARK: Memory

  private typealias Receive = Description.Receive
  private typealias Transmit = Description.Transmit

  private static func pages(_ length: UInt64) -> UInt64 { (length + 0xFFF) & ~0xFFF }
  private static var bufferStride: UInt64 { (UInt64(Description.bufferLength) + 0x7F) & ~0x7F }

  private var transmitRing: PhysicalAddress {
    base.advanced(by: Self.pages(UInt64(descriptors) * UInt64(MemoryLayout<Receive>.stride)))
  }
  private var buffers: PhysicalAddress {
    transmitRing.advanced(by: Self.pages(UInt64(descriptors) * UInt64(MemoryLayout<Transmit>.stride)))
  }
  public var memoryByteCount: UInt64 {
    Self.pages(buffers.rawValue + 2 * UInt64(descriptors) * Self.bufferStride - base.rawValue)
  }
  private func receiveBuffer(_ slot: UInt32) -> PhysicalAddress {
    buffers.advanced(by: UInt64(slot) * Self.bufferStride)
  }
  private func transmitBuffer(_ slot: UInt32) -> PhysicalAddress { receiveBuffer(descriptors + slot) }
  private func next(_ slot: UInt32) -> UInt32 { slot + 1 == descriptors ? 0 : slot + 1 }

  private func place<Format: Descriptor>(_ slot: UInt32, _ ring: PhysicalAddress, _ format: Format.Type)
    -> PhysicalAddress
  {
    ring.advanced(by: UInt64(slot) * UInt64(MemoryLayout<Format>.stride))
  }

  private func load<Format: Descriptor, Environment: OSEnvironment & ~Copyable>(
    _ format: Format.Type, _ slot: UInt32, of ring: PhysicalAddress, _ environment: inout Environment
  ) -> Format {
    let place = place(slot, ring, format)
    var descriptor = Format()
    // A word at a time, of as many as the format has.
    unsafe withUnsafeMutableBytes(of: &descriptor) { bytes in
      for offset in stride(from: 0, to: bytes.count, by: 8) {
        let word = environment.load(place.advanced(by: UInt64(offset)))
        unsafe bytes.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
      }
    }
    return descriptor
  }

  private func store<Format: Descriptor, Environment: OSEnvironment & ~Copyable>(
    _ descriptor: Format, _ slot: UInt32, of ring: PhysicalAddress, _ environment: inout Environment
  ) {
    let place = place(slot, ring, Format.self)
    for (offset, word) in Self.words(descriptor) {
      environment.store(word, at: place.advanced(by: UInt64(offset)))
    }
  }

  /// The words of a descriptor with their offsets, the one with the ownership bit last.
  private static func words<Format: Descriptor>(_ descriptor: Format) -> [(offset: Int, word: UInt64)] {
    let words = unsafe withUnsafeBytes(of: descriptor) { bytes in
      stride(from: 0, to: bytes.count, by: 8).map {
        (offset: $0, word: unsafe bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self))
      }
    }
    return words.filter { $0.offset != Format.ownershipWordOffset }
      + words.filter { $0.offset == Format.ownershipWordOffset }
  }

  // MARK: Bring-up

  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress: UInt64, on environment: inout Environment
  ) {
    environment.writeRegister(layout.mask, 0)
    environment.writeRegister(layout.reset, layout.resetBit)
    _ = environment.readRegister(layout.cause)
    (nextToClean, nextToSend, nextToReclaim) = (0, 0, 0)
    frameEnds.removeAll(keepingCapacity: true)
    frame.removeAll(keepingCapacity: true)
    frameIsDamaged = false
    for slot in 0..<descriptors {
      store(Receive(offering: BusAddress(receiveBuffer(slot).rawValue)), slot, of: base, &environment)
      store(Transmit(), slot, of: transmitRing, &environment)
    }
    program(layout.receive, base, MemoryLayout<Receive>.stride, on: &environment)
    program(layout.transmit, transmitRing, MemoryLayout<Transmit>.stride, on: &environment)
    environment.writeRegister(layout.receive.tail, descriptors - 1)
    environment.writeRegister(layout.mask, layout.received | layout.sent)
  }

  private func program<Environment: OSEnvironment & ~Copyable>(
    _ ring: RingRegisters.Layout, _ place: PhysicalAddress, _ stride: Int, on environment: inout Environment
  ) {
    environment.writeRegister(ring.base, UInt32(truncatingIfNeeded: place.rawValue))
    environment.writeRegister(ring.base + 4, UInt32(truncatingIfNeeded: place.rawValue >> 32))
    environment.writeRegister(ring.length, descriptors * UInt32(stride))
    environment.writeRegister(ring.head, 0)
    environment.writeRegister(ring.tail, 0)
    let control = environment.readRegister(ring.control)
    environment.writeRegister(ring.control, control | ring.enable)
  }

  // MARK: Receiving

  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    counters.interrupts += 1
    guard environment.readRegister(layout.cause) != 0 else {
      counters.spuriousInterrupts += 1
      return false
    }
    poll(on: &environment, deliver: deliver)
    reclaim(on: &environment)
    return true
  }

  private mutating func poll<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) {
    var cleaned = 0
    // One round of the ring at the most.
    for _ in 0..<descriptors {
      let descriptor = load(Receive.self, nextToClean, of: base, &environment)
      guard descriptor.isCompleted else { break }
      for (_, word) in Self.words(descriptor) { completions = (completions ^ word) &* 0x9E37_79B9_7F4A_7C15 }
      let length = Int(min(descriptor.completedLength, Description.bufferLength))
      if !environment.read(receiveBuffer(nextToClean), count: length, into: &frame)
        || descriptor.completion.isDamaged
      {
        frameIsDamaged = true
      }
      if descriptor.endsFrame { finishFrame(deliver: deliver) }
      store(Receive(offering: BusAddress(receiveBuffer(nextToClean).rawValue)), nextToClean, of: base, &environment)
      nextToClean = next(nextToClean)
      cleaned += 1
    }
    guard cleaned > 0 else { return }
    // All but one: head and tail equal would mean none.
    environment.writeRegister(layout.receive.tail, nextToClean == 0 ? descriptors - 1 : nextToClean - 1)
  }

  private mutating func finishFrame(deliver: (RawSpan) -> Void) {
    if frameIsDamaged || frame.isEmpty {
      counters.receiveErrors += 1
    } else {
      counters.framesReceived += 1
      // Bytes of initialized integers: any of them may be read raw.
      unsafe deliver(frame.span.bytes)
    }
    frame.removeAll(keepingCapacity: true)
    frameIsDamaged = false
  }

  // MARK: Sending

  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    let piece = Int(Description.bufferLength)
    let needed = (bytes.byteCount + piece - 1) / piece
    let inUse = Int((nextToSend + descriptors - nextToReclaim) % descriptors)
    guard needed > 0, needed < Int(descriptors) - inUse else { return false }
    for index in 0..<needed {
      let part = (index * piece)..<min((index + 1) * piece, bytes.byteCount)
      let request = TransmitRequest(
        buffer: BusAddress(transmitBuffer(nextToSend).rawValue), length: UInt32(part.count),
        endsFrame: index == needed - 1, reportsCompletion: index == needed - 1)
      guard let descriptor = Transmit(request),
        environment.write(bytes.extracting(part), to: transmitBuffer(nextToSend))
      else { return false }
      store(descriptor, nextToSend, of: transmitRing, &environment)
      if index == needed - 1 { frameEnds.append(nextToSend) }
      nextToSend = next(nextToSend)
    }
    counters.framesSent += 1
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(layout.transmit.tail, nextToSend)
  }

  /// Takes back the descriptors of frames whose last one is done, which is the one that reports.
  private mutating func reclaim<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    while let last = frameEnds.first {
      guard load(Transmit.self, last, of: transmitRing, &environment).isCompleted else { return }
      frameEnds.removeFirst()
      nextToReclaim = next(last)
    }
  }
}
