internal import AllyPacket

/// A signature on a frame.
struct FrameSignature: BitwiseCopyable, Sendable {
  var signature: UInt32
  /// The protocol, by its place in ``ApplicationParsers/all``.
  var application: UInt8
  /// In the protocol's ``ApplicationParser/frameTypes``.
  var type: UInt8
}

/// Rules on frames: evaluated when a frame is whole, inline whenever more of it has come; each matches a frame once.
extension Detector {
  mutating func inspectFrames(
    of session: ApplicationSession, _ packet: DecodedPacket, _ context: PacketContext, bytes: RawSpan,
    marks: inout FlowMarks, time: UInt64
  ) {
    guard let list = session.frames else { return }
    for frame in list.frames where frame.side == context.side {
      guard frame.inspected < frame.received, frame.isComplete || frame.isOver || growth == 1 else { continue }
      frame.inspected = frame.received
      for index in 0..<tables.frames.count {
        let rule = tables.frames[index]
        guard rule.application == session.index, rule.type == frame.type, !frame.matched.contains(rule.signature) else {
          continue
        }
        let signature = tables.signatures[rule.signature]
        statistics.evaluated &+= 1
        guard
          matchesPacket(signature, packet, context, bytes: bytes, marks: marks, time: time, transaction: nil),
          matches(frame, rule.signature)
        else { continue }
        frame.matched.append(rule.signature)
        _ = append(
          Match(
            signature: rule.signature, actions: signature.actions, isStream: packet.transport == .tcp,
            isReplaced: false, transaction: frame.transaction ?? Match.noTransaction, frame: frame.number))
        change(signature, for: packet, &marks, at: time)
      }
    }
  }

  private mutating func matches(_ frame: ProtocolFrame, _ rank: UInt32) -> Bool {
    let bytes = frame.bytes
    for index in tables.application.bufferRanges[rank].indices {
      let buffer = tables.application.buffers[index]
      guard evaluator.evaluate(buffer.steps, on: bytes.rawBytes, through: buffer.transform) != nil else {
        return false
      }
    }
    return true
  }
}
