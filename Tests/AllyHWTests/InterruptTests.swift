import AllyHW
import Testing

@Suite("Interrupt Unit")
struct InterruptUnitTests {
  private let os = TestMachine.osCore
  private let dpi = TestMachine.dpiCore
  private let nic = TestMachine.nic
  private let disk = RequesterID(bus: 0, device: 7, function: 0)

  private func unit() -> InterruptUnit {
    var unit = InterruptUnit(cores: [os, dpi], dpiCores: [dpi])
    unit.connect(nic, pin: 11)
    unit.connect(disk, pin: 11)
    unit.route(pin: 11, to: PinRoute(core: os, vector: 0x31))
    return unit
  }

  @Test("a pin interrupts the core that the OS routed it to, once until the end of the interrupt")
  func pin() {
    var unit = unit()
    unit.setLevel(of: nic, asserted: true)
    #expect(unit.acknowledge(at: os) == 0x31)
    #expect(unit.pending(at: os) == nil)
    unit.setLevel(of: nic, asserted: false)
    unit.endInterrupt(at: os)
    #expect(unit.pending(at: os) == nil)
    #expect(unit.counters.deviceInterrupts == 1)
  }

  @Test("a level that is still high at the end of the interrupt interrupts again")
  func levelTriggered() {
    var unit = unit()
    unit.setLevel(of: nic, asserted: true)
    _ = unit.acknowledge(at: os)
    unit.endInterrupt(at: os)
    #expect(unit.acknowledge(at: os) == 0x31)
  }

  @Test("a masked pin interrupts when it is unmasked")
  func masked() {
    var unit = unit()
    unit.route(pin: 11, to: PinRoute(core: os, vector: 0x31, isMasked: true))
    unit.setLevel(of: nic, asserted: true)
    #expect(unit.pending(at: os) == nil)
    unit.route(pin: 11, to: PinRoute(core: os, vector: 0x31))
    #expect(unit.pending(at: os) == 0x31)
  }

  @Test("a pin that is routed anew while its interrupt is in service is not stuck")
  func reroutedInService() {
    var unit = unit()
    unit.setLevel(of: nic, asserted: true)
    _ = unit.acknowledge(at: os)
    unit.route(pin: 11, to: PinRoute(core: os, vector: 0x62))
    unit.endInterrupt(at: os)
    #expect(unit.acknowledge(at: os) == 0x62)
  }

  @Test("a redirected NIC's pin interrupts the DPI core, and the OS core learns nothing")
  func redirectedPin() {
    var unit = unit()
    unit.authorize(.device(nic), vector: 0xD0, at: dpi)
    #expect(unit.redirectInterrupts(of: nic, to: dpi, vector: 0xD0) == true)
    unit.setLevel(of: nic, asserted: true)
    #expect(unit.pending(at: os) == nil)
    #expect(unit.acknowledge(at: dpi) == 0xD0)
    // Still high at the end: again.
    unit.endInterrupt(at: dpi)
    #expect(unit.acknowledge(at: dpi) == 0xD0)
    unit.setLevel(of: nic, asserted: false)
    unit.endInterrupt(at: dpi)
    #expect(unit.pending(at: dpi) == nil)
    #expect(unit.counters.redirected == 2)
    #expect(unit.counters.deviceInterrupts == 0)
  }

  @Test("another device on the same pin is not redirected")
  func sharedPin() {
    var unit = unit()
    unit.redirectInterrupts(of: nic, to: dpi, vector: 0xD0)
    unit.setLevel(of: disk, asserted: true)
    #expect(unit.acknowledge(at: os) == 0x31)
  }

  @Test("the DPI core mimics the NIC on the pin: a level that the OS sees until it is lowered")
  func mimicsPin() {
    var unit = unit()
    unit.redirectInterrupts(of: nic, to: dpi, vector: 0xD0)
    unit.mimicLevel(of: nic, asserted: true)
    #expect(unit.acknowledge(at: os) == 0x31)
    unit.endInterrupt(at: os)
    #expect(unit.acknowledge(at: os) == 0x31)
    unit.mimicLevel(of: nic, asserted: false)
    unit.endInterrupt(at: os)
    #expect(unit.pending(at: os) == nil)
    #expect(unit.counters.mimicked == 2)
  }

  @Test("messages go where they say, or to the DPI core when they are redirected; the DPI core sends them on")
  func messages() {
    var unit = unit()
    unit.authorize(.device(nic), vector: 0xD0, at: dpi)
    let message = MessageSignaledInterrupt(core: os, vector: 0x55)
    unit.signal(message, from: nic)
    #expect(unit.acknowledge(at: os) == 0x55)
    unit.endInterrupt(at: os)

    unit.redirectInterrupts(of: nic, to: dpi, vector: 0xD0)
    unit.signal(message, from: nic)
    #expect(unit.pending(at: os) == nil)
    #expect(unit.acknowledge(at: dpi) == 0xD0)
    unit.mimic(message, of: nic)
    #expect(unit.acknowledge(at: os) == 0x55)

    unit.endInterrupt(at: os)
    unit.stopRedirecting(nic)
    unit.signal(message, from: nic)
    #expect(unit.acknowledge(at: os) == 0x55)
  }

  @Test("a message of another kind, or to a core that does not exist, is counted and goes nowhere")
  func undeliverable() {
    var unit = unit()
    unit.signal(MessageSignaledInterrupt(core: LocalAPICID(9), vector: 0x55), from: disk)
    // To no logical destination, and with a delivery mode that is reserved.
    unit.signal(MessageSignaledInterrupt(address: 0xFEE0_000C, data: 0x55), from: disk)
    unit.signal(MessageSignaledInterrupt(address: 0xFEE0_0000, data: 0x355), from: disk)
    #expect(unit.counters.undeliverable == 3)
    #expect(unit.pending(at: os) == nil)
    unit.signal(MessageSignaledInterrupt(address: 0xFEE0_0000, data: 3), from: disk)
    #expect(unit.localAPIC(of: os)?.counters.illegalVectors == 1)
  }

  @Test("a message to all cores does not get past a DPI core's filter")
  func broadcast() {
    var unit = unit()
    unit.signal(MessageSignaledInterrupt(address: 0xFEEF_F000, data: 0x55), from: disk)
    #expect(unit.pending(at: os) == 0x55)
    #expect(unit.pending(at: dpi) == nil)
    #expect(unit.droppedInterrupts(at: dpi) == 1)
  }
}

@Suite("IDT filter: DPI cores take interrupts from authorized sources only")
struct IDTFilterTests {
  private let os = TestMachine.osCore
  private let dpi = TestMachine.dpiCore

  @Test("an OS core that guesses the DPI core's APIC id reaches nothing, with no vector at all")
  func softwareIPI() {
    var unit = InterruptUnit(cores: [os, dpi], dpiCores: [dpi])
    unit.authorize(.redirection(os), vector: 0xE0, at: dpi)
    unit.authorize(.device(TestMachine.nic), vector: 0xD0, at: dpi)
    for vector in UInt8.min...UInt8.max { unit.sendIPI(vector, from: os, to: dpi) }
    #expect(unit.pending(at: dpi) == nil)
    #expect(unit.droppedInterrupts(at: dpi) == 256)
    unit.notifyRedirection(by: os, to: dpi, vector: 0xE0)
    #expect(unit.pending(at: dpi) == 0xE0)
  }

  @Test("a device's message to a DPI core is dropped, unless this device and vector are authorized")
  func deviceMessage() {
    var unit = InterruptUnit(cores: [os, dpi], dpiCores: [dpi])
    unit.authorize(.device(TestMachine.nic), vector: 0xD0, at: dpi)
    let message = MessageSignaledInterrupt(core: dpi, vector: 0xD0)
    unit.signal(message, from: RequesterID(bus: 0, device: 7, function: 0))
    #expect(unit.pending(at: dpi) == nil)
    unit.signal(message, from: TestMachine.nic)
    #expect(unit.acknowledge(at: dpi) == 0xD0)
    unit.revoke(.device(TestMachine.nic), vector: 0xD0, at: dpi)
    unit.endInterrupt(at: dpi)
    unit.signal(message, from: TestMachine.nic)
    #expect(unit.pending(at: dpi) == nil)
    #expect(unit.droppedInterrupts(at: dpi) == 2)
  }

  @Test("OS cores send each other what they like")
  func osCores() {
    var unit = InterruptUnit(cores: [os, LocalAPICID(1), dpi], dpiCores: [dpi])
    unit.sendIPI(0xFB, from: os, to: LocalAPICID(1))
    #expect(unit.acknowledge(at: LocalAPICID(1)) == 0xFB)
  }

  @Test("a filter that is full refuses more")
  func full() {
    var filter = IDTFilter(isEnabled: true)
    for vector in 0..<UInt8(IDTFilter.capacity) { #expect(filter.authorize(.core(os), vector: 0x20 + vector) == true) }
    #expect(filter.authorize(.core(os), vector: 0xF0) == false)
    #expect(filter.authorize(.core(os), vector: 0x20) == true)
    #expect(filter.admit(.core(os), vector: 0xF0) == false)
  }
}

@Suite("Local APIC")
struct LocalAPICTests {
  @Test("the highest vector first; one in service holds off its own class and lower ones")
  func priority() {
    var apic = LocalAPIC(id: LocalAPICID(0))
    for vector: UInt8 in [0x35, 0x80, 0x31] { apic.accept(vector) }
    #expect(apic.acknowledge() == 0x80)
    #expect(apic.acknowledge() == nil)
    apic.accept(0x91)
    #expect(apic.acknowledge() == 0x91)
    #expect(apic.endInterrupt() == 0x91)
    #expect(apic.endInterrupt() == 0x80)
    #expect(apic.acknowledge() == 0x35)
    #expect(apic.acknowledge() == nil)
    #expect(apic.endInterrupt() == 0x35)
    #expect(apic.acknowledge() == 0x31)
  }

  @Test("the task priority holds off its class and lower ones")
  func taskPriority() {
    var apic = LocalAPIC(id: LocalAPICID(0))
    apic.taskPriority = 0x40
    apic.accept(0x4F)
    #expect(apic.pending == nil)
    apic.accept(0x50)
    #expect(apic.pending == 0x50)
  }

  @Test("two of one vector are one, counted")
  func coalesces() {
    var apic = LocalAPIC(id: LocalAPICID(0))
    apic.accept(0x40)
    apic.accept(0x40)
    #expect(apic.acknowledge() == 0x40)
    #expect(apic.endInterrupt() == 0x40)
    #expect(apic.acknowledge() == nil)
    #expect(apic.counters.coalesced == 1)
    #expect(apic.endInterrupt() == nil)
  }

  @Test("a vector set is a set", arguments: [UInt64(8), 31])
  func vectorSet(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var set = VectorSet()
    var model: Set<UInt8> = []
    for _ in 0..<2000 {
      let vector = UInt8.random(in: .min ... .max, using: &random)
      if Bool.random(using: &random) {
        #expect(set.insert(vector) == model.insert(vector).inserted, "seed \(seed)")
      } else {
        #expect(set.remove(vector) == (model.remove(vector) != nil), "seed \(seed)")
      }
      #expect(set.highest == model.max(), "seed \(seed)")
      #expect(set.isEmpty == model.isEmpty, "seed \(seed)")
    }
  }
}
