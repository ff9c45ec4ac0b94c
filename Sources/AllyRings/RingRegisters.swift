public import AllyHW

/// The registers of one ring as the OS wrote them, of a NIC that has them as most have: base, length, head, tail and control,
/// of 32 bits each, where base, length and head hold still while the ring is enabled.
///
/// For driver modules of such NICs: one value for each direction. NICs whose rings may be moved while they are enabled keep
/// their own account.
public struct RingRegisters: BitwiseCopyable, Sendable {
  /// Where the registers are, by offset in the register BAR.
  public struct Layout: BitwiseCopyable, Sendable, Equatable {
    /// The lower half of the base address; the upper half is 4 bytes further.
    public var base: UInt32
    /// The length in bytes.
    public var length: UInt32
    /// The slot that the NIC looks at next.
    public var head: UInt32
    /// The slot after the last one that the driver posted.
    public var tail: UInt32
    /// The register with the bit that enables the ring.
    public var control: UInt32
    /// That bit.
    public var enable: UInt32

    /// - Parameters:
    ///   - base: the offset of the base address.
    ///   - length: the offset of the length.
    ///   - head: the offset of the head.
    ///   - tail: the offset of the tail.
    ///   - control: the offset of the register that enables the ring.
    ///   - enable: the bit there.
    public init(base: UInt32, length: UInt32, head: UInt32, tail: UInt32, control: UInt32, enable: UInt32) {
      self.base = base
      self.length = length
      self.head = head
      self.tail = tail
      self.control = control
      self.enable = enable
    }
  }

  /// What a write changed.
  public enum Change: Sendable {
    case nothing
    case tail
    /// The ring was enabled or disabled.
    case queue

    /// What the change calls for when the ring is that receive queue.
    public func ofReceiveQueue(_ queue: Int) -> RegisterEffects {
      switch self {
      case .nothing: .none
      case .tail: .receiveTail(queue)
      case .queue: .receiveQueue(queue)
      }
    }

    /// What the change calls for when the ring is that transmit queue.
    public func ofTransmitQueue(_ queue: Int) -> RegisterEffects {
      switch self {
      case .nothing: .none
      case .tail: .transmitTail(queue)
      case .queue: .transmitQueue(queue)
      }
    }
  }

  public let layout: Layout
  private var base: UInt64 = 0
  private var length: UInt32 = 0
  private var head: UInt32 = 0
  private var tail: UInt32 = 0
  private var control: UInt32 = 0

  /// All registers are 0, as after a reset.
  public init(_ layout: Layout) { self.layout = layout }

  public var isEnabled: Bool { control & layout.enable != 0 }

  /// The OS wrote 32 bits; any offset and value will do.
  public mutating func write(_ offset: UInt32, _ value: UInt32) -> Change {
    let wasEnabled = isEnabled
    switch offset {
    case layout.tail:
      tail = value
      return .tail
    case layout.control:
      control = value
      return isEnabled == wasEnabled ? .nothing : .queue
    case _ where wasEnabled: break
    case layout.base: base = base & ~0xFFFF_FFFF | UInt64(value)
    case layout.base &+ 4: base = (base & 0xFFFF_FFFF) | (UInt64(value) << 32)
    case layout.length: length = value
    case layout.head: head = value
    default: break
    }
    return .nothing
  }

  /// The head moved, for the OS to read.
  public mutating func setHead(_ head: UInt32, registers: RegisterFile) {
    self.head = head
    registers.store(UInt64(head), at: layout.head)
  }

  /// Makes the shadow copies read as the NIC's registers would.
  public func storeShadows(_ registers: RegisterFile) {
    registers.store(base & 0xFFFF_FFFF, at: layout.base)
    registers.store(base >> 32, at: layout.base &+ 4)
    registers.store(UInt64(length), at: layout.length)
    registers.store(UInt64(head), at: layout.head)
    registers.store(UInt64(tail), at: layout.tail)
    registers.store(UInt64(control), at: layout.control)
  }

  /// The queue, for ``NICDriver/receiveQueue(_:)`` and its sibling; `bufferLength` is 0 for a transmit queue.
  public func programmed(bufferLength: UInt32 = 0) -> ProgrammedQueue {
    ProgrammedQueue(
      base: BusAddress(base), byteLength: length, head: head, tail: tail, isEnabled: isEnabled,
      bufferLength: bufferLength)
  }

  /// Points the NIC's ring at a twin, whose descriptors have `stride` bytes, and enables it.
  public func start<NIC: NICDevice & ~Copyable>(on twin: DescriptorQueue, stride: Int, nic: inout NIC) {
    stop(nic: &nic)
    nic.write(layout.base, UInt32(truncatingIfNeeded: twin.base.rawValue))
    nic.write(layout.base &+ 4, UInt32(truncatingIfNeeded: twin.base.rawValue >> 32))
    nic.write(layout.length, twin.count &* UInt32(truncatingIfNeeded: stride))
    nic.write(layout.head, twin.head)
    nic.write(layout.tail, twin.tail)
    nic.write(layout.control, control | layout.enable)
  }

  /// Disables the NIC's ring.
  public func stop<NIC: NICDevice & ~Copyable>(nic: inout NIC) {
    nic.write(layout.control, control & ~layout.enable)
  }

  /// Tells the NIC how far its ring is filled.
  public func setTail<NIC: NICDevice & ~Copyable>(_ tail: UInt32, nic: inout NIC) { nic.write(layout.tail, tail) }
}
