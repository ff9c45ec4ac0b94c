import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyRings

/// Mistakes that an author of a driver module could make, one for each law.
protocol Mistake: Sendable { static var law: Law { get } }

enum LengthCutInFormat: Mistake { static let law = Law.formats }
enum ChecksumBitsSwapped: Mistake { static let law = Law.vectors }
enum RegisterCut: Mistake { static let law = Law.registerMap }
enum RowsOfTheirOwn: Mistake { static let law = Law.remappingTableSize }
enum TailForgottenAfterATurn: Mistake { static let law = Law.orderAcrossWrap }
enum HeadNotShown: Mistake { static let law = Law.transparency }
enum BaseShownAfterRestart: Mistake { static let law = Law.isolation }
enum DropNotMarked: Mistake { static let law = Law.noUninspectedByte }
enum WideWritesPassedOn: Mistake { static let law = Law.hostileOS }
enum NoReceptionAfterRestart: Mistake { static let law = Law.resetAtEveryStep }
enum NoMistake: Mistake { static let law = Law.formats }

/// The 82540EM's receive descriptor, with a mistake.
struct DefectiveReceiveDescriptor<Kind: Mistake>: ReceiveDescriptor {
  var sound = E1000ReceiveDescriptor()

  init() {}
  init(offering buffer: BusAddress) { sound = E1000ReceiveDescriptor(offering: buffer) }
  init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    sound = E1000ReceiveDescriptor(Self.swapped(completion), buffer: buffer)
  }
  static var ownershipWordOffset: Int { E1000ReceiveDescriptor.ownershipWordOffset }
  var offeredBuffer: BusAddress { sound.offeredBuffer }
  var isCompleted: Bool { sound.isCompleted }
  var endsFrame: Bool { sound.endsFrame }
  var completedLength: UInt32 {
    Kind.self == LengthCutInFormat.self ? sound.completedLength & 0xFFF : sound.completedLength
  }
  var completion: ReceiveCompletion { Self.swapped(sound.completion) }
  mutating func markDropped() { if Kind.self != DropNotMarked.self { sound.markDropped() } }

  private static func swapped(_ completion: ReceiveCompletion) -> ReceiveCompletion {
    guard Kind.self == ChecksumBitsSwapped.self else { return completion }
    var swapped = completion
    swapped.ipChecksumIsGood = completion.transportChecksumIsGood
    swapped.transportChecksumIsGood = completion.ipChecksumIsGood
    return swapped
  }
}

/// The 82540EM's driver module, with a mistake.
struct DefectiveDriver<Kind: Mistake>: NICDriver {
  typealias OSReceive = DefectiveReceiveDescriptor<Kind>
  typealias NICReceive = DefectiveReceiveDescriptor<Kind>
  typealias OSTransmit = E1000TransmitDescriptor
  typealias NICTransmit = E1000TransmitDescriptor

  static var registers: [RegisterRange] {
    var map = E1000Driver.registers
    if Kind.self == RegisterCut.self, let place = map.firstIndex(where: { $0.length == 0x1C }) {
      map[place].length -= 1
    }
    if Kind.self == RowsOfTheirOwn.self {
      map.insert(RegisterRange(offset: 0x5B40, length: 4, disposition: .shadowOnly), at: map.count - 1)
    }
    return map
  }
  static var receiveDrop: ReceiveDropAppearance { E1000Driver.receiveDrop }
  static var queueRules: QueueRules { E1000Driver.queueRules }

  private var sound = E1000Driver()
  private var published: UInt32 = 0
  private var starts = 0
  private var twinBase: UInt64 = 0

  init() {}

  func receiveQueue(_ queue: Int) -> ProgrammedQueue { sound.receiveQueue(queue) }
  func transmitQueue(_ queue: Int) -> ProgrammedQueue { sound.transmitQueue(queue) }

  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> RegisterEffects {
    let effects = sound.handle(access, registers: registers, nic: &nic)
    if Kind.self == WideWritesPassedOn.self, access.isWrite, access.width == .quadWord, access.offset >= 0x2800 {
      nic.writeRegister(access.offset, value: access.value & 0xFFFF_FFFF, width: .doubleWord)
      nic.writeRegister(access.offset + 4, value: access.value >> 32, width: .doubleWord)
    }
    if Kind.self == BaseShownAfterRestart.self, starts > 1 { registers.store(twinBase, at: 0x2824) }
    return effects
  }

  mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    sound.attach(registers: registers, nic: &nic)
  }

  mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC) {
    starts += 1
    twinBase = twin.base.rawValue
    if Kind.self == NoReceptionAfterRestart.self, starts > 1 { return }
    sound.startReceive(queue, on: twin, nic: &nic)
  }
  mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    sound.stopReceive(queue, nic: &nic)
  }
  func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    if Kind.self == TailForgottenAfterATurn.self, published > 40 { return }
    sound.setReceiveTail(queue, tail, nic: &nic)
  }
  mutating func startTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC) {
    sound.startTransmit(queue, on: twin, nic: &nic)
  }
  mutating func stopTransmit<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    sound.stopTransmit(queue, nic: &nic)
  }
  func setTransmitTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    sound.setTransmitTail(queue, tail, nic: &nic)
  }
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool {
    sound.takeInterrupt(registers: registers, nic: &nic)
  }
  mutating func notePublished(_ queue: Int, head: UInt32, descriptors: UInt32, registers: RegisterFile) {
    published &+= descriptors
    sound.notePublished(
      queue, head: Kind.self == HeadNotShown.self ? 0 : head, descriptors: descriptors, registers: registers)
  }
  mutating func noteTransmitted(
    _ queue: Int, head: UInt32, _ completions: TransmitCompletions, registers: RegisterFile
  ) {
    sound.noteTransmitted(queue, head: head, completions, registers: registers)
  }
  mutating func takeOSInterrupts(
    at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile
  ) -> NICInterrupts {
    sound.takeOSInterrupts(at: now, by: delivery, registers: registers)
  }
  var nextOSInterrupt: UInt64? { sound.nextOSInterrupt }
}
