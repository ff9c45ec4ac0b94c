/// A model of an operating system's stock driver for a virtual function of the 82576, as Linux's `igbvf` uses it: one queue
/// pair with advanced descriptors, three MSI-X messages, and a mailbox by which it asks the physical function for its address
/// and for all else.
public struct IGBVirtualFunctionOSDriver: OSDriverModel, ~Copyable {
  public typealias Layout = IntelOSQueuePair.Layout

  enum Register {
    static let control: UInt32 = 0x0000
    static let mailboxMemory: UInt32 = 0x0800
    static let mailbox: UInt32 = 0x0C40
    static let vectorMaskSet: UInt32 = 0x1524
    static let vectorMaskClear: UInt32 = 0x1528
    static let vectorAutoClear: UInt32 = 0x152C
    static let vectorAutoMask: UInt32 = 0x1530
    static let vectorCause: UInt32 = 0x1580
    static let vectorThrottle: UInt32 = 0x1680
    static let vectors: UInt32 = 0x1700
    static let otherVectors: UInt32 = 0x1740
    static let receiveQueue: UInt32 = 0x2800
    static let transmitQueue: UInt32 = 0x3800
    static let splitControl: UInt32 = 0x0C
    static let queueControl: UInt32 = 0x28
  }

  private enum Mailbox {
    static let request: UInt32 = 1 << 0
    static let acknowledge: UInt32 = 1 << 1
    static let inUse: UInt32 = 1 << 2
    static let message: UInt32 = 1 << 4
    static let acknowledged: UInt32 = 1 << 5
    static let reset: UInt32 = 3 << 6
    static let accepted: UInt32 = 1 << 31
  }

  private enum Request {
    static let reset: UInt32 = 1
    static let setMulticast: UInt32 = 3
    static let setLongPackets: UInt32 = 5
  }

  public private(set) var queue: IntelOSQueuePair
  public private(set) var interrupts: UInt64 = 0
  public private(set) var mailboxInterrupts: UInt64 = 0
  /// The address that the physical function gave, six bytes in the order of the wire, the first in bits 7–0; nil before.
  public private(set) var stationAddress: UInt64?
  /// Requests that the physical function did not answer or did not accept.
  public private(set) var refusedRequests: UInt64 = 0
  /// The longest frame of the link in bytes; longer ones are left to the NIC to segment.
  public let largestFrame: Int

  /// - Parameters:
  ///   - layout: where rings and buffers are; buffers of whole KiB.
  ///   - largestFrame: see ``largestFrame``.
  public init(layout: Layout, largestFrame: Int = 1514) {
    queue = IntelOSQueuePair(
      layout: layout, receiveRegister: Register.receiveQueue, transmitRegister: Register.transmitQueue)
    self.largestFrame = largestFrame
  }

  public var memoryByteCount: UInt64 { queue.layout.byteCount }
  public var completions: UInt64 { queue.completions }
  public var counters: IntelOSQueuePair.Counters { queue.counters }

  // MARK: Bring-up

  /// Resets the function and brings it up. The address is the physical function's to give, whatever `stationAddress` says.
  public mutating func start<Environment: OSEnvironment & ~Copyable>(
    stationAddress: UInt64, on environment: inout Environment
  ) {
    environment.writeRegister(Register.vectorMaskClear, .max)
    environment.writeRegister(Register.control, 1 << 26)
    var polls = 0
    while environment.readRegister(Register.mailbox) & Mailbox.reset == 0, polls < 200 { polls += 1 }
    if let reply = ask([Request.reset], on: &environment) {
      self.stationAddress = UInt64(reply[2] & 0xFFFF) << 32 | UInt64(reply[1])
    }
    _ = environment.requestMessages(3)
    _ = ask([Request.setLongPackets, 16_383], on: &environment)
    // No groups.
    _ = ask([Request.setMulticast], on: &environment)
    configure(on: &environment)
    enableInterrupts(on: &environment)
  }

  private mutating func configure<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.transmitQueue + Register.queueControl, 0)
    environment.writeRegister(Register.receiveQueue + Register.queueControl, 0)
    queue.prepare(on: &environment)
    environment.writeRegister(Register.transmitQueue + Register.queueControl, 1 << 25 | 1 << 16 | 1 << 8 | 8)
    // One buffer, advanced descriptors.
    environment.writeRegister(
      Register.receiveQueue + Register.splitControl, 1 << 25 | queue.layout.bufferLength / 1024)
    environment.writeRegister(Register.receiveQueue + Register.queueControl, 1 << 25 | 1 << 16 | 8 << 8 | 8)
    queue.post(on: &environment)
  }

  /// Messages 0 for sent frames, 1 for received ones, 2 for the mailbox.
  private func enableInterrupts<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    environment.writeRegister(Register.vectors, 0x80 << 8 | 0x81)
    environment.writeRegister(Register.otherVectors, 0x82)
    // 162 microseconds.
    for vector in UInt32(0)..<2 { environment.writeRegister(Register.vectorThrottle + 4 * vector, 648) }
    for register in [Register.vectorAutoClear, Register.vectorAutoMask, Register.vectorMaskSet] {
      environment.writeRegister(register, 7)
    }
  }

  // MARK: The mailbox

  /// Asks the physical function for something and polls for the answer.
  ///
  /// - Returns: the answer's first three words; nil when there is none, or when it is a refusal.
  private mutating func ask<Environment: OSEnvironment & ~Copyable>(
    _ words: [UInt32], on environment: inout Environment
  ) -> [UInt32]? {
    environment.writeRegister(Register.mailbox, Mailbox.inUse)
    guard environment.readRegister(Register.mailbox) & Mailbox.inUse != 0 else {
      refusedRequests += 1
      return nil
    }
    for (index, word) in words.enumerated() {
      environment.writeRegister(Register.mailboxMemory + 4 * UInt32(index), word)
    }
    environment.writeRegister(Register.mailbox, Mailbox.request)
    var news: UInt32 = 0
    let wanted = Mailbox.message | Mailbox.acknowledged
    for _ in 0..<200 where news & wanted != wanted { news |= environment.readRegister(Register.mailbox) }
    let reply = (0..<UInt32(3)).map { environment.readRegister(Register.mailboxMemory + 4 * $0) }
    environment.writeRegister(Register.mailbox, Mailbox.acknowledge)
    guard news & wanted == wanted, reply[0] & Mailbox.accepted != 0 else {
      refusedRequests += 1
      return nil
    }
    return reply
  }

  // MARK: Interrupts

  /// A virtual function has no pin.
  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool { false }

  /// The handlers of the three messages. Each enables its message again when it is done, the receive queue's by way of a poll
  /// that ends when there is nothing.
  @discardableResult
  public mutating func interrupt<Environment: OSEnvironment & ~Copyable>(
    message: Int, on environment: inout Environment, deliver: (RawSpan) -> Void
  ) -> Bool {
    interrupts += 1
    switch message {
    case 0: queue.reclaim(on: &environment)
    case 1: while queue.poll(budget: 64, on: &environment, deliver: deliver) == 64 {}
    default: mailboxInterrupts += 1
    }
    environment.writeRegister(Register.vectorMaskSet, 1 << UInt32(message))
    return true
  }

  // MARK: Sending

  /// Queues a frame for transmission; checksums and segmentation of TCP and UDP are left to the NIC.
  ///
  /// Without `doorbell` the tail register is left alone, so that several frames share one write.
  ///
  /// - Returns: false when the ring has no room: the stack keeps the frame.
  public mutating func send<Environment: OSEnvironment & ~Copyable>(
    _ bytes: RawSpan, doorbell: Bool, on environment: inout Environment
  ) -> Bool {
    var frame = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
    let offload = OSTransmitOffload(frame, largest: largestFrame)
    offload?.apply(to: &frame)
    guard unsafe queue.sendAdvanced(frame.span.bytes, offload, on: &environment) else { return false }
    if doorbell { ringDoorbell(on: &environment) }
    return true
  }

  /// Writes the transmit tail.
  public mutating func ringDoorbell<Environment: OSEnvironment & ~Copyable>(on environment: inout Environment) {
    queue.ringDoorbell(on: &environment)
  }
}
