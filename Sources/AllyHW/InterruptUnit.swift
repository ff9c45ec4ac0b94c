/// Where an interrupt leads: a pin, as a level-triggered entry of the I/O APIC has it, or a redirected device's.
@frozen
public struct PinRoute: Sendable, BitwiseCopyable, Equatable {
  public var core: LocalAPICID
  public var vector: UInt8
  public var isMasked: Bool

  @inlinable
  public init(core: LocalAPICID, vector: UInt8, isMasked: Bool = false) {
    self.core = core
    self.vector = vector
    self.isMasked = isMasked
  }
}

/// What the Interrupt Unit has done.
@frozen
public struct InterruptCounters: Sendable, BitwiseCopyable, Equatable {
  /// Interrupts of devices that were delivered where the OS routes them.
  public var deviceInterrupts: UInt64 = 0
  /// Interrupts of devices that were redirected to a DPI core.
  public var redirected: UInt64 = 0
  /// Interrupts that a DPI core sent in a device's place.
  public var mimicked: UInt64 = 0
  /// IPIs about redirected accesses.
  public var redirectionIPIs: UInt64 = 0
  /// IPIs that software sent.
  public var softwareIPIs: UInt64 = 0
  /// Interrupts without a destination that exists, and messages of a kind that is not delivered.
  public var undeliverable: UInt64 = 0

  @inlinable
  public init() {}
}

/// The Interrupt Unit of the northbridge (paper §2.1, §4.3): takes interrupts from pins, messages and cores to local
/// APICs, and steers those of selected NICs to DPI cores.
///
/// A DPI core that virtualizes a NIC mimics the NIC's interrupts: it drives the same pin, or sends the same message, and
/// these go where the OS had them routed. A level-triggered pin interrupts again at the end of the interrupt as long as
/// the level is high.
///
/// The I/O APIC and each core's local APIC have their registers in physical memory; see ``readRegister(_:by:)``. Owned by
/// the platform; one core at a time uses it.
@frozen
@safe
public struct InterruptUnit: ~Copyable {
  /// How many devices can be connected.
  public static var maximumDevices: Int { 32 }
  /// How many pins there are.
  public static var pinCount: Int { IOAPIC.pinCount }

  /// A connected device: its levels, and where its interrupts go.
  @usableFromInline
  struct Line: BitwiseCopyable {
    var requester: RequesterID
    var pin: UInt8?
    var level: Bool = false
    var mimickedLevel: Bool = false
    var redirection: PinRoute?
    /// A redirected level interrupt is in service, as an I/O APIC's Remote IRR bit says it.
    var isInService: Bool = false
  }

  /// Invariant: `lineCount` lines and `coreCount` APICs and filters are initialized.
  @usableFromInline let lines: UnsafeMutablePointer<Line>
  @usableFromInline var lineCount: Int
  @usableFromInline let apics: UnsafeMutablePointer<LocalAPIC>
  @usableFromInline let filters: UnsafeMutablePointer<IDTFilter>
  @usableFromInline let coreCount: Int
  /// The I/O APIC, which the OS programs.
  public private(set) var ioAPIC: IOAPIC
  /// The pins that were high when they were last looked at.
  @usableFromInline var highPins: UInt32
  /// Where the search for the least busy core begins, so that equals take turns.
  @usableFromInline var nextChoice: Int
  public private(set) var counters: InterruptCounters

  /// A unit with a local APIC for each core. Those of the DPI cores begin with a filter that lets nothing through.
  public init(cores: [LocalAPICID], dpiCores: [LocalAPICID] = []) {
    coreCount = cores.count
    unsafe apics = .allocate(capacity: max(1, cores.count))
    unsafe filters = .allocate(capacity: max(1, cores.count))
    for (index, id) in cores.enumerated() {
      unsafe (apics + index).initialize(to: LocalAPIC(id: id))
      unsafe (filters + index).initialize(to: IDTFilter(isEnabled: dpiCores.contains(id)))
    }
    unsafe lines = .allocate(capacity: Self.maximumDevices)
    lineCount = 0
    ioAPIC = IOAPIC()
    highPins = 0
    nextChoice = 0
    counters = InterruptCounters()
  }

  deinit {
    unsafe apics.deallocate()
    unsafe filters.deallocate()
    unsafe lines.deallocate()
  }

  private func index(of core: LocalAPICID) -> Int? {
    for index in 0..<coreCount where unsafe apics[index].id == core { return index }
    return nil
  }

  private func index(of requester: RequesterID) -> Int? {
    for index in 0..<lineCount where unsafe lines[index].requester == requester { return index }
    return nil
  }

  // MARK: Set-up

  /// Connects a device, to a pin if it has one. False when there is no room or no such pin.
  @discardableResult
  public mutating func connect(_ requester: RequesterID, pin: UInt8?) -> Bool {
    if let pin, Int(pin) >= Self.pinCount { return false }
    if let place = index(of: requester) {
      unsafe lines[place].pin = pin
      return true
    }
    guard lineCount < Self.maximumDevices else { return false }
    unsafe (lines + lineCount).initialize(to: Line(requester: requester, pin: pin))
    lineCount &+= 1
    return true
  }

  /// Routes a pin to a core, level-triggered, as the OS does through the I/O APIC. False when there is no such pin, or when
  /// the core's id is beyond the 8 bits that an entry has.
  @discardableResult
  public mutating func route(pin: UInt8, to route: PinRoute) -> Bool {
    guard Int(pin) < Self.pinCount, route.core.rawValue < 0xFF else { return false }
    var entry = RedirectionEntry(
      vector: route.vector, destination: UInt8(route.core.rawValue), isLevel: true, isMasked: route.isMasked)
    // As when software masks the pin, takes the level trigger away and sets both again: else an interrupt that is in
    // service under the old vector would never end.
    let before = ioAPIC[pin]
    let isSame = before.vector == entry.vector && before.rawValue >> 56 == entry.rawValue >> 56
    entry.isInService = isSame && before.isInService
    ioAPIC[pin] = entry
    drivePin(pin)
    return true
  }

  /// Steers a device's interrupts, by pin and by message, to a DPI core (paper §4.3). The core's filter must let them
  /// through besides. False when the device is not connected or the core does not exist.
  @discardableResult
  public mutating func redirectInterrupts(of requester: RequesterID, to core: LocalAPICID, vector: UInt8) -> Bool {
    guard let place = index(of: requester), index(of: core) != nil else { return false }
    unsafe lines[place].redirection = PinRoute(core: core, vector: vector)
    unsafe lines[place].isInService = false
    if let pin = unsafe lines[place].pin { drivePin(pin) }
    driveRedirection(place)
    return true
  }

  /// Lets a device's interrupts go where the OS routes them again.
  public mutating func stopRedirecting(_ requester: RequesterID) {
    guard let place = index(of: requester) else { return }
    unsafe lines[place].redirection = nil
    unsafe lines[place].mimickedLevel = false
    if let pin = unsafe lines[place].pin { drivePin(pin) }
  }

  /// Lets `vector` from `source` through to a DPI core, or an interrupt of another delivery mode. False when the core does
  /// not exist or its filter is full.
  @discardableResult
  public mutating func authorize(
    _ source: InterruptSource, vector: UInt8, mode: DeliveryMode = .fixed, at core: LocalAPICID
  ) -> Bool {
    guard let place = index(of: core) else { return false }
    return unsafe filters[place].authorize(source, vector: vector, mode: mode)
  }

  /// Takes an authorisation back.
  public mutating func revoke(
    _ source: InterruptSource, vector: UInt8, mode: DeliveryMode = .fixed, at core: LocalAPICID
  ) {
    guard let place = index(of: core) else { return }
    unsafe filters[place].revoke(source, vector: vector, mode: mode)
  }

  /// Turns a core's filter on, as a core does that becomes a DPI core (paper §4.1), or off. False when the core does not
  /// exist.
  @discardableResult
  public mutating func setFilter(isEnabled: Bool, at core: LocalAPICID) -> Bool {
    guard let place = index(of: core) else { return false }
    unsafe filters[place].isEnabled = isEnabled
    return true
  }

  // MARK: What devices do

  /// A device's interrupt pin changes, or stays, at a level. Ignored when the device is not connected to a pin.
  public mutating func setLevel(of requester: RequesterID, asserted: Bool) {
    guard let place = index(of: requester), let pin = unsafe lines[place].pin,
      unsafe lines[place].level != asserted
    else { return }
    unsafe lines[place].level = asserted
    if unsafe lines[place].redirection != nil { driveRedirection(place) } else { drivePin(pin) }
  }

  /// A device writes an interrupt message.
  public mutating func signal(_ message: MessageSignaledInterrupt, from requester: RequesterID) {
    if let place = index(of: requester), let redirection = unsafe lines[place].redirection {
      counters.redirected &+= 1
      deliver(redirection.vector, from: .device(requester), to: redirection.core)
      return
    }
    counters.deviceInterrupts &+= 1
    send(message, from: .device(requester))
  }

  // MARK: What DPI cores do

  /// A DPI core drives a NIC's interrupt pin in the NIC's place. Ignored unless the NIC's interrupts are redirected.
  public mutating func mimicLevel(of requester: RequesterID, asserted: Bool) {
    guard let place = index(of: requester), let pin = unsafe lines[place].pin,
      unsafe lines[place].redirection != nil, unsafe lines[place].mimickedLevel != asserted
    else { return }
    unsafe lines[place].mimickedLevel = asserted
    drivePin(pin)
  }

  /// A DPI core sends the message that the OS had told the NIC to send.
  public mutating func mimic(_ message: MessageSignaledInterrupt, of requester: RequesterID) {
    counters.mimicked &+= 1
    send(message, from: .mimicked(requester))
  }

  // MARK: What cores do

  /// Software on a core sends an interrupt to another, through its interrupt command register.
  public mutating func sendIPI(_ vector: UInt8, from sender: LocalAPICID, to core: LocalAPICID) {
    counters.softwareIPIs &+= 1
    deliver(vector, from: .core(sender), to: core)
  }

  /// Software on a core writes its interrupt command register.
  public mutating func send(_ command: InterruptCommand, from sender: LocalAPICID) {
    counters.softwareIPIs &+= 1
    guard let message = command.message(from: sender) else {
      counters.undeliverable &+= 1
      return
    }
    deliver(message, from: .core(sender))
  }

  /// The MMU of an OS core tells a DPI core of a redirected access (paper §4.3, Figure 3).
  public mutating func notifyRedirection(by sender: LocalAPICID, to core: LocalAPICID, vector: UInt8) {
    counters.redirectionIPIs &+= 1
    deliver(vector, from: .redirection(sender), to: core)
  }

  /// The interrupt that a core would take now.
  public borrowing func pending(at core: LocalAPICID) -> UInt8? {
    guard let place = index(of: core) else { return nil }
    return unsafe apics[place].pending
  }

  /// A core takes its pending interrupt.
  public mutating func acknowledge(at core: LocalAPICID) -> UInt8? {
    guard let place = index(of: core) else { return nil }
    return unsafe apics[place].acknowledge()
  }

  /// A core ends the interrupt that it took last; a pin whose level is still high then interrupts again.
  public mutating func endInterrupt(at core: LocalAPICID) {
    guard let place = index(of: core), let vector = unsafe apics[place].endInterrupt() else { return }
    // A level-triggered one is reported to the I/O APIC, which knows it by its vector.
    if unsafe apics[place].levelTriggered.contains(vector) { endLevel(vector) }
    for line in 0..<lineCount {
      guard let redirection = unsafe lines[line].redirection, redirection.core == core, redirection.vector == vector,
        unsafe lines[line].isInService
      else { continue }
      unsafe lines[line].isInService = false
      driveRedirection(line)
    }
  }

  private mutating func endLevel(_ vector: UInt8) {
    for pin in 0..<UInt8(Self.pinCount) {
      var entry = ioAPIC[pin]
      guard entry.vector == vector, entry.isLevel, entry.isInService else { continue }
      entry.isInService = false
      ioAPIC[pin] = entry
      drivePin(pin)
    }
  }

  /// A copy of a core's local APIC, to look at.
  public borrowing func localAPIC(of core: LocalAPICID) -> LocalAPIC? {
    guard let place = index(of: core) else { return nil }
    return unsafe apics[place]
  }

  /// How many interrupts a core's filter has kept off it.
  public borrowing func droppedInterrupts(at core: LocalAPICID) -> UInt64 {
    guard let place = index(of: core) else { return 0 }
    return unsafe filters[place].dropped
  }

  /// Sets a core's task priority register.
  public mutating func setTaskPriority(_ priority: UInt8, at core: LocalAPICID) {
    guard let place = index(of: core) else { return }
    unsafe apics[place].taskPriority = priority
  }

  /// A core takes what waits for it besides vectors; see ``CoreSignals``.
  public mutating func takeSignals(at core: LocalAPICID) -> CoreSignals {
    guard let place = index(of: core) else { return CoreSignals() }
    return unsafe apics[place].takeSignals()
  }

  // MARK: Registers in memory

  /// Whether a physical address is in the page of the I/O APIC, or in that of the local APICs.
  @inlinable
  public static func holdsRegister(_ address: PhysicalAddress) -> Bool {
    address.rawValue &- IOAPIC.base.rawValue < IOAPIC.length
      || address.rawValue &- LocalAPICRegister.base.rawValue < LocalAPICRegister.length
  }

  /// A core's load of a register, 32 bits: of the I/O APIC, or of the core's own local APIC.
  public borrowing func readRegister(_ address: PhysicalAddress, by core: LocalAPICID) -> UInt32 {
    let offset = address.rawValue &- IOAPIC.base.rawValue
    if offset < IOAPIC.length { return ioAPIC.read(offset) }
    guard let place = index(of: core) else { return 0 }
    return unsafe apics[place].read(address.rawValue &- LocalAPICRegister.base.rawValue)
  }

  /// A core's store to a register, 32 bits.
  public mutating func writeRegister(_ address: PhysicalAddress, _ value: UInt32, by core: LocalAPICID) {
    let offset = address.rawValue &- IOAPIC.base.rawValue
    if offset < IOAPIC.length {
      switch ioAPIC.write(value, at: offset) {
      case .none: break
      case .changed(let pin): drivePin(pin)
      case .ended(let vector): endLevel(vector)
      }
      return
    }
    guard let place = index(of: core) else { return }
    switch unsafe apics[place].write(value, at: address.rawValue &- LocalAPICRegister.base.rawValue) {
    case .none: break
    case .endInterrupt: endInterrupt(at: core)
    case .send(let command): send(command, from: core)
    }
  }

  // MARK: Delivery

  /// Interrupts the core that a pin is routed to, when a device that is not redirected, or a DPI core in a device's place,
  /// holds it high: of a level-triggered pin when its last interrupt has ended, of an edge-triggered one when it has just
  /// become high.
  private mutating func drivePin(_ pin: UInt8) {
    let wasHigh = highPins >> UInt32(pin) & 1 == 1
    var source: InterruptSource?
    for place in 0..<lineCount {
      let line = unsafe lines[place]
      guard line.pin == pin, line.redirection == nil ? line.level : line.mimickedLevel else { continue }
      source = line.redirection == nil ? .device(line.requester) : .mimicked(line.requester)
      break
    }
    if source == nil { highPins &= ~(1 << UInt32(pin)) } else { highPins |= 1 << UInt32(pin) }
    var entry = ioAPIC[pin]
    guard let source, !entry.isMasked, entry.isLevel ? !entry.isInService : !wasHigh else { return }
    if case .device = source { counters.deviceInterrupts &+= 1 } else { counters.mimicked &+= 1 }
    guard let message = entry.interrupt else {
      counters.undeliverable &+= 1
      return
    }
    let isAccepted = deliver(message, from: source)
    if isAccepted, message.isLevel {
      entry.isInService = true
      ioAPIC[pin] = entry
    }
  }

  private mutating func driveRedirection(_ place: Int) {
    let line = unsafe lines[place]
    guard let redirection = line.redirection, line.level, !line.isInService else { return }
    counters.redirected &+= 1
    if deliver(redirection.vector, from: .device(line.requester), to: redirection.core) {
      unsafe lines[place].isInService = true
    }
  }

  private mutating func send(_ message: MessageSignaledInterrupt, from source: InterruptSource) {
    guard let interrupt = message.interrupt else {
      counters.undeliverable &+= 1
      return
    }
    deliver(interrupt, from: source)
  }

  @discardableResult
  private mutating func deliver(_ vector: UInt8, from source: InterruptSource, to core: LocalAPICID) -> Bool {
    guard let place = index(of: core) else {
      counters.undeliverable &+= 1
      return false
    }
    guard unsafe filters[place].admit(source, vector: vector) else { return false }
    return unsafe apics[place].accept(vector)
  }

  /// Takes a message to each core that it names, or to one of them; whether any core accepted it.
  @discardableResult
  private mutating func deliver(_ message: InterruptMessage, from source: InterruptSource) -> Bool {
    if message.mode == .lowestPriority { return deliverToOne(message, from: source) }
    var isNamed = false
    var isAccepted = false
    for place in 0..<coreCount where unsafe apics[place].isNamed(by: message.destination) {
      isNamed = true
      guard unsafe filters[place].admit(source, vector: message.vector, mode: message.mode) else { continue }
      let taken =
        unsafe message.mode.usesVector
        ? apics[place].accept(message.vector, isLevel: message.isLevel)
        : apics[place].accept(message.mode, vector: message.vector)
      isAccepted = isAccepted || taken
    }
    if !isNamed { counters.undeliverable &+= 1 }
    return isAccepted
  }

  /// Takes a message to the least busy core of those that it names. A core whose filter would drop it is not among the
  /// choices: else an OS would lose interrupts to DPI cores that it does not know of.
  private mutating func deliverToOne(_ message: InterruptMessage, from source: InterruptSource) -> Bool {
    var choice: Int?
    for step in 0..<coreCount {
      let place = (nextChoice &+ step) % coreCount
      guard unsafe apics[place].isNamed(by: message.destination), unsafe apics[place].isEnabled,
        unsafe filters[place].admits(source, vector: message.vector, mode: .fixed)
      else { continue }
      if let best = choice, unsafe apics[best].processorPriority <= apics[place].processorPriority { continue }
      choice = place
    }
    guard let choice else {
      counters.undeliverable &+= 1
      return false
    }
    nextChoice = (choice &+ 1) % coreCount
    return unsafe apics[choice].accept(message.vector, isLevel: message.isLevel)
  }
}
