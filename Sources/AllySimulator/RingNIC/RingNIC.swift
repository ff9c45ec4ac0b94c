public import AllyDeviceModels
public import AllyHW
internal import AllyRings

/// A model of any NIC with one receive and one transmit ring, made from its description.
///
/// It does what such NICs have in common, and no more: frames of any length over several descriptors, an interrupt pin with
/// causes and a mask, a reset. Context descriptors are completed and have no effect. Registers that the description does
/// not name hold what was written.
public struct RingNIC<Description: RingNICDescription>: DeviceModel, ~Copyable {
  public static var registerSpace: UInt64 { Description.registers.space }

  /// What software led the model to and it did not follow.
  public struct Faults: Sendable, Equatable {
    /// Memory that the bus refused.
    public var bus: UInt64 = 0
    /// Rings without length, or with a head or tail that is no slot.
    public var rings: UInt64 = 0
    /// Frames with a descriptor of no known kind, or without an end.
    public var frames: UInt64 = 0
  }

  public let requester: RequesterID
  public var isLinkUp = true
  public private(set) var faults = Faults()
  private let layout: RingNICRegisters
  private var registers: [UInt32]

  /// - Parameter requester: the requester id of the model's DMA.
  public init(requester: RequesterID) {
    self.requester = requester
    layout = Description.registers
    registers = [UInt32](repeating: 0, count: Int(layout.space / 4))
  }

  public var function: PCIFunction {
    PCIFunction(
      vendorID: 0x1234, deviceID: 0x0001, revision: 0, classCode: 0x02_0000, subsystemVendorID: 0, subsystemID: 0,
      interruptPin: 1, baseAddressRegisters: [BaseAddressRegister(kind: .memory32, length: Self.registerSpace)],
      capabilities: [])
  }

  public mutating func reset() { for index in registers.indices { registers[index] = 0 } }

  public var assertsInterrupt: Bool { self[layout.cause] & self[layout.mask] != 0 }

  public mutating func takeInterrupts(by delivery: InterruptDelivery) -> NICInterrupts {
    NICInterrupts(isPinAsserted: assertsInterrupt)
  }

  // MARK: - Registers

  private subscript(offset: UInt32) -> UInt32 {
    get { offset / 4 < registers.count ? registers[Int(offset / 4)] : 0 }
    set { if offset / 4 < registers.count { registers[Int(offset / 4)] = newValue } }
  }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    let shift = UInt64(8 * (offset & 3))
    var value = UInt64(read(offset & ~3)) >> shift
    if width == .quadWord { value |= UInt64(read(offset &+ 4)) << 32 }
    return value & width.mask
  }

  private mutating func read(_ offset: UInt32) -> UInt32 {
    defer { if offset == layout.cause { self[offset] = 0 } }
    return self[offset]
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard offset & 3 == 0, width == .doubleWord || width == .quadWord else { return }
    write(offset, UInt32(truncatingIfNeeded: value))
    if width == .quadWord { write(offset &+ 4, UInt32(truncatingIfNeeded: value >> 32)) }
  }

  private mutating func write(_ offset: UInt32, _ value: UInt32) {
    for ring in [layout.receive, layout.transmit] where self[ring.control] & ring.enable != 0 {
      if [ring.base, ring.base + 4, ring.length, ring.head].contains(offset) { return }
    }
    if offset == layout.reset, value & layout.resetBit != 0 { return reset() }
    self[offset] = offset == layout.cause ? self[offset] & ~value : value
  }

  // MARK: - Rings

  /// How many slots a ring has; 0 when it is disabled or makes no sense.
  private mutating func slots(_ ring: RingRegisters.Layout, stride: Int) -> UInt32 {
    guard self[ring.control] & ring.enable != 0 else { return 0 }
    let count = self[ring.length] / UInt32(stride)
    if count > 1, self[ring.head] < count, self[ring.tail] < count { return count }
    faults.rings += 1
    return 0
  }

  private func place(_ ring: RingRegisters.Layout, _ slot: UInt32, stride: Int) -> BusAddress {
    let base = UInt64(self[ring.base + 4]) << 32 | UInt64(self[ring.base])
    return BusAddress(base &+ UInt64(slot) &* UInt64(stride))
  }

  @discardableResult
  public mutating func run<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End, frames: Int
  ) -> Int {
    guard isLinkUp else { return 0 }
    var sent = 0
    while sent < frames, transmit(on: &bus, wire: &wire) { sent += 1 }
    let isPaced = wire.isPaced
    var taken = 0
    while taken < frames {
      guard let answer = wire.receive({ frame in receive(frame, isPaced: isPaced, on: &bus) }), answer != .mustWait
      else { break }
      taken += 1
    }
    return sent + taken
  }

  // MARK: Transmission

  /// Sends the frame at the head; false when there is none, or no room on the wire.
  private mutating func transmit<Bus: DMABus & ~Copyable, End: WireEnd & ~Copyable>(
    on bus: inout Bus, wire: inout End
  ) -> Bool {
    let ring = layout.transmit
    let stride = MemoryLayout<Description.Transmit>.stride
    let count = slots(ring, stride: stride)
    guard count > 0 else { return false }
    let tail = self[ring.tail]
    var slot = self[ring.head]
    var frame: [UInt8] = []
    var isSound = true
    var isEnded = false
    while slot != tail, !isEnded {
      guard let descriptor: Description.Transmit = load(place(ring, slot, stride: stride), on: &bus) else {
        return false
      }
      slot = slot + 1 == count ? 0 : slot + 1
      switch descriptor.kind {
      case .context where frame.isEmpty: isEnded = slot == tail
      case .segment:
        let length = Int(descriptor.length)
        isSound = isSound && frame.count + length <= 1 << 18 && read(descriptor.buffer, length, to: &frame, on: &bus)
        isEnded = descriptor.endsFrame
      default:
        isSound = false
        isEnded = descriptor.endsFrame
      }
    }
    // The rest of the frame is not posted yet.
    guard isEnded else { return false }
    if isSound, !frame.isEmpty {
      guard wire.hasRoom(forFrameOf: frame.count) else { return false }
      _ = wire.transmit(frame.span)
    } else if !isSound {
      faults.frames += 1
    }
    complete(ring, upTo: slot, count: count, on: &bus)
    return true
  }

  private mutating func complete<Bus: DMABus & ~Copyable>(
    _ ring: RingRegisters.Layout, upTo end: UInt32, count: UInt32, on bus: inout Bus
  ) {
    let stride = MemoryLayout<Description.Transmit>.stride
    var slot = self[ring.head]
    while slot != end {
      let place = place(ring, slot, stride: stride)
      if var descriptor: Description.Transmit = load(place, on: &bus), descriptor.reportsCompletion {
        descriptor.isCompleted = true
        store(descriptor, at: place, on: &bus)
        self[layout.cause] |= layout.sent
      }
      slot = slot + 1 == count ? 0 : slot + 1
    }
    self[ring.head] = end
  }

  // MARK: Reception

  private mutating func receive<Bus: DMABus & ~Copyable>(
    _ frame: Span<UInt8>, isPaced: Bool, on bus: inout Bus
  ) -> FrameReception {
    let ring = layout.receive
    let stride = MemoryLayout<Description.Receive>.stride
    let piece = Int(Description.bufferLength)
    let count = slots(ring, stride: stride)
    guard count > 0 else { return isPaced ? .mustWait : .lost }
    let free = (self[ring.tail] + count - self[ring.head]) % count
    guard frame.count <= Int(free) * piece, frame.count > 0 else {
      return isPaced && frame.count <= Int(count - 1) * piece && frame.count > 0 ? .mustWait : .lost
    }
    var done = 0
    while done < frame.count {
      let length = min(piece, frame.count - done)
      let place = place(ring, self[ring.head], stride: stride)
      guard let offered: Description.Receive = load(place, on: &bus) else { return .lost }
      let buffer = offered.offeredBuffer
      let isWritten = bus.writeMemory(buffer, frame.extracting(done..<(done + length)), requester: requester)
      if !isWritten { faults.bus += 1 }
      done += length
      store(
        Description.Receive(
          ReceiveCompletion(length: UInt32(length), endsFrame: done == frame.count, isDamaged: !isWritten),
          buffer: buffer),
        at: place, on: &bus)
      self[ring.head] = self[ring.head] + 1 == count ? 0 : self[ring.head] + 1
    }
    self[layout.cause] |= layout.received
    return .completed
  }

  // MARK: Memory

  private mutating func read<Bus: DMABus & ~Copyable>(
    _ address: BusAddress, _ length: Int, to frame: inout [UInt8], on bus: inout Bus
  ) -> Bool {
    let start = frame.count
    frame.append(contentsOf: repeatElement(0, count: length))
    var span = frame.mutableSpan
    if bus.readMemory(address, into: &span, range: start..<(start + length), requester: requester) { return true }
    faults.bus += 1
    return false
  }

  private mutating func load<Bus: DMABus & ~Copyable, Format: Descriptor>(
    _ place: BusAddress, on bus: inout Bus
  ) -> Format? {
    var bytes: [UInt8] = []
    guard read(place, MemoryLayout<Format>.stride, to: &bytes, on: &bus) else { return nil }
    // As many bytes as the format has, and it is BitwiseCopyable.
    return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: Format.self) }
  }

  /// Stores a descriptor, the word with the ownership bit last.
  private mutating func store<Bus: DMABus & ~Copyable, Format: Descriptor>(
    _ descriptor: Format, at place: BusAddress, on bus: inout Bus
  ) {
    let words: [UInt64] = unsafe withUnsafeBytes(of: descriptor) { bytes in
      stride(from: 0, to: bytes.count, by: 8).map { unsafe bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self) }
    }
    let owner = Format.ownershipWordOffset / 8
    for index in words.indices.filter({ $0 != owner }) + [owner] {
      let isStored = bus.publish(
        words[index], at: BusAddress(place.rawValue &+ 8 &* UInt64(index)), requester: requester)
      if !isStored { faults.bus += 1 }
    }
  }
}
