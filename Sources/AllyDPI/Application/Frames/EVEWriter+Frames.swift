internal import AllyPacket

/// `frame`: parts of what a protocol says.
extension EVEWriter {
  /// Frames of one side that are whole and have no record yet.
  mutating func writeFrames(
    _ session: ApplicationSession, from side: FlowSide, flow: Flow, about subject: borrowing Subject
  ) {
    guard let list = session.frames else { return }
    for frame in list.frames where frame.side == side && !frame.isRecorded && (frame.isComplete || frame.isOver) {
      frame.isRecorded = true
      beginRecord("frame", flow: flow, about: subject)
      applicationProtocol("app_proto", session.index)
      self.frame(frame, session)
      json.endObject()
      submit()
    }
  }

  /// `"frame":{…}`.
  mutating func frame(_ frame: ProtocolFrame, _ session: ApplicationSession) {
    json.key("frame")
    json.beginObject()
    json.key("type")
    json.string(session.frameName(frame.type))
    json.key("id")
    json.number(frame.number)
    json.key("direction")
    json.string(frame.side == .toServer ? "toserver" : "toclient")
    if let offset = frame.offset {
      json.key("stream_offset")
      json.number(offset)
    }
    if frame.length != nil || frame.received > 0 {
      json.key("length")
      json.number(UInt64(frame.length ?? frame.received))
    }
    if frame.isComplete {
      json.key("complete")
      json.bool(true)
    }
    let shown = frame.bytes.prefix(EVEWriter.frameBytesShown)
    json.key("payload")
    json.base64(shown.rawBytes)
    json.key("payload_printable")
    json.printable(shown.rawBytes)
    if let transaction = frame.transaction {
      json.key("tx_id")
      json.number(transaction)
    }
    json.endObject()
  }

  /// Bytes of a frame in a record.
  private static var frameBytesShown: Int { 4096 }
}
