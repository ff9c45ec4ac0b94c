internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyDrivers
internal import AllyHW
internal import AllyHost
public import AllyPacket
internal import AllyRings

/// Guests behind an appliance: their NICs are served, and every frame passes the inspector, until the operator ends it.
public struct GuestRun {
  let options: GuestOptions
  private let core: CoreSettings
  let privileges: PrivilegeOptions
  let protection: PacketProtection
  /// The command, for the lines on standard error.
  let name: String
  /// To the inspector, when it is in a process of its own.
  var link: InspectorLink?
  /// Of a keeper's workers; nil without one.
  private(set) var starter: WorkerStarter?

  public init(
    name: String, options: GuestOptions, interception: InterceptionOptions, core: CoreOptions,
    privileges: PrivilegeOptions
  ) {
    self.name = name
    self.options = options
    self.core = core.settings
    self.privileges = privileges
    protection = interception.level
  }

  /// With `--keep`: makes this process the keeper, and returns in another. To be called before anything is opened.
  ///
  /// - Parameter letGo: closes, in the keeper, what is not for it.
  public func kept(letGo: () -> Void = {}) throws(CommandFailure) -> GuestRun {
    guard options.gap != nil else {
      if Keeper.isSuccessor {
        throw CommandFailure(.usage, "an upgrade without --keep: expected fail-closed or fail-open")
      }
      return self
    }
    let (name, privileges) = (name, privileges)
    var run = self
    do throws(HostError) {
      run.starter = try Keeper.split(control: options.control, failure: ExitStatus.systemFault.rawValue, letGo: letGo) {
        () throws(HostError) in
        try privileges.drop()
        try privileges.enterKeeperSandbox()
      } tell: {
        Console.complain("\(name): \(Self.text($0))")
      }
    } catch {
      throw CommandFailure(.systemFault, error.message)
    }
    return run
  }

  private static func text(_ event: Keeper.Event) -> String {
    switch event {
    case .replaced(_, true): "a worker stood still: another takes over"
    case .replaced(let signal, false): "a worker died of signal \(signal): another takes over"
    case .gaveUp(let reason): "\(reason): giving up"
    case .upgraded(let executable): "\(executable) has taken over"
    case .refused(let reason): "no upgrade: \(reason)"
    }
  }

  /// Serves guests. With a keeper it returns in its last worker: in the process that called it there is then nobody but the keeper.
  ///
  /// - Parameters:
  ///   - inspector: sees every frame once.
  ///   - summary: what was counted, also when the run fails.
  ///   - ready: called once, on the calling thread, when all is open and rights are given up: threads that run beside begin
  ///     here, and have none either.
  ///   - takeOver: called in a worker that replaces another, before it serves.
  ///   - often: called four times a second and at the end, for what must not wait; ends the run when it returns false.
  public func inspect<Inspector: PacketInspector & ~Copyable>(
    inspecting inspector: inout Inspector, counting summary: inout RunSummary, ready: () -> Void = {},
    takeOver: (inout Inspector) -> Void = { _ in }, often: (inout Inspector) -> Bool
  ) throws(CommandFailure) {
    if protection != .copyToDPIMemory, options.attachments.contains(where: { $0.way == .vhostUser }) {
      throw CommandFailure(
        .usage, "--protection in-place with vhost-user: expected copy, because buffers go back in their order")
    }
    if protection != .copyToDPIMemory, options.qemu != nil {
      throw CommandFailure(
        .usage, "--protection in-place with --qemu: expected copy, because QEMU's NIC does not reach the guest's memory"
      )
    }
    let recorder = try options.record.map { path throws(CommandFailure) in try FrameRecorder(path: path) }
    var failure: HostError?
    do throws(HostError) {
      let stop = try StopSignal()
      let uplinks = options.uplinks
      var opened: [UplinkBox] = []
      var otherEnd: Uplink?
      for (number, uplink) in uplinks.enumerated() {
        opened.append(UplinkBox(try open(uplink, number: number, &otherEnd)))
      }
      // Nothing fails from here on but the NICs; the inspector comes back in any case.
      let shared = SharedInspector(MeasuredInspector(inspector, recorder: recorder))
      do throws(HostError) {
        try serve(shared, opened, until: stop.descriptor, counting: &summary, ready: ready, takeOver, often)
      } catch {
        failure = error
      }
      let measured = shared.take()
      summary.counts = measured.counts
      inspector = measured.giveBack()
    } catch {
      failure = error
    }
    do {
      try recorder?.finish()
    } catch  where failure == nil {
      throw error
    } catch {}
    if let failure { throw CommandFailure(.systemFault, failure.message) }
  }

  private func serve<Inspector: PacketInspector & ~Copyable>(
    _ shared: SharedInspector<MeasuredInspector<Inspector>>, _ uplinks: [UplinkBox], until stop: Int32,
    counting summary: inout RunSummary, ready: () -> Void, _ takeOver: (inout Inspector) -> Void,
    _ often: (inout Inspector) -> Bool
  ) throws(HostError) {
    let name = name
    let server = GuestServer { event in
      switch event {
      case .connected(let path): Console.complain("\(name): \(path): a guest's emulator has connected")
      case .disconnected(let path, let reason): Console.complain("\(name): \(path): \(reason)")
      case .refused(let path, let reason): Console.complain("\(name): \(path): refused: \(reason)")
      }
    }
    let hasPairs = options.uplinks.contains { $0.kind == .guest }
    for (index, attachment) in options.attachments.enumerated() {
      let isPaired = options.uplinks[index].kind == .guest
      let introduce = hasPairs ? { $0.passesReceived = isPaired } as (inout MeasuredInspector<Inspector>) -> Void : nil
      switch attachment.way {
      case .vfioUser:
        let device = try makeDevice(uplinks[index], number: index, shared, introduce)
        if let starter {
          try server.keep(device, at: attachment.path, in: starter)
        } else {
          try server.serve(device, at: attachment.path)
        }
      case .vhostUser:
        let device = try makeVirtioNet(uplinks[index], number: index, shared, introduce)
        try server.serveRings(of: device, at: attachment.path, in: starter)
      }
      if starter?.isSuccessor != true {
        Console.complain("\(name): \(attachment.path): waiting for a guest's emulator")
      }
    }
    let start = ContinuousClock.now
    let channel = try starter.map { starter throws(HostError) in try startWorkers(starter) }
    let page = starter?.page
    defer {
      count(
        server.reports, uplinks.map(\.name), seconds: page?.age ?? (ContinuousClock.now - start) / .seconds(1),
        in: &summary)
      summary.survival = page.map {
        SurvivalSummary(
          deaths: $0.deaths, stalls: $0.stalls, setAside: $0.setAside,
          lost: server.reports.reduce(0) { $0 + $1.report.lost }, upgrades: $0.upgrades)
      }
    }
    try DPIThread.run(core) { () throws(HostError) in
      try privileges.drop(locksMemory: core.locksMemory, isUser: page != nil)
    } beside: {
      ready()
    } _: { () throws(HostError) in
      try privileges.enterSandbox()
      if let page, let channel, let gap = options.gap {
        shared.withInspector {
          $0.begin(page, gap)
          if channel.predecessors > 0 { takeOver(&$0.inspector) }
        }
        link?.begin(page, hasPredecessor: channel.predecessors > 0)
        try server.begin(channel, page: page)
      }
      try server.run(until: stop, waiting: core.waiting) {
        shared.withInspector {
          $0.saveCounts()
          return $0.isSound && often(&$0.inspector)
        }
      }
    }
  }

  /// Gives rights up, and starts workers; what returns is one. This process has one thread. An executable that takes another's
  /// place has what rights that had left, and its priority.
  private func startWorkers(_ starter: WorkerStarter) throws(HostError) -> KeeperChannel {
    if !starter.isSuccessor { try core.permit() }
    try privileges.drop(locksMemory: core.locksMemory, isUser: starter.isSuccessor)
    return try starter.begin()
  }

  /// - Parameter otherEnd: of a cable between two guests, of which one end was opened.
  private func open(_ uplink: GuestUplink, number: Int, _ otherEnd: inout Uplink?) throws(HostError) -> Uplink {
    guard let starter else { return try .open(uplink.kind, &otherEnd) }
    return try .open(uplink.kind, &otherEnd, as: "guest \(number)'s uplink \(uplink.text)", in: starter)
  }

  private func makeDevice<Inspector: PacketInspector & ~Copyable>(
    _ uplink: UplinkBox, number: Int, _ shared: SharedInspector<Inspector>, _ introduce: ((inout Inspector) -> Void)?
  ) throws(HostError) -> any GuestDevice {
    guard let wire = uplink.take() else { throw HostError("an uplink was used twice") }
    let (requester, address) = identity(number)
    // The 82574L and the 82576 have a flash and a table of messages besides, of which the client needs nothing from here.
    switch options.nic {
    case .e1000:
      return try makeNIC(
        E1000Model(requester: requester, macAddress: address), RingVirtualizer<E1000Driver>.self, address, wire,
        windows: [.registers, .indirect], shared, introduce)
    case .e1000e:
      return try makeNIC(
        E1000EModel(requester: requester, macAddress: address), RingVirtualizer<E1000EDriver>.self, address, wire,
        windows: [.registers, .empty, .indirect, .empty], shared, introduce)
    case .virtioNet: throw HostError("a virtio network device is attached by vhost-user")
    case .igb:
      return try makeNIC(
        IGBModel(requester: requester, macAddress: address), RingVirtualizer<IGBDriver>.self, address, wire,
        windows: [.registers, .empty, .indirect, .empty], shared, introduce)
    }
  }

  /// A device model behind its driver module, or QEMU's of that name; with a keeper, one that outlives its worker.
  private func makeNIC<
    Virtualizer: NICVirtualizer & ~Copyable, Model: PersistentModel & ~Copyable, Inspector: PacketInspector & ~Copyable
  >(
    _ model: consuming Model, _ virtualizer: Virtualizer.Type, _ address: [UInt8], _ wire: consuming Uplink,
    windows: [RegisterWindow], _ shared: SharedInspector<Inspector>, _ introduce: ((inout Inspector) -> Void)?
  ) throws(HostError) -> any GuestDevice {
    if let program = options.qemu {
      return try GuestNIC<Virtualizer, QEMUDevice, Inspector>(
        QEMUDevice.Settings(
          program: program, model: options.nic.rawValue, macAddress: address, user: privileges.user),
        uplink: wire, windows: windows, inspecting: shared, settings: settings, introduce: introduce)
    }
    if starter != nil {
      let memory = try KeptMemory()
      return try GuestNIC<Virtualizer, KeptNIC<Model>, Inspector>(
        KeptNIC(model: model, uplink: wire, keeping: memory), windows: windows, inspecting: shared, settings: settings,
        link: link, keeping: memory, introduce: introduce)
    }
    return try GuestNIC<Virtualizer, ModelNIC<Model, UplinkWire>, Inspector>(
      ModelNIC(model: model, line: UplinkWire(wire)), windows: windows, inspecting: shared, settings: settings,
      link: link, introduce: introduce)
  }

  private var settings: InterceptionSettings {
    InterceptionSettings(
      limits: RingLimits(copyMemory: protection == .copyToDPIMemory ? 8 << 20 : 0), protection: protection)
  }

  private func identity(_ number: Int) -> (RequesterID, address: [UInt8]) {
    // Locally administered, and another for each guest of this process.
    let address: [UInt8] = [0x52, 0x54, 0x00, 0xA1, 0x1E, UInt8(truncatingIfNeeded: number + 1)]
    return (RequesterID(bus: 0, device: UInt8(truncatingIfNeeded: number), function: 0), address)
  }

  /// A virtio network device, whose registers are behind the fifth base address register.
  private func makeVirtioNet<Inspector: PacketInspector & ~Copyable>(
    _ uplink: UplinkBox, number: Int, _ shared: SharedInspector<Inspector>, _ introduce: ((inout Inspector) -> Void)?
  ) throws(HostError) -> any VirtioGuestDevice {
    guard let wire = uplink.take() else { throw HostError("an uplink was used twice") }
    let (requester, address) = identity(number)
    let model = VirtioNetModel(
      requester: requester, macAddress: address, queuePairs: VirtioNetDriver.queuePairs, queueSize: 1024,
      maximumFrameLength: Uplink.longestFrame)
    return try GuestNIC<VirtqueueVirtualizer<VirtioNetDriver>, ModelNIC<VirtioNetModel, UplinkWire>, Inspector>(
      ModelNIC(model: model, line: UplinkWire(wire)),
      windows: [.empty, .empty, .empty, .empty, .registers], inspecting: shared, settings: settings, link: link,
      introduce: introduce)
  }

  private func count(
    _ reports: [(path: String, report: GuestReport)], _ uplinks: [String], seconds: Double, in summary: inout RunSummary
  ) {
    summary.seconds = seconds
    var machine = InterceptionSummary()
    for (index, (_, report)) in reports.enumerated() {
      let counters = report.interception
      summary.delivered += counters.receive.accepted
      machine.mmioRedirections += counters.redirections
      machine.interprocessorInterrupts += counters.redirections + counters.core.osInterrupts
      machine.nicInterrupts += counters.core.nicInterrupts
      machine.osInterrupts += counters.core.osInterrupts
      machine.count(counters.core, counters.receive, counters.transmit)
      machine.answers += counters.receive.injected + counters.transmit.injected
      machine.wires.append(
        .init(
          name: uplinks[index], received: report.fromWire, sent: report.toWire, refused: report.refused,
          expired: report.expired))
      machine.faults += RingFault.allCases.flatMap { fault in
        [
          ("receive queue: \(fault)", counters.receive.faults[fault]),
          ("transmit queue: \(fault)", counters.transmit.faults[fault]),
        ]
      }
      machine.faults.append(("accesses to denied registers", counters.denied))
    }
    summary.interception = machine
  }
}

/// An uplink that an array can hold, until it is taken.
private final class UplinkBox {
  let name: String
  private var uplink: Uplink?

  init(_ uplink: consuming Uplink) {
    name = uplink.name
    self.uplink = consume uplink
  }

  func take() -> Uplink? { uplink.take() }
}
