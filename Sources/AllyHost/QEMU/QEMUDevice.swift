public import AllyHW
internal import CAllyLinux
internal import Glibc

/// One of QEMU's own NIC models, in a QEMU without processors: its registers over the qtest protocol, its memory shared
/// with this process, its wire a unix datagram socket.
///
/// What real hardware is to a driver module, as far as software can be: nobody of this project wrote it. An access takes
/// some 30 µs. Time in there stands still but for ``work(on:frames:at:)``, which lets it pass, the faster the longer nothing
/// happens: link negotiation and interrupt throttling take seconds of it and next to none of ours.
public struct QEMUDevice: HostedNIC, ~Copyable {
  /// What to start.
  public struct Settings: Sendable {
    /// QEMU, 10.1 or later, or a script that becomes it.
    public var program: String
    /// The model and its properties, as after `-device`: `e1000`, `virtio-net-pci,mq=on`.
    public var model: String
    /// A folder for sockets and memory, of this device alone; its path has less than 80 bytes.
    public var folder: String
    /// Bytes of memory, from physical address 0: up to 2 GiB.
    public var memory: UInt64
    /// The base address register whose offsets ``HostedNIC`` means; of a virtio device they are those of `VirtioPCIWindow`.
    public var registerBAR: Int

    public init(
      program: String, model: String, folder: String, memory: UInt64 = 64 << 20, registerBAR: Int = 0
    ) {
      self.program = program
      self.model = model
      self.folder = folder
      self.memory = memory
      self.registerBAR = registerBAR
    }

    /// Our end of the wire: where whoever plays the network binds a socket before QEMU starts.
    public var wire: String { "\(folder)/wire" }
    /// The NIC's end of the wire.
    public var remoteWire: String { "\(folder)/wire.qemu" }
  }

  /// The device number on PCI bus 0.
  static var slot: UInt32 { 5 }

  private var connection: QTestConnection
  private let process: QEMUProcess
  private let ram: MappedMemory
  public let settings: Settings
  public let function: PCIFunction
  /// Of a virtio device: where its structures are.
  private let window: VirtioPCIWindow?
  private let storage: WireClockStorage
  /// How much time passes in the next ``work(on:frames:at:)``, in nanoseconds.
  private var step = Self.shortestStep
  private var seenRises: UInt64 = 0
  /// Accesses to registers.
  public private(set) var accesses: UInt64 = 0

  private static var shortestStep: UInt64 { 1_000_000 }
  private static var longestStep: UInt64 { 512_000_000 }

  /// Starts QEMU and places the NIC's base address registers.
  ///
  /// Whoever plays the network has bound ``Settings/wire`` before, with ``Uplink/datagram(local:)``.
  public init(_ settings: Settings) throws(HostError) {
    let ramFile = "\(settings.folder)/ram"
    let log = "\(settings.folder)/log"
    let ram = try Self.memory(ramFile, bytes: settings.memory)
    let listener = try listen(at: "\(settings.folder)/qtest")
    let process = try QEMUProcess(settings.program, Self.arguments(settings, ramFile: ramFile), log: log)
    let socket = try Self.accept(listener, process, log: log)
    try Self.awaitFile(settings.remoteWire, process, log: log)
    var connection = QTestConnection(socket)
    let function = try connection.placeFunction(slot: Self.slot)
    self.function = function
    window = VirtioPCIWindow(function.virtioStructures)
    self.process = process
    self.connection = connection
    self.ram = ram
    self.settings = settings
    storage = WireClockStorage()
  }

  deinit {
    for name in ["ram", "qtest", "wire.qemu"] { unsafe unlink("\(settings.folder)/\(name)") }
  }

  private static func arguments(_ settings: Settings, ramFile: String) -> [String] {
    let bytes = settings.memory
    return [
      "-accel", "qtest", "-qtest", "unix:\(settings.folder)/qtest", "-qtest-log", "none", "-display", "none",
      "-nodefaults", "-no-user-config", "-machine", "q35,memory-backend=ram", "-m", "\(bytes >> 20)M", "-object",
      "memory-backend-file,id=ram,size=\(bytes),mem-path=\(ramFile),share=on", "-netdev",
      "dgram,id=wire,local.type=unix,local.path=\(settings.remoteWire),remote.type=unix,remote.path=\(settings.wire)",
      "-device", "\(settings.model),netdev=wire,mac=52:54:00:12:34:56,addr=\(slot)",
    ]
  }

  /// Memory that is a file, for QEMU to map too.
  private static func memory(_ path: String, bytes: UInt64) throws(HostError) -> MappedMemory {
    guard bytes > 0, bytes <= 2 << 30, bytes % (1 << 20) == 0 else {
      throw HostError("\(bytes) bytes of memory; expected MiBs, up to 2 GiB")
    }
    let file = OwnedDescriptor(unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600))
    guard file.number >= 0, ftruncate(file.number, off_t(bytes)) == 0 else {
      throw HostError("cannot create \(path)", code: errno)
    }
    return try MappedMemory(file.number, offset: 0, length: bytes, rights: .readWrite)
  }

  private static func accept(
    _ listener: borrowing OwnedDescriptor, _ process: borrowing QEMUProcess, log: String
  ) throws(HostError) -> OwnedDescriptor {
    for _ in 0..<600 {
      if awaitInput(listener.number, milliseconds: 100) {
        let number = ally_accept(listener.number)
        guard number >= 0 else { throw HostError("cannot accept QEMU's connection", code: errno) }
        return OwnedDescriptor(number)
      }
      if process.hasEnded { throw HostError("QEMU ended at its start; its words are in \(log)") }
    }
    throw HostError("QEMU does not connect; its words are in \(log)")
  }

  private static func awaitFile(_ path: String, _ process: borrowing QEMUProcess, log: String) throws(HostError) {
    for _ in 0..<6000 {
      if unsafe access(path, F_OK) == 0 { return }
      if process.hasEnded { throw HostError("QEMU ended at its start; its words are in \(log)") }
      usleep(10_000)
    }
    throw HostError("QEMU makes no \(path); its words are in \(log)")
  }

  /// The memory that the NIC's DMA reaches: all of QEMU's, at the addresses where the NIC has it.
  ///
  /// It must not be used after this device is gone. Below 1 MiB parts of it belong to the firmware.
  public func mapMemory(into memory: inout PhysicalMemory) throws(PhysicalMemoryError) {
    unsafe try memory.map(base: PhysicalAddress(0), length: settings.memory, storage: ram.storage, rights: .readWrite)
  }

  /// Why QEMU no longer answers; nil as long as it does.
  public var failure: HostError? { connection.failure }

  // MARK: - HostedNIC

  public var clock: WireClock { storage.clock }

  /// Pins 16 to 23 of the I/O APIC are those of PCI devices on this machine, and there is one device.
  public func assertsInterrupt() -> Bool { connection.pins >> 16 & 0xFF != 0 }

  /// Its time passes with its work alone.
  public var nextTimer: UInt64? { nil }

  public var inputDescriptor: Int32? { nil }
  public var traffic: WireTraffic { WireTraffic() }

  /// Its cable is always plugged in.
  public mutating func followCarrier() {}

  public mutating func work(on bus: inout HostBus, frames: Int, at now: UInt64) -> Bool {
    connection.command("clock_step \(step)")
    connection.takeNews()
    let isNews = connection.rises != seenRises
    seenRises = connection.rises
    step = isNews ? Self.shortestStep : min(step * 2, Self.longestStep)
    return isNews
  }

  public mutating func reset() {
    // By the power management capability where there is one a reset would take a bus; a PCI function has no other that is
    // its own. Software resets it through its registers.
    step = Self.shortestStep
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
    step = Self.shortestStep
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
