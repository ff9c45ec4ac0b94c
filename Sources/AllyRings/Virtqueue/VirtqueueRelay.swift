internal import AllyHW

/// A queue whose buffers are handed on as they are: the control queue of a network device (virtio 1.2, §5.1.6.5). Commands
/// pass through DPI memory one at a time, so that the NIC reads what was checked to lie in OS memory, in one layout, whatever
/// the OS has negotiated.
@safe
@usableFromInline
struct VirtqueueRelay: ~Copyable {
  private let memory: VirtqueueMemory
  var os: VirtqueueOSSide
  var nic: VirtqueueNICSide
  private var isResuming: Bool

  /// The most bytes of a command, and of its answer.
  static var maximumCommand: UInt32 { 8192 }
  static var maximumAnswer: UInt32 { 64 }

  /// What a relay asks for in memory.
  static var limits: RingLimits {
    RingLimits(maximumDescriptors: 64, maximumFrameLength: maximumCommand &+ 256, copyMemory: 0)
  }

  @unsafe
  init(memory: VirtqueueMemory, partition: Partition, start: RingStart) {
    unsafe self.memory = memory
    os = unsafe memory.osSide(partition: partition, start: start)
    nic = unsafe memory.nicSide()
    isResuming = start == .resuming
    if isResuming, os.state.isRunning {
      unsafe nic.resume(size: memory.state.pointee.nicSize, lastUsed: UInt16(truncatingIfNeeded: os.state.used >> 16))
    }
  }

  mutating func start(
    _ programmed: ProgrammedVirtqueue, nicSize: UInt32, limits: RingLimits, memory: borrowing PhysicalMemory
  ) -> RingFault? {
    stop()
    if let fault = os.start(programmed, limits: limits, memory: memory) { return fault }
    nic.start(size: nicSize)
    unsafe self.memory.state.pointee.nicSize = nicSize
    return nil
  }

  mutating func stop() {
    os.stop()
    nic.stop()
    isResuming = false
  }

  /// Whether the NIC has a command.
  private var isBusy: Bool { nic.posted != nic.lastUsed }

  mutating func service(memory: borrowing PhysicalMemory) -> VirtqueuePass {
    var pass = VirtqueuePass()
    guard os.begin(memory: memory) else { return pass }
    if isResuming {
      isResuming = false
      if os.resume() { os.finish() }
      nic.lastUsed = UInt16(truncatingIfNeeded: os.state.used >> 16)
    }
    // The command that the NIC has stays the OS queue's next buffer until it is answered.
    if isBusy, nic.usedCount > 0 {
      answer(memory: memory)
      pass.hasMoved = true
    }
    if !isBusy {
      switch os.take(memory: memory) {
      case .none: break
      case .broken: pass.hasBroken = true
      case .refused:
        handBack(length: 0)
        pass.hasMoved = true
      case .chain:
        pass.hasMoved = true
        if forward() { pass.notifiesNIC = nic.wantsNotification } else { handBack(length: 0) }
      }
    }
    os.requestNotification()
    pass.interruptsOS = os.wantsInterrupt()
    return pass
  }

  private var answerOffset: Int { Int(Self.maximumCommand) }

  private mutating func forward() -> Bool {
    let chain = os.chain
    guard chain.readableLength > 0, chain.readableLength <= Self.maximumCommand, chain.writableLength > 0 else {
      return false
    }
    let area = unsafe memory.gather
    unsafe os.copyReadable(to: area)
    let address = unsafe memory.address.rawValue &+ memory.layout.gather
    let head = nic.add(address, chain.readableLength, isWritable: false, after: nil)
    let length = min(chain.writableLength, Self.maximumAnswer)
    _ = nic.add(address &+ UInt64(answerOffset), length, isWritable: true, after: head)
    nic.setToken(head, 1)
    nic.expose(head)
    return true
  }

  private mutating func answer(memory: borrowing PhysicalMemory) {
    var length: UInt32 = 0
    if let (head, written) = nic.used(at: nic.lastUsed) {
      length = min(written, Self.maximumAnswer)
      nic.release(head)
    }
    nic.lastUsed &+= 1
    // The OS must not touch the buffer meanwhile; if it did, this is another buffer, and gets what fits.
    guard os.take(memory: memory) == .chain else { return }
    let count = min(length, os.chain.writableLength)
    unsafe os.fillWritable(from: self.memory.gather + answerOffset, count: Int(count))
    handBack(length: count)
  }

  private mutating func handBack(length: UInt32) {
    os.skip()
    _ = os.stage(os.chain, length: length)
    os.decide(far: UInt64(nic.lastUsed))
    os.show()
    os.finish()
  }
}
