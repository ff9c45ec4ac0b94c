internal import AllyHost
public import AllyPacket

/// Interfaces beside an appliance: it hears copies of their frames until the operator ends it, and can hold none back.
public struct InterfaceRun {
  private let options: InterfaceOptions
  private let privileges: PrivilegeOptions

  public init(options: InterfaceOptions, privileges: PrivilegeOptions) {
    self.options = options
    self.privileges = privileges
  }

  /// Listens.
  ///
  /// - Parameters:
  ///   - inspector: sees every frame that was not lost, once.
  ///   - summary: what was counted, also when the run fails.
  ///   - ready: called once, on the calling thread, when all is open and rights are given up: threads that run beside begin
  ///     here, and have none either.
  ///   - often: called four times a second and at the end, for what must not wait; ends the run when it returns false.
  public func inspect<Inspector: PacketInspector & ~Copyable>(
    inspecting inspector: inout Inspector, counting summary: inout RunSummary, ready: () -> Void = {},
    often: (inout Inspector) -> Bool
  ) throws(CommandFailure) {
    do throws(HostError) {
      let stop = try StopSignal()
      var settings = PacketRing.Settings()
      settings.longestFrame = options.longestFrame
      settings.byteCount = options.ringMegabytes << 20
      settings.isPromiscuous = !options.isSelective
      let listener = InterfaceListener()
      for interface in options.interfaces { try listener.listen(to: interface, settings: settings) }
      try privileges.drop()
      ready()
      try privileges.enterSandbox()
      for interface in options.interfaces { Console.complain("listening to \(interface)") }
      let start = ContinuousClock.now
      defer {
        summary.seconds = (ContinuousClock.now - start) / .seconds(1)
        summary.delivered = summary.counts.accepted
        summary.interfaces = listener.counts.map {
          InterfaceUse(name: $0.interface, passed: $0.counts.frames, lost: $0.counts.dropped, cut: $0.counts.cut)
        }
      }
      try listener.run(
        until: stop.descriptor, often: { often(&inspector) },
        inspect: { packet in summary.counts.count(inspector.inspect(packet), bytes: packet.bytes.byteCount) })
    } catch {
      throw CommandFailure(.systemFault, error.message)
    }
  }
}
