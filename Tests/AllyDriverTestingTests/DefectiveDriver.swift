import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyRings
import Synchronization

/// Mistakes that an author of a driver module could make, one for each law.
protocol Mistake: Sendable { static var law: Law { get } }

enum LengthCutInFormat: Mistake { static let law = Law.formats }
enum ChecksumBitsSwapped: Mistake { static let law = Law.vectors }
enum RegisterCut: Mistake { static let law = Law.registerMap }
enum RowsOfTheirOwn: Mistake { static let law = Law.remappingTableSize }
enum TailForgottenAfterATurn: Mistake { static let law = Law.orderAcrossWrap }
enum HeadNotShown: Mistake { static let law = Law.transparency }
enum NICsBufferPublished: Mistake { static let law = Law.isolation }
enum DropNotMarked: Mistake { static let law = Law.noUninspectedByte }
enum WideWritesPassedOn: Mistake { static let law = Law.hostileOS }
enum NoReceptionAfterRestart: Mistake { static let law = Law.resetAtEveryStep }
enum AllocationPerFrame: Mistake { static let law = Law.zeroAllocation }
enum LengthBehindExistential: Mistake { static let law = Law.specialisation }
enum NoMistake: Mistake { static let law = Law.formats }

/// The buffer that was offered last, wherever.
private let lastOffered = Atomic<UInt64>(0)

/// Something with a length, whose word's type only the runtime knows.
private protocol LengthReader {
  associatedtype Word: FixedWidthInteger
  var word: Word { get }
}

private struct WideLength: LengthReader { var word: UInt32 }
private struct NarrowLength: LengthReader {
  var word: UInt16
  init(_ descriptor: E1000ReceiveDescriptor) { word = UInt16(truncatingIfNeeded: descriptor.completedLength) }
}

extension LengthReader {
  fileprivate var length: UInt32 { UInt32(truncatingIfNeeded: word) }
}

/// The 82540EM's receive descriptor, with a mistake.
struct DefectiveReceiveDescriptor<Kind: Mistake>: ReceiveDescriptor {
  var sound = E1000ReceiveDescriptor()

  init() {}
  init(offering buffer: BusAddress) {
    if Kind.self == NICsBufferPublished.self { lastOffered.store(buffer.rawValue, ordering: .relaxed) }
    sound = E1000ReceiveDescriptor(offering: buffer)
  }
  init(_ completion: ReceiveCompletion, buffer: BusAddress) {
    sound = E1000ReceiveDescriptor(Self.swapped(completion), buffer: buffer)
    if Kind.self == NICsBufferPublished.self { sound.address = lastOffered.load(ordering: .relaxed) }
  }
  static var ownershipWordOffset: Int { E1000ReceiveDescriptor.ownershipWordOffset }
  var offeredBuffer: BusAddress { sound.offeredBuffer }
  var isCompleted: Bool { sound.isCompleted }
  var endsFrame: Bool {
    Kind.self == AllocationPerFrame.self
      ? sound.endsFrame && String(repeating: "-", count: 40).utf8.count == 40 : sound.endsFrame
  }
  var completedLength: UInt32 {
    if Kind.self == LengthCutInFormat.self { return sound.completedLength & 0xFFF }
    guard Kind.self == LengthBehindExistential.self else { return sound.completedLength }
    return Self.length(of: sound.address & 1 == 0 ? WideLength(word: sound.completedLength) : NarrowLength(sound))
  }
  var completion: ReceiveCompletion { Self.swapped(sound.completion) }
  mutating func markDropped() { if Kind.self != DropNotMarked.self { sound.markDropped() } }

  @inline(never)
  private static func length(of reader: any LengthReader) -> UInt32 { reader.length }

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
    return effects
  }

  mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) {
    sound.attach(registers: registers, nic: &nic)
  }

  mutating func startReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, on twin: DescriptorQueue, nic: inout NIC) {
    starts += 1
    if Kind.self == NoReceptionAfterRestart.self, starts > 1 { return }
    sound.startReceive(queue, on: twin, nic: &nic)
  }
  mutating func stopReceive<NIC: NICDevice & ~Copyable>(_ queue: Int, nic: inout NIC) {
    sound.stopReceive(queue, nic: &nic)
  }
  func setReceiveTail<NIC: NICDevice & ~Copyable>(_ queue: Int, _ tail: UInt32, nic: inout NIC) {
    if Kind.self == TailForgottenAfterATurn.self, published > 200 { return }
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
