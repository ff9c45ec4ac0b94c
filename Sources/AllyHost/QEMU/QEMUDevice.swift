public import AllyHW
internal import CAllyLinux
internal import Glibc

/// One of QEMU's own NIC models, in a QEMU without processors: its registers over the qtest protocol, its memory shared
/// with this process, its cable a pair of sockets between which and the uplink frames are carried here.
///
/// What real hardware is to a driver module, as far as software can be: nobody of this project wrote it. An access takes
/// some 30 µs. Time in there stands still but for ``work(on:frames:at:)``, which lets it pass, the faster the longer nothing
/// happens, and no more when nothing can happen by itself: link negotiation and interrupt throttling take seconds of it and next
/// to none of ours.
///
/// QEMU has no capabilities, a filter of system calls of its own, two sockets and the memory; it names no file, and ends
/// with this process.
public struct QEMUDevice: HostedNIC, ~Copyable {
  /// What to start.
  public struct Settings: Sendable {
    /// QEMU, 10.1 or later, or a script that becomes it; found as a shell would.
    public var program: String
    /// The model and its properties, as after `-device`: `e1000`, `virtio-net-pci,mq=on`.
    public var model: String
    /// Six bytes.
    public var macAddress: [UInt8]
    /// Bytes of memory that the NIC's DMA reaches: a power of two, from 1 MiB to 2 GiB.
    public var memory: UInt64
    /// The physical address of that memory: 0, or beyond all else of the machine (a multiple of its length from 2^40 on).
    public var memoryBase: UInt64
    /// The base address register whose offsets ``HostedNIC`` means; of a virtio device they are those of `VirtioPCIWindow`.
    public var registerBAR: Int
    /// Whom QEMU runs as; nil for the user of this process.
    public var user: String?

    public init(
      program: String, model: String, macAddress: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56],
      memory: UInt64 = 64 << 20, memoryBase: UInt64 = 0, registerBAR: Int = 0, user: String? = nil
    ) {
      self.program = program
      self.model = model
      self.macAddress = macAddress
      self.memory = memory
      self.memoryBase = memoryBase
      self.registerBAR = registerBAR
      self.user = user
    }
  }

  /// The device numbers on PCI bus 0: the NIC's, and that of memory beyond the machine's own.
  private static var slot: UInt32 { 5 }
  private static var memorySlot: UInt32 { 6 }

  private var connection: QTestConnection
  private let process: QEMUProcess
  private var wire: QEMUWire
  /// The memory that the NIC's DMA reaches.
  let ram: MappedMemory
  public let settings: Settings
  public let function: PCIFunction
  /// Of a virtio device: where its structures are.
  private let window: VirtioPCIWindow?
  private let storage: WireClockStorage
  /// How much time passes in the next ``work(on:frames:at:)``, in nanoseconds, and how much has since something happened.
  private var step = Self.shortestStep
  private var quiet: UInt64 = 0
  private var next: UInt64?
  private var seenRises: UInt64 = 0
  /// Accesses to registers.
  public private(set) var accesses: UInt64 = 0

  private static var shortestStep: UInt64 { 1_000_000 }
  private static var longestStep: UInt64 { 512_000_000 }
  /// No NIC does anything by itself after so long.
  private static var longestQuiet: UInt64 { 4_000_000_000 }

  /// Starts QEMU and places the NIC's base address registers.
  ///
  /// - Parameters:
  ///   - settings: what to start.
  ///   - uplink: where the NIC's cable leads. Its carrier is not the NIC's link: this cable is always plugged in.
  public init(_ settings: Settings, uplink: consuming Uplink) throws(HostError) {
    let file = try Self.memoryFile(settings)
    let ram = try MappedMemory(file.number, offset: 0, length: settings.memory, rights: .readWrite)
    let control = try connectedSockets(SOCK_STREAM)
    var connection = QTestConnection(OwnedDescriptor(control.0))
    let theirControl = OwnedDescriptor(control.1)
    let cable = try connectedSockets(SOCK_DGRAM)
    let near = OwnedDescriptor(cable.0)
    let far = OwnedDescriptor(cable.1)
    let process = try QEMUProcess(
      settings.program, Self.arguments(settings, memory: file.number, control: theirControl.number, wire: far.number),
      user: settings.user, keeping: [file.number, theirControl.number, far.number])
    // QEMU's ends are QEMU's alone: then it shows when it ends.
    _ = consume theirControl
    _ = consume far
    connection.command("irq_intercept_in ioapic")
    let function: PCIFunction
    do throws(HostError) {
      function = try connection.placeFunction(slot: Self.slot)
      Self.placeMemory(settings, &connection)
      if let failure = connection.failure { throw failure }
    } catch {
      throw HostError(process.firstWords().map { "\(error.message): \($0)" } ?? error.message)
    }
    connection.noteStarted()
    self.function = function
    window = VirtioPCIWindow(function.virtioStructures)
    self.process = process
    self.connection = connection
    self.ram = ram
    self.settings = settings
    wire = QEMUWire(uplink, near: near)
    storage = WireClockStorage()
  }

  private static func arguments(_ settings: Settings, memory: Int32, control: Int32, wire: Int32) -> [String] {
    let bytes = settings.memory
    let isMain = settings.memoryBase == 0
    let address = settings.macAddress.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    return [
      "-accel", "qtest", "-chardev", "socket,id=control,fd=\(control)", "-qtest", "chardev:control", "-qtest-log",
      "none", "-display", "none", "-nodefaults", "-no-user-config", "-sandbox",
      "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-object",
      "memory-backend-file,id=ram,size=\(bytes),mem-path=/proc/self/fd/\(memory),share=on",
    ]
      + (isMain
        ? ["-machine", "q35,memory-backend=ram", "-m", "\(bytes >> 20)M"]
        : ["-machine", "q35", "-m", "16M", "-device", "ivshmem-plain,memdev=ram,addr=\(memorySlot)"])
      + [
        "-netdev", "dgram,id=wire,local.type=fd,local.str=\(wire)", "-device",
        "\(settings.model),netdev=wire,mac=\(address),addr=\(slot)",
      ]
  }

  /// Memory that is a file without a name, for QEMU to map too. Nobody can cut it short.
  private static func memoryFile(_ settings: Settings) throws(HostError) -> OwnedFile {
    let bytes = settings.memory
    guard (1 << 20...2 << 30).contains(bytes), bytes.nonzeroBitCount == 1 else {
      throw HostError("\(bytes) bytes of memory; expected a power of two, from 1 MiB to 2 GiB")
    }
    guard settings.memoryBase == 0 || settings.memoryBase >= 1 << 40 && settings.memoryBase % bytes == 0 else {
      throw HostError("memory at \(settings.memoryBase); expected 0, or a multiple of its length from 2^40 on")
    }
    return try .inMemory("ally-nic", length: Int(bytes))
  }

  /// Memory that is not the machine's own is behind a device, as its third base address register, at any place that PCI knows.
  private static func placeMemory(_ settings: Settings, _ connection: inout QTestConnection) {
    guard settings.memoryBase != 0 else { return }
    connection.placeBaseAddress(memorySlot, 2, settings.memoryBase, is64: true)
    connection.enable(memorySlot)
  }

  /// Maps the memory that the NIC's DMA reaches, at the address where the NIC has it.
  ///
  /// It must not be used after this device is gone. Of memory at address 0 parts below 1 MiB belong to the firmware.
  public func mapMemory(into memory: inout PhysicalMemory) throws(PhysicalMemoryError) {
    unsafe try memory.map(
      base: PhysicalAddress(settings.memoryBase), length: settings.memory, storage: ram.storage, rights: .readWrite)
  }

  // MARK: - HostedNIC

  /// Why QEMU no longer answers; nil as long as it does.
  public var failure: HostError? { connection.failure }

  public var clock: WireClock { storage.clock }

  /// Pins 16 to 23 of the I/O APIC are those of PCI devices on this machine, and there is one device with a pin.
  public func assertsInterrupt() -> Bool { connection.pins >> 16 & 0xFF != 0 }

  /// Time in there has to pass, as long as anything may come of it.
  public var nextTimer: UInt64? { next }

  public var inputDescriptor: Int32? { wire.inputDescriptor }
  public var traffic: WireTraffic { wire.traffic }

  /// Its cable is always plugged in. What may have come of QEMU shows.
  public mutating func followCarrier() { connection.takeNews() }

  public mutating func work(on bus: inout HostBus, frames: Int, at now: UInt64) -> Bool {
    let hasCome = wire.carryToNIC(frames, at: now)
    if hasCome { noteEvent() }
    if quiet < Self.longestQuiet {
      connection.command("clock_step \(step)")
      quiet += step
      step = min(step * 2, Self.longestStep)
    }
    connection.takeNews()
    let hasGone = wire.carryFromNIC(frames)
    let hasRisen = connection.rises != seenRises
    seenRises = connection.rises
    if hasGone || hasRisen { noteEvent() }
    // The longer it is quiet, the less often: seconds in there are a tenth of one here.
    next = quiet < Self.longestQuiet || wire.isWaiting ? now &+ step / 8 : nil
    return hasCome || hasGone || hasRisen
  }

  /// Something happened of which more may come.
  private mutating func noteEvent() {
    step = Self.shortestStep
    quiet = 0
  }

  /// Resets QEMU's whole machine, of which the NIC's registers are placed again.
  public mutating func reset() {
    connection.resetMachine(Self.slot)
    connection.replaceFunction(function, slot: Self.slot)
    Self.placeMemory(settings, &connection)
    noteEvent()
  }

  private func place(_ offset: UInt32, _ width: RegisterWidth) -> (bar: BaseAddressRegister, address: UInt64)? {
    var place = VirtioPCIWindow.Place(register: settings.registerBAR, offset: UInt64(offset))
    if let window {
      guard let found = window.place(of: offset, length: width.byteCount) else { return nil }
      place = found
    }
    guard function.baseAddressRegisters.indices.contains(place.register) else { return nil }
    let bar = function.baseAddressRegisters[place.register]
    guard place.offset + width.byteCount <= bar.length else { return nil }
    return (bar, bar.base + place.offset)
  }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    guard let (bar, address) = place(offset, width) else { return 0 }
    accesses &+= 1
    let command = bar.kind == .io ? "in" : "read"
    // What is not there reads as ones, on every bus.
    return (connection.command("\(command)\(width.letter) 0x\(String(address, radix: 16))") ?? .max) & width.mask
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    guard let (bar, address) = place(offset, width) else { return }
    accesses &+= 1
    let command = bar.kind == .io ? "out" : "write"
    connection.command(
      "\(command)\(width.letter) 0x\(String(address, radix: 16)) 0x\(String(value & width.mask, radix: 16))")
    noteEvent()
  }
}

extension RegisterWidth {
  /// As the qtest protocol ends its commands.
  fileprivate var letter: String {
    switch self {
    case .byte: "b"
    case .word: "w"
    case .doubleWord: "l"
    case .quadWord: "q"
    }
  }
}
