/// Where an interrupt pin leads: an entry of the I/O APIC's redirection table, level-triggered.
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
/// these go where the OS had them routed. An interrupt pin is level-triggered: it interrupts again at the end of the
/// interrupt as long as the level is high.
///
/// Owned by the platform; one core at a time uses it.
@frozen
@safe
public struct InterruptUnit: ~Copyable {
  /// How many devices can be connected.
  public static var maximumDevices: Int { 32 }
  /// How many pins there are.
  public static var pinCount: Int { 24 }

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
  @usableFromInline var routes: InlineArray<24, PinRoute?>
  @usableFromInline var pinsInService: UInt32
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
    routes = .init(repeating: nil)
    pinsInService = 0
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

  /// Routes a pin, as the OS does through the I/O APIC. False when there is no such pin.
  @discardableResult
  public mutating func route(pin: UInt8, to route: PinRoute) -> Bool {
    guard Int(pin) < Self.pinCount else { return false }
    if let before = routes[Int(pin)], before.core != route.core || before.vector != route.vector {
      // The end of an interrupt is matched by core and vector, so one that is in service would never end.
      pinsInService &= ~(1 << UInt32(pin))
    }
    routes[Int(pin)] = route
    driveRoute(pin)
    return true
  }

  /// Steers a device's interrupts, by pin and by message, to a DPI core (paper §4.3). The core's filter must let them
  /// through besides. False when the device is not connected or the core does not exist.
  @discardableResult
  public mutating func redirectInterrupts(of requester: RequesterID, to core: LocalAPICID, vector: UInt8) -> Bool {
    guard let place = index(of: requester), index(of: core) != nil else { return false }
    unsafe lines[place].redirection = PinRoute(core: core, vector: vector)
    unsafe lines[place].isInService = false
    if let pin = unsafe lines[place].pin { driveRoute(pin) }
    driveRedirection(place)
    return true
  }

  /// Lets a device's interrupts go where the OS routes them again.
  public mutating func stopRedirecting(_ requester: RequesterID) {
    guard let place = index(of: requester) else { return }
    unsafe lines[place].redirection = nil
    unsafe lines[place].mimickedLevel = false
    if let pin = unsafe lines[place].pin { driveRoute(pin) }
  }

  /// Lets `vector` from `source` through to a DPI core. False when the core does not exist or its filter is full.
  @discardableResult
  public mutating func authorize(_ source: InterruptSource, vector: UInt8, at core: LocalAPICID) -> Bool {
    guard let place = index(of: core) else { return false }
    return unsafe filters[place].authorize(source, vector: vector)
  }

  /// Takes an authorisation back.
  public mutating func revoke(_ source: InterruptSource, vector: UInt8, at core: LocalAPICID) {
    guard let place = index(of: core) else { return }
    unsafe filters[place].revoke(source, vector: vector)
  }

  // MARK: What devices do

  /// A device's interrupt pin changes, or stays, at a level. Ignored when the device is not connected to a pin.
  public mutating func setLevel(of requester: RequesterID, asserted: Bool) {
    guard let place = index(of: requester), let pin = unsafe lines[place].pin,
      unsafe lines[place].level != asserted
    else { return }
    unsafe lines[place].level = asserted
    if unsafe lines[place].redirection != nil { driveRedirection(place) } else { driveRoute(pin) }
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
    driveRoute(pin)
  }

  /// A DPI core sends the message that the OS had told the NIC to send.
  public mutating func mimic(_ message: MessageSignaledInterrupt, of requester: RequesterID) {
    counters.mimicked &+= 1
    send(message, from: .device(requester))
  }

  // MARK: What cores do

  /// Software on a core sends an interrupt to another, through its interrupt command register.
  public mutating func sendIPI(_ vector: UInt8, from sender: LocalAPICID, to core: LocalAPICID) {
    counters.softwareIPIs &+= 1
    deliver(vector, from: .core(sender), to: core)
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
    for pin in 0..<UInt8(Self.pinCount) {
      guard let route = routes[Int(pin)], route.core == core, route.vector == vector,
        pinsInService >> UInt32(pin) & 1 == 1
      else { continue }
      pinsInService &= ~(1 << UInt32(pin))
      driveRoute(pin)
    }
    for line in 0..<lineCount {
      guard let redirection = unsafe lines[line].redirection, redirection.core == core, redirection.vector == vector,
        unsafe lines[line].isInService
      else { continue }
      unsafe lines[line].isInService = false
      driveRedirection(line)
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

  // MARK: Delivery

  /// Interrupts the core that a pin is routed to, when a device that is not redirected, or a DPI core in a device's
  /// place, holds it high and its last interrupt has ended.
  private mutating func driveRoute(_ pin: UInt8) {
    guard let route = routes[Int(pin)], !route.isMasked, pinsInService >> UInt32(pin) & 1 == 0 else { return }
    for place in 0..<lineCount {
      let line = unsafe lines[place]
      guard line.pin == pin, line.redirection == nil ? line.level : line.mimickedLevel else { continue }
      if line.redirection == nil { counters.deviceInterrupts &+= 1 } else { counters.mimicked &+= 1 }
      if deliver(route.vector, from: .device(line.requester), to: route.core) {
        pinsInService |= 1 << UInt32(pin)
      }
      return
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
    guard message.isDeliverable else {
      counters.undeliverable &+= 1
      return
    }
    guard message.destination == 0xFF else {
      deliver(message.vector, from: source, to: LocalAPICID(UInt32(message.destination)))
      return
    }
    for place in 0..<coreCount { deliver(message.vector, from: source, to: unsafe apics[place].id) }
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
}
