internal import AllyDPI
internal import AllyPacket

/// An engine that others can ask for something while it inspects.
struct ControlledEngine: PacketInspector, ~Copyable {
  var engine: DPIEngine
  private let mailbox: EngineMailbox

  init(_ engine: consuming DPIEngine, mailbox: EngineMailbox) {
    self.engine = engine
    self.mailbox = mailbox
  }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    mailbox.serve(&engine)
    return engine.inspect(packet)
  }

  static var actions: InspectorActions { DPIEngine.actions }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    mailbox.serve(&engine)
    return engine.inspect(packet, answering: &answers)
  }

  /// For times without frames.
  mutating func serveRequests() { mailbox.serve(&engine) }
}
