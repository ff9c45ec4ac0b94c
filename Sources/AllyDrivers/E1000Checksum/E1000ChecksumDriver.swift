public import AllyHW
public import AllyRings

/// The driver module for an 82540EM with frame checksums: what the paper (§4.3) proposes as slightly enhanced NIC hardware, so
/// that packet data that OS cores change does not get past an appliance that works in place.
///
/// To the OS it is an 82540EM, whose descriptors have 16 bytes; the NIC's own have 32. On a NIC without frame checksums no
/// queue is served (`RingFault.descriptorFormat`).
public struct E1000ChecksumDriver: NICDriver {
  public typealias OSReceive = E1000ReceiveDescriptor
  public typealias NICReceive = E1000ChecksumReceiveDescriptor
  public typealias OSTransmit = E1000TransmitDescriptor
  public typealias NICTransmit = E1000ChecksumTransmitDescriptor

  public static var registers: [RegisterRange] { E1000ChecksumRegisters.map }
  public static var receiveDrop: ReceiveDropAppearance { E1000Driver.receiveDrop }
  public static var queueRules: QueueRules { E1000Driver.queueRules }
  public static func supports(_ protection: PacketProtection) -> Bool { true }

  private var plain = E1000Driver()
  public private(set) var checksumKey = ChecksumKey()
  private var isPresent = false

  private static var descriptorLength: UInt64 { UInt64(MemoryLayout<NICReceive>.size) }

  public init() {}

  public func receiveQueue(_ queue: Int) -> ProgrammedQueue { served(plain.receiveQueue(queue)) }

  public func transmitQueue(_ queue: Int) -> ProgrammedQueue { served(plain.transmitQueue(queue)) }

  private func served(_ programmed: ProgrammedQueue) -> ProgrammedQueue {
    var programmed = programmed
    programmed.hasKnownFormat = programmed.hasKnownFormat && isPresent
    return programmed
  }

  public mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    plain.handle(access, registers: registers, nic: &nic)
  }

  public mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    plain.attach(registers: registers, nic: &nic)
    isPresent = nic.read(E1000ChecksumRegisters.control) & E1000ChecksumBits.isPresent != 0
    func word(_ index: UInt32, _ nic: inout NIC) -> UInt64 {
      UInt64(nic.read(E1000ChecksumRegisters.key &+ 4 &* index))
    }
    checksumKey.low = word(0, &nic) | word(1, &nic) << 32
    checksumKey.high = word(2, &nic) | word(3, &nic) << 32
  }

  /// The OS's reset of the NIC has reset this too.
  private func enableChecksums<NIC: NICDevice & ~Copyable>(on nic: inout NIC) {
    nic.write(E1000ChecksumRegisters.control, E1000ChecksumBits.enable)
  }

  public mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC)
  {
    enableChecksums(on: &nic)
    plain.startReceive(on: twin, descriptorLength: Self.descriptorLength, nic: &nic)
  }

  public mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    plain.stopReceive(queue, nic: &nic)
  }

  public func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    plain.setReceiveTail(queue, tail, nic: &nic)
  }

  public mutating func startTransmit<NIC: NICDevice & ~Copyable>(
    _ queue: Int, on twin: DescriptorQueue, nic: inout NIC
  ) {
    enableChecksums(on: &nic)
    plain.startTransmit(on: twin, descriptorLength: Self.descriptorLength, nic: &nic)
  }

  public mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    plain.stopTransmit(queue, nic: &nic)
  }

  public func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    plain.setTransmitTail(queue, tail, nic: &nic)
  }

  public mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    plain.takeInterrupt(registers: registers, nic: &nic)
  }

  public mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    plain.notePublished(queue, head: head, descriptors: descriptors, registers: registers)
  }

  public mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    plain.noteTransmitted(queue, head: head, completions, registers: registers)
  }

  public mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    plain.takeOSInterrupts(at: now, by: delivery, registers: registers)
  }

  public mutating func repeatOSInterrupts() { plain.repeatOSInterrupts() }

  public var nextOSInterrupt: UInt64? { plain.nextOSInterrupt }
}
