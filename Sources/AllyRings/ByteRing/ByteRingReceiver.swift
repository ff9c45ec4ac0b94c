public import AllyHW
public import AllyPacket

/// The receive direction of a NIC that receives into a ring of bytes: the NIC fills a ring in DPI memory, and the frames that
/// pass are copied to the OS's ring, one behind the other. A frame that is dropped leaves no trace, at any protection level.
///
/// Owned by one DPI core. All that it must remember is in the DPI memory that it was given.
@frozen
@safe
public struct ByteRingReceiver<Header: ByteRingHeader>: ~Copyable {
  @usableFromInline let memory: ByteRingMemory
  @usableFromInline let nicRing: ByteRing
  @usableFromInline let partition: Partition
  /// The longest frame that an inspector may give to the OS.
  @usableFromInline let longestFrame: UInt32

  @unsafe
  init(memory: ByteRingMemory, nicRing: ByteRing, partition: Partition, longestFrame: UInt32) {
    unsafe self.memory = memory
    self.nicRing = nicRing
    self.partition = partition
    self.longestFrame = longestFrame
  }

  /// How far it is.
  public var state: ByteRingReceiveState { unsafe memory.receive.pointee }

  // MARK: - The OS's ring

  /// The receiver was enabled, disabled or reset: both rings are empty.
  mutating func restart() {
    let counters = state.counters
    unsafe memory.receive.pointee = ByteRingReceiveState()
    unsafe memory.receive.pointee.counters = counters
  }

  /// Takes up the ring that the OS has programmed; one that cannot be served is a counted fault. Places stay.
  mutating func program(_ programmed: ProgrammedByteRing, memory: borrowing PhysicalMemory) {
    unsafe self.memory.receive.pointee.isRunning = false
    guard programmed.isEnabled else { return }
    if let fault = fault(of: programmed, memory: memory) {
      return unsafe self.memory.receive.pointee.counters.faults.count(fault)
    }
    let ring = ByteRing(
      base: PhysicalAddress(programmed.base.rawValue), length: programmed.length, runsOver: programmed.runsOver)
    unsafe self.memory.receive.pointee.ring = ring
    commit(writePlace: ring.place(state.writePlace, advancedBy: 0), nicPlace: state.nicPlace)
    unsafe self.memory.receive.pointee.isRunning = true
  }

  private func fault(of programmed: ProgrammedByteRing, memory: borrowing PhysicalMemory) -> RingFault? {
    let length = programmed.length
    guard length >= 8, length & (length &- 1) == 0 else { return .queueLength }
    guard programmed.base.rawValue & 3 == 0 else { return .queueMisaligned }
    let base = PhysicalAddress(programmed.base.rawValue)
    guard !partition.touchesDPI(base, length: UInt64(length)) else { return .queueInDPIMemory }
    guard let place = unsafe memory.pointer(at: base, length: UInt64(length), for: .readWrite) else {
      return .queueAbsent
    }
    return UInt(bitPattern: place) & 3 == 0 ? nil : .queueMisaligned
  }

  /// The OS has read up to a place, or says so. A place that cannot be is counted, and taken as it is: the ring is the OS's.
  mutating func moveReadPlace(to place: UInt32) {
    let now = state
    let place = now.ring.place(place, advancedBy: 0)
    if now.isRunning {
      if place & 3 != 0 {
        unsafe memory.receive.pointee.counters.faults.count(.tailOutOfRange)
      } else if now.ring.distance(from: now.readPlace, to: place)
        > now.ring.distance(from: now.readPlace, to: now.writePlace)
      {
        unsafe memory.receive.pointee.counters.faults.count(.tailPassesHead)
      }
    }
    unsafe memory.receive.pointee.readPlace = place
  }

  // MARK: - The NIC's ring

  /// Notes that the NIC receives, from place 0 on.
  mutating func noteNICStarted() {
    commit(writePlace: state.writePlace, nicPlace: 0)
    unsafe memory.receive.pointee.isNICRunning = true
    unsafe memory.receive.pointee.isDraining = false
  }

  /// Notes that the NIC was stopped, for good or until what it has received is done with.
  mutating func noteNICStopped(drains: Bool) {
    unsafe memory.receive.pointee.isNICRunning = drains
    unsafe memory.receive.pointee.isDraining = drains
  }

  @inlinable
  @inline(__always)
  mutating func commit(writePlace: UInt32, nicPlace: UInt32) {
    unsafe memory.receive.pointee.places = ByteRingReceiveState.pack(writePlace: writePlace, nicPlace: nicPlace)
  }

  /// The frame at a place of the NIC's ring, behind its header, in one piece.
  @unsafe
  @inlinable
  @inline(__always)
  func frame(at place: UInt32, length: UInt32) -> UnsafeMutableRawPointer {
    let start = place &+ 4
    if start &+ length <= nicRing.length { return unsafe memory.ring + Int(start) }
    return unsafe gathered(start & (nicRing.length &- 1), length: length)
  }

  /// A frame that goes on at the ring's start, in the gathering area.
  @unsafe
  @usableFromInline
  func gathered(_ start: UInt32, length: UInt32) -> UnsafeMutableRawPointer {
    let first = min(length, nicRing.length &- start)
    let target = unsafe memory.gather
    unsafe target.copyMemory(from: memory.ring + Int(start), byteCount: Int(first))
    unsafe (target + Int(first)).copyMemory(from: memory.ring, byteCount: Int(length &- first))
    return unsafe target
  }

  // MARK: - Frames

  /// Takes up to `most` frames out of the NIC's ring, up to the place that the NIC writes next.
  @inlinable
  mutating func publish<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    upTo nicWritePlace: UInt32, most: UInt32, inspecting inspector: inout Inspector, clock: inout Clock,
    memory: borrowing PhysicalMemory
  ) -> ByteRingPass {
    var pass = ByteRingPass()
    let state = unsafe self.memory.receive
    guard unsafe state.pointee.isRunning else { return pass }
    var answers = Inspector.actions.isEmpty ? FrameAnswers() : unsafe self.memory.answers
    var window = BufferWindow()
    while pass.frames < most {
      // What inspectors have added comes before the frames after it.
      if !Inspector.actions.isEmpty, !publishOutbox(&pass, &window, memory: memory) { break }
      let place = unsafe state.pointee.nicPlace
      let available = nicRing.distance(from: place, to: nicWritePlace)
      guard available > 0 else { break }
      let header = unsafe Header(word: loadShared(self.memory.ring + Int(place), as: UInt32.self))
      guard !header.isUnfinished else { break }
      let length = header.length
      let taken = ByteRing.bytesTaken(by: length)
      guard length > 4, taken <= available else {
        // No header: nobody knows where the next frame is.
        unsafe state.pointee.counters.faults.count(.lengthAboveBuffer)
        pass.isLost = true
        break
      }
      let nextPlace = nicRing.place(place, advancedBy: taken)
      guard hasRoom(for: taken) else {
        guard unsafe taken >= state.pointee.ring.length else { break }
        passOver(.frameTooLong, to: nextPlace, &pass)
        _ = clock.stamp(forFrameOf: length &- 4)
        continue
      }
      let frame = unsafe frame(at: place, length: length)
      var skipped = 0
      let verdict = unsafe Self.inspect(
        frame, length: length &- 4, skipped: &skipped, inspecting: &inspector, answers: &answers, clock: &clock)
      pass.frames &+= 1
      pass.hasMoved = true
      switch verdict {
      case .accept:
        if let fault = unsafe store(frame, header, &window, memory: memory) {
          passOver(fault, to: nextPlace, &pass)
          continue
        }
        unsafe state.pointee.counters.accepted &+= 1
        unsafe state.pointee.counters.copiedBytes &+= UInt64(length &- 4)
        pass.hasPublished = true
        unsafe commit(
          writePlace: state.pointee.ring.place(state.pointee.writePlace, advancedBy: taken), nicPlace: nextPlace)
      case .replace:
        unsafe publishReplacement(answers, behind: frame, skipped, nextPlace: nextPlace, &pass, &window, memory: memory)
      case .drop, .reject:
        unsafe state.pointee.counters.countRefused(verdict)
        unsafe commit(writePlace: state.pointee.writePlace, nicPlace: nextPlace)
      }
    }
    if !Inspector.actions.isEmpty { _ = publishOutbox(&pass, &window, memory: memory) }
    if unsafe pass.frames > state.pointee.counters.highWater { unsafe state.pointee.counters.highWater = pass.frames }
    return pass
  }

  /// Whether the OS's ring has room for so many bytes, without being filled to the last.
  @inlinable
  @inline(__always)
  func hasRoom(for taken: UInt32) -> Bool {
    let state = unsafe memory.receive
    let ring = unsafe state.pointee.ring
    return unsafe taken < ring.length &- ring.distance(from: state.pointee.readPlace, to: state.pointee.writePlace)
  }

  @usableFromInline
  mutating func passOver(_ fault: RingFault, to place: UInt32, _ pass: inout ByteRingPass) {
    unsafe memory.receive.pointee.counters.faults.count(fault)
    unsafe memory.receive.pointee.counters.faulted &+= 1
    commit(writePlace: state.writePlace, nicPlace: place)
    pass.hasMoved = true
  }

  @unsafe
  @inlinable
  @inline(__always)
  static func inspect<Inspector: PacketInspector & ~Copyable, Clock: FrameClock & ~Copyable>(
    _ frame: UnsafeMutableRawPointer, length: UInt32, skipped: inout Int, inspecting inspector: inout Inspector,
    answers: inout FrameAnswers, clock: inout Clock
  ) -> Verdict {
    let stamp = clock.stamp(forFrameOf: length)
    // What is not Ethernet came under a made-up Ethernet header (decision 15 of Docs/Architecture.md).
    skipped = stamp.linkType == .ethernet ? 0 : min(14, Int(length))
    let bytes = unsafe UnsafeRawBufferPointer(start: frame + skipped, count: Int(length) &- skipped).bytes
    return AllyRings.inspect(Packet(bytes: bytes, stamp: stamp, direction: .receive), with: &inspector, &answers)
  }

  /// Stores a frame in the OS's ring, where there is room for it; it becomes the OS's with ``commit(writePlace:nicPlace:)``.
  ///
  /// Its header is stored last. The one behind it says that it is not finished: an OS core that reads a frame and then
  /// looks for another, before the DPI core has heard that it read, stops there.
  ///
  /// `frame` has as many bytes as the header says, frame check sequence included.
  @unsafe
  @inlinable
  func store(
    _ frame: UnsafeMutableRawPointer, _ header: Header, _ window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> RingFault? {
    let state = unsafe self.memory.receive
    let ring = unsafe state.pointee.ring
    let place = unsafe state.pointee.writePlace
    let length = header.length
    // The header is never cut: places and the ring's length are multiples of four.
    let first = ring.firstPiece(of: length &+ 4, at: place)
    let end = ring.place(place, advancedBy: ByteRing.bytesTaken(by: length))
    guard let target = unsafe osMemory(ring, place, first, &window, memory: memory),
      let start = unsafe osMemory(ring, 0, max(4, length &+ 4 &- first), &window, memory: memory),
      let next = unsafe osMemory(ring, end, 4, &window, memory: memory)
    else { return .bufferAbsent }
    unsafe (target + 4).copyMemory(from: frame, byteCount: Int(first &- 4))
    if first < length &+ 4 {
      unsafe start.copyMemory(from: frame + Int(first &- 4), byteCount: Int(length &+ 4 &- first))
    }
    unsafe storeShared(Header.unfinished.word, to: next)
    unsafe storeShared(header.word, to: target)
    return nil
  }

  /// Where a run of the OS's ring is in this process; nil when not all of it is OS memory.
  @unsafe
  @inlinable
  @inline(__always)
  func osMemory(
    _ ring: ByteRing, _ place: UInt32, _ length: UInt32, _ window: inout BufferWindow, memory: borrowing PhysicalMemory
  ) -> UnsafeMutableRawPointer? {
    let address = ring.base.rawValue &+ UInt64(place)
    if let found = unsafe window.pointer(at: address, length: length) { return unsafe found }
    guard window.move(to: address, length: length, memory: memory, partition: partition, rights: .readWrite) == nil
    else { return nil }
    return unsafe window.pointer(at: address, length: length)
  }
}

/// What taking frames out of a receive ring of bytes did.
@frozen
@usableFromInline
struct ByteRingPass: BitwiseCopyable {
  /// Frames that were inspected.
  @usableFromInline var frames: UInt32 = 0
  /// Whether anything moved.
  @usableFromInline var hasMoved = false
  /// Whether the OS's ring has more frames.
  @usableFromInline var hasPublished = false
  /// Whether the NIC's ring makes no sense.
  @usableFromInline var isLost = false

  @inlinable
  init() {}
}
