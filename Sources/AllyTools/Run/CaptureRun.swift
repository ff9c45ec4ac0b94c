public import AllyPacket

/// A way for the frames of a capture to pass an inspector: right away (``DirectRun``), or over the wire into a
/// simulated NIC and through the appliance's rings (``InterceptedRun``).
public protocol CaptureRun {
  /// Reads every frame that is left, has it inspected, and delivers what was accepted.
  ///
  /// Trouble within the capture ends neither the run nor what was found so far: it is in ``CaptureReader/problems``.
  ///
  /// - Parameters:
  ///   - reader: where the frames come from.
  ///   - inspector: sees every frame once, in order.
  ///   - deliver: gets every accepted frame, in order, with the bytes and the stamp that the other side sees; what it
  ///     throws ends the run.
  /// - Returns: what was counted.
  mutating func inspect<Inspector: PacketInspector & ~Copyable>(
    _ reader: inout CaptureReader, inspecting inspector: inout Inspector,
    deliver: (borrowing Packet) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> RunSummary
}

/// The inspector alone on the capture, without NIC and rings: for triage.
public struct DirectRun: CaptureRun {
  public init() {}

  public mutating func inspect<Inspector: PacketInspector & ~Copyable>(
    _ reader: inout CaptureReader, inspecting inspector: inout Inspector,
    deliver: (borrowing Packet) throws(CommandFailure) -> Void
  ) throws(CommandFailure) -> RunSummary {
    var summary = RunSummary()
    let start = ContinuousClock.now
    while reader.advance() {
      let packet = Packet(bytes: reader.bytes, stamp: reader.stamp, direction: .receive)
      let verdict = inspector.inspect(packet)
      summary.counts.count(verdict, bytes: packet.bytes.byteCount)
      if verdict.passes {
        summary.delivered += 1
        try deliver(packet)
      }
    }
    summary.seconds = (ContinuousClock.now - start) / .seconds(1)
    return summary
  }
}
