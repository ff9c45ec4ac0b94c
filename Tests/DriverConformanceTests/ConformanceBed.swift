import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyHost
import AllyPacket
import AllyRings
import AllySimulator

/// What the OS's driver runs on: registers behind Ally, memory as it is.
struct BedOS<Virtualizer: NICVirtualizer & ~Copyable, NIC: HostedNIC & ~Copyable>: OSEnvironment, ~Copyable {
  var intercepted: InterceptedNIC<Virtualizer, NIC>
  /// Accesses to memory that is not there.
  var faults = 0
  private(set) var delivery = InterruptDelivery.pin

  init(_ intercepted: consuming InterceptedNIC<Virtualizer, NIC>) { self.intercepted = intercepted }

  mutating func readRegister(_ offset: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: intercepted.readRegister(offset, width: .doubleWord))
  }

  mutating func writeRegister(_ offset: UInt32, _ value: UInt32) {
    intercepted.writeRegister(offset, value: UInt64(value), width: .doubleWord)
  }

  mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt32 {
    UInt32(truncatingIfNeeded: intercepted.readRegister(offset, width: width))
  }

  mutating func writeRegister(_ offset: UInt32, _ value: UInt32, width: RegisterWidth) {
    intercepted.writeRegister(offset, value: UInt64(value), width: width)
  }

  mutating func requestMessages(_ count: Int) -> Bool {
    guard let msix = intercepted.nic.function.msix, count <= msix.vectors else { return false }
    delivery = .messageTable
    return true
  }

  mutating func load(_ address: PhysicalAddress) -> UInt64 {
    guard let value = intercepted.bus.memory.load(UInt64.self, at: address) else {
      faults += 1
      return 0
    }
    return value
  }

  mutating func store(_ value: UInt64, at address: PhysicalAddress) {
    if !intercepted.bus.memory.store(value, at: address) { faults += 1 }
  }

  mutating func read(_ address: PhysicalAddress, count: Int, into bytes: inout [UInt8]) -> Bool {
    guard let place = unsafe intercepted.bus.memory.pointer(at: address, length: UInt64(count), for: .read) else {
      faults += 1
      return false
    }
    unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: place, count: count))
    return true
  }

  mutating func write(_ source: RawSpan, to address: PhysicalAddress) -> Bool {
    let length = UInt64(source.byteCount)
    guard let place = unsafe intercepted.bus.memory.pointer(at: address, length: length, for: .write) else {
      faults += 1
      return false
    }
    unsafe source.withUnsafeBytes { unsafe place.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    return true
  }
}

/// A NIC behind Ally, the OS's driver before it, and the other end of its wire: the same for our own models and for NICs
/// that nobody here wrote.
struct ConformanceBed<
  Virtualizer: NICVirtualizer & ~Copyable, NIC: HostedNIC & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>: ~Copyable {
  var os: BedOS<Virtualizer, NIC>
  var osDriver: OSDriver
  var far: Uplink
  var inspector: MarkedFrames
  private var now: UInt64 = 0
  private var buffer = [UInt8](repeating: 0, count: Uplink.longestFrame)

  /// OS memory from 1 MiB up to here, DPI memory from here on.
  static var boundary: UInt64 { 32 << 20 }
  static var end: UInt64 { 64 << 20 }
  static var driverMemory: PhysicalAddress { PhysicalAddress(0x10_0000) }

  init(
    _ nic: consuming NIC, memory: consuming PhysicalMemory, osDriver: consuming OSDriver, far: consuming Uplink,
    inspector: MarkedFrames, protection: PacketProtection, copyMemory: UInt64 = 4 << 20
  ) throws {
    let settings = InterceptionSettings(
      limits: RingLimits(maximumDescriptors: 1024, maximumFrameLength: 16_384, copyMemory: copyMemory),
      protection: protection)
    os = BedOS(
      try InterceptedNIC(
        nic, memory: memory,
        dpiMemory: DPIRegion(base: PhysicalAddress(Self.boundary), length: Self.end - Self.boundary),
        settings: settings))
    self.osDriver = osDriver
    self.far = far
    self.inspector = inspector
  }

  /// The OS starts its driver, and waits until the link has been negotiated: without one a NIC loses frames by right.
  mutating func start(
    delivered: (RawSpan) -> Void = { _ in }, sent: (ArraySlice<UInt8>) -> Void = { _ in }
  ) {
    osDriver.start(stationAddress: TestFrame.station, on: &os)
    for _ in 0..<12 { turn(delivered: delivered, sent: sent) }
  }

  /// Sends a frame over the wire towards the NIC; false when the wire is full.
  mutating func offer(_ frame: [UInt8]) -> Bool { far.send(frame.span) }

  /// The OS sends a frame; false when its ring is full.
  mutating func send(_ frame: [UInt8]) -> Bool { unsafe osDriver.send(frame.span.bytes, doorbell: true, on: &os) }

  /// Everyone has a turn: NIC, DPI core, OS, and the other end of the wire.
  mutating func turn(delivered: (RawSpan) -> Void, sent: (ArraySlice<UInt8>) -> Void) {
    now += 1_000_000
    os.intercepted.work(inspecting: &inspector, at: now)
    let interrupts = os.intercepted.takeInterrupts(at: now, by: os.delivery)
    if os.delivery == .pin {
      if interrupts.isPinAsserted { osDriver.interrupt(on: &os, deliver: delivered) }
    } else {
      for message in 0..<32 where interrupts.messages >> UInt32(message) & 1 == 1 {
        osDriver.interrupt(message: message, on: &os, deliver: delivered)
      }
    }
    var frame: [UInt8] = []
    swap(&frame, &buffer)
    while true {
      var bytes = frame.mutableSpan
      guard let count = far.receive(into: &bytes) else { break }
      sent(frame[..<count])
    }
    swap(&frame, &buffer)
  }
}
