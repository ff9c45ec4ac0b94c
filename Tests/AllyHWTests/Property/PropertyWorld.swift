import AllyHW

/// How an access came out otherwise than the generator had written down.
struct Finding: CustomStringConvertible {
  enum Kind: Equatable {
    /// A load or store did what it should not, or not what it should.
    case outcome
    /// An access to a register went to the wrong side.
    case register
    case dma
    case interrupt
    /// An OS core's access or walk left a trace in DPI memory.
    case dpiMemoryChanged
    /// A leaf's accessed or dirty bit is not what the accesses were.
    case accessBits
  }
  var kind: Kind
  var detail: String
  var description: String { "\(kind): \(detail)" }
}

/// What was tried.
struct Tally {
  var accesses = 0
  var aimedAtDPI = 0
  var aimedAtRemappedPages = 0
  var afterBoundaryMove = 0
}

/// A random machine with a flat map that the generator owns, and accesses whose outcome it writes down before it makes
/// them.
///
/// Cores 0 and 1 translate as `kind` says, core 2 has paging off, core 3 is a DPI core. The device's registers are
/// intercepted.
@safe
final class PropertyWorld<Extension: MMUExtension> {
  private static var osCores: Int { 3 }
  private static var dpiCore: LocalAPICID { LocalAPICID(3) }
  private static var notifyVector: UInt8 { 0xE0 }
  private static var nicVector: UInt8 { 0xD0 }
  private static var nic: RequesterID { RequesterID(bus: 0, device: 5, function: 0) }
  /// Another function of the same device.
  private static var sibling: RequesterID { RequesterID(bus: 0, device: 5, function: 1) }
  private static var disk: RequesterID { RequesterID(bus: 0, device: 7, function: 0) }
  /// A requester with a map of its own.
  private static var mapped: RequesterID { RequesterID(bus: 1, device: 0, function: 0) }

  private let kind: PagingKind
  private let geography: WorldGeography
  private let memory: TwinMemory
  private var map: FlatMap
  private var random: SeededGenerator
  private var partition: Partition
  private var northbridge: Northbridge
  private let cores: UnsafeMutablePointer<Core<Extension>>
  private var window: DeviceWindow<CountingDevice>
  private let log: AccessLog
  private var shadow = RegisterBytes()
  private var device = RegisterBytes()
  private var deviceAccesses = 0
  /// Bus pages of ``mapped`` from 0 on: where they lead, and whether they may be written.
  private var busPages: [(physical: UInt64, isWritable: Bool)] = []
  private var pendingAtDPI = VectorSet()
  private(set) var tally = Tally()
  private(set) var finding: Finding?

  private static var ranges: [RegisterRange] {
    [
      RegisterRange(offset: 0xC8, length: 0x14, disposition: .redirect),
      RegisterRange(offset: 0x2800, length: 0x20, disposition: .redirect),
      RegisterRange(offset: 0x2820, length: 4, disposition: .shadowOnly),
      RegisterRange(offset: 0x5B00, length: 4, disposition: .deny),
    ]
  }

  init(seed: UInt64, defect: SeededDefect?, extension make: (CoreRole, Partition) -> Extension) throws {
    random = SeededGenerator(seed: seed)
    let kind = PagingKind.allCases.randomElement(using: &random)!
    let geography = WorldGeography(using: &random)
    memory = TwinMemory(end: geography.end)
    map = FlatMap(kind: kind, geography: geography, memory: memory, seed: random.next())
    partition = geography.partition(near: nil, using: &random)
    self.kind = kind
    self.geography = geography

    var physical = PhysicalMemory()
    try memory.map(into: &physical)
    let table = unsafe RemappingTable(at: PhysicalAddress(geography.remappingTable), in: physical)!
    log = unsafe AccessLog(at: PhysicalAddress(geography.accessLog), capacity: 8, in: physical)!
    let registers = unsafe RegisterFile(at: PhysicalAddress(geography.shadowRegisters), length: 0x6000, in: physical)!
    let ids = (0..<Self.osCores + 1).map { LocalAPICID(UInt32($0)) }
    northbridge = Northbridge(
      memory: physical, iommu: IOMMU(partition: partition),
      interrupts: InterruptUnit(cores: ids, dpiCores: [Self.dpiCore]), remapping: table)
    window = DeviceWindow(CountingDevice(), base: PhysicalAddress(FlatMap.registerBase), length: 0x6000)
    unsafe cores = .allocate(capacity: ids.count)
    var uncacheable = UncacheableRanges()
    _ = uncacheable.add(PhysicalAddress(TwinMemory.holeStart), length: 1 << 30)
    for (index, id) in ids.enumerated() {
      let role: CoreRole = id == Self.dpiCore ? .dpi : .os
      let handler = TLBMissHandler(hardware: make(role, partition), uncacheable: uncacheable)
      unsafe (cores + index).initialize(to: Core(id: id, mmu: MMU(handler: handler)))
      if index < 2 {
        if kind.levels == 5 { unsafe cores[index].mmu.controls.insert(.fiveLevels) }
        unsafe cores[index].mmu.nestedPaging = map.nestedRoot.map { NestedPaging(root: PhysicalAddress($0)) }
        unsafe cores[index].mmu.pageTableRoot = PhysicalAddress(map.root)
      }
    }
    try northbridge.remapping.intercept(
      InterceptedDevice(
        requester: Self.nic, registerBase: PhysicalAddress(FlatMap.registerBase), registers: registers, log: log,
        core: Self.dpiCore, vector: Self.notifyVector), ranges: Self.ranges)
    for id in ids.dropLast() {
      northbridge.interrupts.authorize(.redirection(id), vector: Self.notifyVector, at: Self.dpiCore)
    }
    northbridge.interrupts.authorize(.device(Self.nic), vector: Self.nicVector, at: Self.dpiCore)
    northbridge.iommu.attach(Self.nic, to: .identity, mayReachDPIMemory: true)
    try mapBusPages()
    if defect == .wrongRequester { northbridge.iommu.authorize(Self.sibling, true) }
    if defect == .unmaskedVector {
      northbridge.interrupts.authorize(.core(ids[0]), vector: SeededDefect.vector, at: Self.dpiCore)
    }
  }

  deinit {
    unsafe cores.deinitialize(count: Self.osCores + 1)
    unsafe cores.deallocate()
  }

  private func mapBusPages() throws {
    northbridge.iommu.attach(Self.mapped, to: .mapped)
    for page in 0..<UInt64(8) {
      let place = page < 4 ? randomPage(in: WorldGeography.osPages) : randomPage(in: geography.secrets)
      let isWritable = Bool.random(using: &random)
      try northbridge.iommu.map(
        BusAddress(page << 12), to: PhysicalAddress(place), rights: isWritable ? .readWrite : .read, for: Self.mapped)
      busPages.append((place, isWritable))
    }
  }

  private func randomPage(in range: Range<UInt64>) -> UInt64 {
    UInt64.random(in: range.lowerBound >> 12..<range.upperBound >> 12, using: &random) << 12
  }

  private func report(_ kind: Finding.Kind, _ detail: @autoclosure () -> String) {
    if finding == nil { finding = Finding(kind: kind, detail: "\(self.kind), partition \(partition): \(detail())") }
  }

  // MARK: The accesses

  /// Makes `count` accesses, and stops at the first that comes out otherwise than expected.
  func run(_ count: Int) {
    var untilMove = 40
    while tally.accesses < count, finding == nil {
      untilMove -= 1
      if untilMove == 0 {
        moveBoundary()
        untilMove = Int.random(in: 40..<60, using: &random)
        continue
      }
      switch Int.random(in: 0..<1000, using: &random) {
      case 0..<190: access(map.secret)
      case 190..<315: access(map.registers)
      case 315..<420: accessUnpaged()
      case 420..<520: transfer()
      case 520..<570: interrupt()
      case 570..<690: access(map.movable)
      case 690..<700: remapOne()
      default: access(map.ordinary)
      }
    }
    if finding == nil { checkDPIMemory() }
    if finding == nil { checkAccessBits() }
  }

  private static func randomWidth(_ random: inout SeededGenerator) -> RegisterWidth {
    [RegisterWidth.byte, .word, .doubleWord, .quadWord].randomElement(using: &random)!
  }

  private func randomCore() -> Int { Int.random(in: 0..<2, using: &random) }

  private func access(_ indexes: [Int]) {
    guard let index = indexes.randomElement(using: &random) else { return }
    access(piece: index)
  }

  /// A load or store of some bytes of a piece, at any alignment; at times over its end into the next.
  private func access(piece index: Int) {
    let piece = map.pieces[index]
    let width = Self.randomWidth(&random)
    let length = UInt64(width.rawValue)
    if isRegister(piece) { return accessRegister(piece: index, width) }
    if length > 1, Int.random(in: 0..<8, using: &random) == 0, let next = map.neighbour(of: index) {
      return accessTwo(index, next, width)
    }
    let offset = offset(in: piece, length)
    let physical = piece.physical + offset
    let storing = Bool.random(using: &random) ? random.next() & width.mask : nil
    count(physical, length)
    let outcome = touch(randomCore(), piece.virtual + offset, width, storing)
    let expected: AccessOutcome
    if let fault = fault(of: piece, isStore: storing != nil) {
      expected = .fault(fault)
    } else {
      expected = .done(storing ?? memory.expected(physical, width: Int(length)))
      if let storing { memory.expect(storing, at: physical, width: Int(length)) }
      map.noteAccess(index, isStore: storing != nil)
    }
    if outcome != expected {
      report(.outcome, "\(piece) at \(offset), \(width), store \(storing != nil): \(outcome), expected \(expected)")
    }
  }

  private func isRegister(_ piece: FlatPiece) -> Bool {
    piece.physical >= FlatMap.registerBase && piece.physical < TwinMemory.holeEnd
  }

  /// Large pieces are touched in few places, so that the same pages are met again; near the boundary too.
  private func offset(in piece: FlatPiece, _ length: UInt64) -> UInt64 {
    let last = piece.length - length
    if piece.length == 0x1000 { return UInt64.random(in: 0...last, using: &random) }
    let boundary = partition.boundary.rawValue
    if boundary > piece.physical, boundary < piece.physical + last, Bool.random(using: &random) {
      return boundary - piece.physical - UInt64.random(in: 0...1, using: &random) * 0x1000
    }
    let page = [0, 1, 2, 3, piece.length / 0x1000 - 1].randomElement(using: &random)!
    return min(page * 0x1000 + UInt64.random(in: 0...(0x1000 - length), using: &random), last)
  }

  /// What the flat map says that goes wrong, in the order in which the hardware finds it out.
  private func fault(of piece: FlatPiece, isStore: Bool) -> TranslationFault? {
    if piece.hasForgedTable { return .dpiMemory }
    if isStore, !piece.isWritable { return .notWritable }
    return isDPI(piece.pageBase, piece.pageLength) ? .dpiMemory : nil
  }

  /// Whether any of the bytes belongs to the DPI partition.
  private func isDPI(_ physical: UInt64, _ length: UInt64) -> Bool {
    physical < partition.end.rawValue && physical + length > partition.boundary.rawValue
  }

  private func count(_ physical: UInt64, _ length: UInt64) {
    tally.accesses += 1
    if isDPI(physical, length) { tally.aimedAtDPI += 1 }
  }

  private func touch(_ core: Int, _ virtual: UInt64, _ width: RegisterWidth, _ storing: UInt64?) -> AccessOutcome {
    let address = VirtualAddress(virtual)
    guard let storing else {
      return unsafe cores[core].load(address, width: width, on: &northbridge, devices: &window)
    }
    return unsafe cores[core].store(storing, at: address, width: width, on: &northbridge, devices: &window)
  }

  private func accessTwo(_ index: Int, _ next: Int, _ width: RegisterWidth) {
    let (low, high) = (map.pieces[index], map.pieces[next])
    let length = UInt64(width.rawValue)
    let inLow = UInt64.random(in: 1..<length, using: &random)
    let place = low.physical + low.length - inLow
    let storing = Bool.random(using: &random) ? random.next() & width.mask : nil
    tally.accesses += 1
    if isDPI(place, inLow) || isDPI(high.physical, length - inLow) { tally.aimedAtDPI += 1 }
    let outcome = touch(randomCore(), low.virtual + low.length - inLow, width, storing)
    let isStore = storing != nil
    let expected: AccessOutcome
    if let fault = fault(of: low, isStore: isStore) ?? fault(of: high, isStore: isStore) {
      expected = .fault(fault)
      // The lower page may have been translated before the higher one was refused.
      map.forgetAccess(index)
    } else if isRegister(high) {
      // Into a page of registers: translated, and refused as a whole.
      expected = .fault(.crossesPage)
      map.forgetAccess(index)
    } else {
      let lowValue = memory.expected(place, width: Int(inLow))
      let highValue = memory.expected(high.physical, width: Int(length - inLow))
      expected = .done(storing ?? lowValue | highValue << (8 * inLow))
      if let storing {
        memory.expect(storing, at: place, width: Int(inLow))
        memory.expect(storing >> (8 * inLow), at: high.physical, width: Int(length - inLow))
      }
      map.noteAccess(index, isStore: isStore)
      map.noteAccess(next, isStore: isStore)
    }
    if outcome != expected {
      report(.outcome, "\(low) into \(high), \(width), store \(isStore): \(outcome), expected \(expected)")
    }
  }

  // MARK: Registers

  private func accessRegister(piece index: Int, _ width: RegisterWidth) {
    let piece = map.pieces[index]
    let page = UInt32(piece.physical - FlatMap.registerBase)
    // Mostly near the rows and over their edges.
    let rows = Self.ranges.filter { $0.offset & ~0xFFF == page }
    var offset = page + UInt32.random(in: 0...(0x1000 - UInt32(width.rawValue)), using: &random)
    if let row = rows.randomElement(using: &random), Int.random(in: 0..<4, using: &random) > 0 {
      offset = row.offset &+ UInt32.random(in: 0..<(row.length + 8), using: &random) &- 7
    }
    access(register: offset, at: piece.virtual + UInt64(offset - page), width, core: randomCore())
  }

  /// A register by a core's address for it; what becomes of it follows from the rows.
  private func access(register offset: UInt32, at virtual: UInt64, _ width: RegisterWidth, core: Int) {
    tally.accesses += 1
    tally.aimedAtRemappedPages += 1
    let storing = Bool.random(using: &random) ? random.next() & width.mask : nil
    let end = offset + UInt32(width.rawValue)
    let row = Self.ranges.first { offset < $0.offset + $0.length && end > $0.offset }
    let outcome = touch(core, virtual, width, storing)
    var expected = storing ?? 0
    if let row {
      if row.disposition != .deny, offset >= row.offset, end <= row.offset + row.length {
        if let storing { shadow.store(storing, at: offset, width) } else { expected = shadow.load(offset, width) }
        if row.disposition == .redirect {
          pendingAtDPI.insert(Self.notifyVector)
          let entry = RedirectedAccess(offset: offset, width: width, isWrite: storing != nil, value: expected)
          if log.removeFirst() != entry { report(.register, "the log lacks \(entry)") }
        }
      }
    } else {
      deviceAccesses += 1
      if let storing { device.store(storing, at: offset, width) } else { expected = device.load(offset, width) }
    }
    if outcome != .done(expected) {
      report(.register, "offset \(offset), \(width): \(outcome), expected \(expected)")
    }
    if window.device.accesses != deviceAccesses {
      report(.register, "offset \(offset), \(width): the device saw \(window.device.accesses - deviceAccesses) more")
    }
    if !log.isEmpty { report(.register, "offset \(offset), \(width): logged without need") }
    checkInterrupts("a redirected access")
  }

  // MARK: Without paging, and DMA

  private func accessUnpaged() {
    let core = 2
    let width = Self.randomWidth(&random)
    let length = UInt64(width.rawValue)
    if Int.random(in: 0..<8, using: &random) == 0 {
      let offset = UInt32(0x2800) + UInt32.random(in: 0..<0x20, using: &random)
      return access(register: offset, at: FlatMap.registerBase + UInt64(offset), width, core: core)
    }
    let physical = randomPlace(length)
    let storing = Bool.random(using: &random) ? random.next() & width.mask : nil
    count(physical, length)
    let outcome = touch(core, physical, width, storing)
    var expected = AccessOutcome.fault(.dpiMemory)
    if !isDPI(physical & ~0xFFF, 0x1000) {
      expected = .done(storing ?? memory.expected(physical, width: Int(length)))
      if let storing { memory.expect(storing, at: physical, width: Int(length)) }
    }
    if outcome != expected {
      report(.outcome, "paging off, \(physical), \(width): \(outcome), expected \(expected)")
    }
  }

  /// Some bytes of memory that the map knows, within a page.
  private func randomPlace(_ length: UInt64) -> UInt64 {
    let indexes = [map.secret, map.movable, map.ordinary].randomElement(using: &random)!
    guard let index = indexes.randomElement(using: &random) else { return WorldGeography.osPages.lowerBound }
    let piece = map.pieces[index]
    return piece.physical + UInt64.random(in: 0...(0x1000 - length), using: &random)
  }

  private func transfer() {
    let requester = [Self.nic, Self.sibling, Self.disk, Self.mapped].randomElement(using: &random)!
    let length = UInt64.random(in: 1...16, using: &random)
    let isWrite = Bool.random(using: &random)
    var bus = randomPlace(length)
    var physical = bus
    var isAllowed = !isDPI(physical, length) || requester == Self.nic
    if requester == Self.mapped {
      let page = Int.random(in: 0..<10, using: &random)
      bus = UInt64(page) << 12 + UInt64.random(in: 0...(0x1000 - length), using: &random)
      let entry = page < busPages.count ? busPages[page] : nil
      physical = (entry?.physical ?? 0) + bus & 0xFFF
      isAllowed = entry.map { !isDPI(physical, length) && ($0.isWritable || !isWrite) } ?? false
    }
    count(physical, length)
    var bytes = (0..<Int(length)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    let isDone: Bool
    if isWrite {
      isDone = northbridge.writeMemory(BusAddress(bus), bytes.span, requester: requester)
      if isAllowed {
        for (index, byte) in bytes.enumerated() {
          memory.expect(UInt64(byte), at: physical + UInt64(index), width: 1)
        }
      }
    } else {
      var span = bytes.mutableSpan
      isDone = northbridge.readMemory(BusAddress(bus), into: &span, range: 0..<Int(length), requester: requester)
      if isDone, isAllowed {
        let expected = (0..<length).map { UInt8(memory.expected(physical + $0, width: 1)) }
        if bytes != expected { report(.dma, "\(requester) read \(bytes) at \(physical), expected \(expected)") }
      }
    }
    if isDone != isAllowed {
      report(.dma, "\(requester), write \(isWrite), \(length) bytes at \(physical): \(isDone), expected \(isAllowed)")
    }
  }

  // MARK: Interrupts

  private func interrupt() {
    tally.accesses += 1
    let sender = LocalAPICID(UInt32.random(in: 0..<UInt32(Self.osCores), using: &random))
    let guesses = [SeededDefect.vector, Self.notifyVector, Self.nicVector, 0x31, 0xFB]
    let vector =
      Bool.random(using: &random)
      ? guesses.randomElement(using: &random)! : UInt8.random(in: 16 ... .max, using: &random)
    let target = UInt8(Self.dpiCore.rawValue)
    switch Int.random(in: 0..<6, using: &random) {
    case 0, 1: northbridge.interrupts.send(InterruptCommand(vector: vector, destination: target), from: sender)
    case 2:
      let shorthand: InterruptCommand.Shorthand = Bool.random(using: &random) ? .allExcludingSelf : .allIncludingSelf
      northbridge.interrupts.send(InterruptCommand(vector: vector, shorthand: shorthand), from: sender)
    case 3:
      let mode = [DeliveryMode.nonMaskable, .initialize, .startUp, .systemManagement].randomElement(using: &random)!
      northbridge.interrupts.send(InterruptCommand(vector: vector, mode: mode, destination: target), from: sender)
    case 4:
      northbridge.interrupts.send(InterruptCommand(vector: vector, destination: 0xFF, isLogical: true), from: sender)
    default:
      let device = [Self.nic, Self.sibling, Self.disk].randomElement(using: &random)!
      let message = MessageSignaledInterrupt(core: Self.dpiCore, vector: vector)
      northbridge.interrupts.signal(message, from: device)
      if device == Self.nic, vector == Self.nicVector { pendingAtDPI.insert(vector) }
    }
    checkInterrupts("vector \(vector) from core \(sender.rawValue)")
  }

  /// The DPI core has what it should have, and takes it.
  private func checkInterrupts(_ cause: @autoclosure () -> String) {
    let signals = northbridge.interrupts.takeSignals(at: Self.dpiCore)
    if signals != CoreSignals() { report(.interrupt, "after \(cause()): \(signals)") }
    var taken = VectorSet()
    while let vector = northbridge.interrupts.acknowledge(at: Self.dpiCore) {
      taken.insert(vector)
      northbridge.interrupts.endInterrupt(at: Self.dpiCore)
    }
    if taken != pendingAtDPI { report(.interrupt, "after \(cause()): \(taken), expected \(pendingAtDPI)") }
    pendingAtDPI = VectorSet()
  }

  // MARK: What changes

  /// The DPI core moves the boundary, and no OS core flushes anything. What is written down: from the very next access on,
  /// pages that became DPI memory are refused, though they may be in a TLB, and pages that no longer are DPI memory are
  /// reached.
  private func moveBoundary() {
    // Touched before, so that translations are there to become stale.
    let near = map.movable.randomElement(using: &random).map { map.pieces[$0] }
    for core in 0..<2 {
      guard let near, finding == nil, fault(of: near, isStore: false) == nil else { break }
      tally.accesses += 1
      let outcome = touch(core, near.virtual, .quadWord, nil)
      if outcome != .done(memory.expected(near.physical, width: 8)) {
        report(.outcome, "\(near) before a move: \(outcome)")
      }
      if let index = map.movable.first(where: { map.pieces[$0].virtual == near.virtual }) {
        map.noteAccess(index, isStore: false)
      }
    }
    partition = geography.partition(
      near: Bool.random(using: &random) ? near.map { $0.physical } : nil, using: &random)
    let registers = AllyConfiguration.base.rawValue
    // The end first when it grows, so that the boundary never passes it: both hold what is kept, in any order.
    for (register, value) in [
      (AllyConfiguration.Register.end, partition.end), (AllyConfiguration.Register.boundary, partition.boundary),
    ] {
      let outcome = unsafe cores[Self.osCores].store(
        value.rawValue, at: VirtualAddress(registers + register), width: .quadWord, on: &northbridge, devices: &window)
      if outcome != .done(value.rawValue) {
        report(.outcome, "the DPI core's write to register \(register): \(outcome)")
      }
    }
    if northbridge.configuration.error != .none {
      report(.outcome, "\(partition) was refused: \(northbridge.configuration.error)")
    }
    let before = tally.accesses
    if let near, let index = map.movable.first(where: { map.pieces[$0].virtual == near.virtual }) {
      access(piece: index)
    }
    for _ in 0..<2 { access(map.movable) }
    tally.afterBoundaryMove += tally.accesses - before
  }

  private func remapOne() {
    guard let index = map.ordinary.randomElement(using: &random), map.pieces[index].isRemappable else { return }
    map.remap(index)
    for core in 0..<2 { unsafe cores[core].mmu.invalidatePage(VirtualAddress(map.pieces[index].virtual)) }
  }

  // MARK: At the end

  private func checkDPIMemory() {
    for page in map.watched.sorted() where !memory.isAsExpected(page: page) {
      report(.dpiMemoryChanged, "the page at \(page)")
    }
  }

  private func checkAccessBits() {
    for piece in map.pieces {
      let flags = PageTableEntry(rawValue: memory.actual(piece.leaf)).flags
      if let isAccessed = piece.isAccessed, flags.contains(.accessed) != isAccessed {
        report(.accessBits, "\(piece): accessed \(!isAccessed)")
      }
      if let isDirty = piece.isDirty, flags.contains(.dirty) != isDirty {
        report(.accessBits, "\(piece): dirty \(!isDirty)")
      }
    }
  }
}
