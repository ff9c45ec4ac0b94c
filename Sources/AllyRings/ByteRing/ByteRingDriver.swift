public import AllyHW

/// What Ally must know of a NIC that receives into a ring of bytes and sends from a few slots, each a pair of registers: what
/// the registers mean, and how the real NIC is pointed at its ring and buffers in DPI memory. What ``NICDriver`` is to
/// descriptor rings.
///
/// A value without pointers, kept in persistent DPI memory. Its calls are never concurrent. As the descriptors are registers,
/// those about a transmit slot are made for each frame that is sent; no other is made per frame.
public protocol ByteRingDriver: BitwiseCopyable, Sendable {
  associatedtype Header: ByteRingHeader

  /// What becomes of OS accesses to the NIC's registers; fewer than ten runs. Registers not listed pass through.
  static var registers: [RegisterRange] { get }
  /// How many transmit slots the NIC has, which are used in turn from 0 on; a power of two up to 8.
  static var transmitSlots: Int { get }
  /// The longest frame that is sent, and that an inspector may give to the OS; bytes without frame check sequence, up to 2,048.
  static var longestFrame: UInt32 { get }
  /// The NIC's own ring in DPI memory; its base is of no account.
  static var nicRing: ByteRing { get }
  /// The last address that the NIC reaches.
  static var highestAddress: UInt64 { get }

  /// The state after power-on.
  init()

  // MARK: What the OS has programmed

  var receiveRing: ProgrammedByteRing { get }
  /// The place in the ring from which the OS reads next, whatever it wrote.
  var readPlace: UInt32 { get }
  /// Whether the OS has enabled the transmitter.
  var isTransmitting: Bool { get }
  /// A transmit slot; `slot` is less than ``transmitSlots``.
  func transmitSlot(_ slot: Int) -> ProgrammedTransmitSlot

  // MARK: Register accesses

  /// Takes the NIC over, before the OS starts: resets it and enables its transmitter.
  mutating func attach<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC)
  /// An OS core accessed a redirected register. Must accept any offset, width and value.
  mutating func handle<NIC: NICDevice & ~Copyable>(
    _ access: RedirectedAccess, registers: RegisterFile, nic: inout NIC
  ) -> ByteRingEffects
  /// Acknowledges the NIC's interrupt, and hands causes that have nothing to do with frames that arrived or left on to the OS.
  ///
  /// - Returns: whether the NIC had interrupted.
  mutating func takeInterrupt<NIC: NICDevice & ~Copyable>(registers: RegisterFile, nic: inout NIC) -> Bool

  // MARK: The real NIC

  /// Points the NIC at its ring and enables reception, from place 0 on.
  mutating func startReceive<NIC: NICDevice & ~Copyable>(at base: BusAddress, nic: inout NIC)
  /// Stops reception; the NIC then leaves its ring alone.
  mutating func stopReceive<NIC: NICDevice & ~Copyable>(nic: inout NIC)
  /// The place in its ring that the NIC writes next.
  func writePlace<NIC: NICDevice & ~Copyable>(of nic: inout NIC) -> UInt32
  /// Tells the NIC from where on its ring is in use.
  func setReadPlace<NIC: NICDevice & ~Copyable>(_ place: UInt32, nic: inout NIC)
  /// Has the NIC send a frame.
  ///
  /// - Parameters:
  ///   - frame: where it is, and its bytes without frame check sequence, which the NIC appends.
  ///   - slot: the NIC's slot.
  ///   - mark: what ``transmitMark(of:nic:)`` gives afterwards.
  ///   - nic: the NIC.
  func send<NIC: NICDevice & ~Copyable>(_ frame: NICFrame, slot: Int, mark: Bool, nic: inout NIC)
  /// What became of the frame in the NIC's slot; nil while it has not been sent.
  func transmitStatus<NIC: NICDevice & ~Copyable>(of slot: Int, nic: inout NIC) -> SlotStatus?
  /// The mark of the frame that the NIC's slot was given last.
  func transmitMark<NIC: NICDevice & ~Copyable>(of slot: Int, nic: inout NIC) -> Bool

  // MARK: What the OS hears

  /// Moves the place that the OS sees the NIC write next; `hasFrames` tells whether there are new frames before it.
  mutating func noteReceived(upTo place: UInt32, hasFrames: Bool, registers: RegisterFile)
  /// An OS slot's frame is done.
  mutating func noteTransmitted(_ slot: Int, _ status: SlotStatus, registers: RegisterFile)
  /// A worker that died may have done this and that only in part: fills the shadow copies, and adds the causes that the OS may
  /// have missed. `place` is as in ``noteReceived(upTo:hasFrames:registers:)``.
  mutating func resume(upTo place: UInt32, registers: RegisterFile)
  /// See ``NICVirtualizer/takeOSInterrupts(at:by:registers:)``.
  mutating func takeOSInterrupts(at now: UInt64, by delivery: InterruptDelivery, registers: RegisterFile)
    -> NICInterrupts
}

/// A transmit slot as the OS has programmed it, unchecked.
@frozen
public struct ProgrammedTransmitSlot: Sendable, BitwiseCopyable, Equatable {
  public var buffer: BusAddress
  /// Bytes from there on.
  public var length: UInt32
  /// How many of the last bytes are the frame check sequence, which the OS made itself; 0 or 4.
  public var trailerLength: UInt32
  /// Whether the OS wants it to be sent.
  public var isPosted: Bool

  @inlinable
  public init(buffer: BusAddress, length: UInt32, trailerLength: UInt32, isPosted: Bool) {
    self.buffer = buffer
    self.length = length
    self.trailerLength = trailerLength
    self.isPosted = isPosted
  }
}

/// A frame as the NIC is given it.
@frozen
public struct NICFrame: Sendable, BitwiseCopyable, Equatable {
  public var buffer: BusAddress
  /// Bytes without frame check sequence.
  public var length: UInt32

  @inlinable
  public init(buffer: BusAddress, length: UInt32) {
    self.buffer = buffer
    self.length = length
  }
}

/// What became of a frame in a transmit slot: bits of the NIC's own, which its driver module alone reads.
@frozen
public struct SlotStatus: Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Sent without a word to say about it. A frame that an inspector dropped looks like this.
  @inlinable public static var sent: SlotStatus { SlotStatus(rawValue: 0) }
  /// Not sent, because it cannot be.
  @inlinable public static var refused: SlotStatus { SlotStatus(rawValue: .max) }
}

/// What an OS core's access to a redirected register calls for.
@frozen
public struct ByteRingEffects: Sendable, BitwiseCopyable, Equatable {
  /// The receiver was enabled, disabled or reset: its ring is empty.
  public var restartsReceiver = false
  /// The ring is elsewhere, or has another length.
  public var movesRing = false
  /// The OS read further.
  public var movesReadPlace = false
  /// Something about reception changed that the NIC is told when it starts.
  public var changesReceiver = false
  /// The transmitter was enabled, disabled or reset: its slots are used from 0 on.
  public var restartsTransmitter = false
  /// The NIC was reset, and has forgotten what it was to send.
  public var resetsNIC = false

  @inlinable
  public init() {}

  /// What both call for.
  @inlinable
  public func union(_ other: ByteRingEffects) -> ByteRingEffects {
    var both = self
    both.restartsReceiver = restartsReceiver || other.restartsReceiver
    both.movesRing = movesRing || other.movesRing
    both.movesReadPlace = movesReadPlace || other.movesReadPlace
    both.changesReceiver = changesReceiver || other.changesReceiver
    both.restartsTransmitter = restartsTransmitter || other.restartsTransmitter
    both.resetsNIC = resetsNIC || other.resetsNIC
    return both
  }
}
