internal import AllyHost
internal import AllyPacket

/// Counts frames, bytes and verdicts on their way to an inspector, writes the frames down if that is wanted, and tells both
/// ends of what the inspector rejects, unless it does so itself.
struct MeasuredInspector<Inspector: PacketInspector & ~Copyable>: PacketInspector, ~Copyable {
  var inspector: Inspector
  private(set) var counts = FrameCounts()
  private let recorder: FrameRecorder?
  /// Whether the guest whose frames come next gets them from another guest of this command: then they were inspected where they
  /// were sent, and pass.
  var passesReceived = false
  /// Of a worker that outlives itself: which frame it inspects, and the verdict on one that workers died of.
  private var survival: (page: KeeperPage, frame: FrameUnderInspection, gap: Verdict)?

  init(_ inspector: consuming Inspector, recorder: FrameRecorder?) {
    self.inspector = inspector
    self.recorder = recorder
  }

  /// Goes on as a keeper's worker, with what those before it had counted.
  mutating func begin(_ page: KeeperPage, _ gap: GapChoice) {
    var frame = page.frame
    frame.begin()
    survival = (page, frame, gap == .failOpen ? .accept : .drop)
    counts = page.restore(FrameCounts.self)
  }

  /// Saves what was counted, for a successor.
  func saveCounts() { survival?.page.save(counts) }

  static var actions: InspectorActions {
    Inspector.actions.isEmpty ? [.injectsTowardsOS, .injectsTowardsWire] : Inspector.actions
  }

  static var takesAnnouncements: Bool { Inspector.takesAnnouncements }

  mutating func announce(_ packet: borrowing Packet) {
    if !wasInspected(packet) { inspector.announce(packet) }
  }

  private func wasInspected(_ packet: borrowing Packet) -> Bool { passesReceived && packet.direction == .receive }

  /// Whether everything that is wanted can still be done.
  var isSound: Bool { recorder?.failure == nil }

  mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    if wasInspected(packet) { return .accept }
    if let verdict = verdictUninspected(packet) { return verdict }
    let verdict = inspector.inspect(packet)
    survival?.frame.end()
    note(packet, verdict)
    return verdict
  }

  /// The verdict on a frame that workers died of; nil of one that is to be inspected.
  private mutating func verdictUninspected(_ packet: borrowing Packet) -> Verdict? {
    guard survival?.frame.mayBegin(packet) == false, let verdict = survival?.gap else { return nil }
    note(packet, verdict)
    return verdict
  }

  mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    if wasInspected(packet) { return .accept }
    if let verdict = verdictUninspected(packet) { return verdict }
    let verdict = inspector.inspect(packet, answering: &answers)
    survival?.frame.end()
    note(packet, verdict)
    if verdict == .reject, Inspector.actions.isEmpty {
      // A connection is reset at both ends; the sender of anything else hears that the port cannot be reached.
      if answers.reject(packet, with: .tcpReset, telling: .sender) {
        answers.reject(packet, with: .tcpReset, telling: .receiver)
      } else {
        answers.reject(packet, with: .icmpx(icmpCode: 3, icmpv6Code: 4), telling: .sender)
      }
    }
    return verdict
  }

  private mutating func note(_ packet: borrowing Packet, _ verdict: Verdict) {
    counts.count(verdict, bytes: packet.bytes.byteCount)
    recorder?.write(packet)
    guard verdict.passes else { return }
    let size = Int(packet.offloads.segmentSize)
    let payload = packet.bytes.byteCount - Int(packet.offloads.headerLength)
    let isCut = packet.direction == .transmit && size > 0 && payload > size
    counts.segments += isCut ? UInt64((payload + size - 1) / size) : 1
  }

  consuming func giveBack() -> Inspector { inspector }
}

/// The file that frames are written to as they were inspected: before a NIC has cut them or inserted checksums.
final class FrameRecorder {
  private var writer: CaptureWriter?
  /// Why writing ended, once it did.
  private(set) var failure: CommandFailure?

  init(path: String) throws(CommandFailure) {
    do {
      writer = try CaptureWriter(path: path, linkType: .ethernet, countsNanoseconds: true)
    } catch {
      throw error.failure
    }
  }

  func write(_ packet: borrowing Packet) {
    do {
      try writer?.write(packet)
    } catch {
      writer = nil
      failure = error.failure
    }
  }

  /// Gives the file its name, unless writing has failed.
  func finish() throws(CommandFailure) {
    if let failure { throw failure }
    guard let writer = writer.take() else { return }
    do {
      try writer.finish()
    } catch {
      throw error.failure
    }
  }
}
