internal import AllyPacket

/// Writes alerts as `fast.log` has them: one line each, for people and for scripts that were made for it.
///
/// `11/26/2026-20:22:45.123456  [**] [1:2001:3] message [**] [Classification: text] [Priority: 2] {TCP} a:1 -> b:2`
struct FastLogWriter: ~Copyable {
  var program: DetectionProgram
  private let isInline: Bool
  private let sink: any RecordSink
  private var line: [UInt8] = []

  init(program: DetectionProgram, isInline: Bool, sink: any RecordSink) {
    self.program = program
    self.isInline = isInline
    self.sink = sink
  }

  mutating func write(_ match: Detector.Match, about subject: borrowing EVEWriter.Subject) {
    let record = program.record(of: match.signature)
    let packet = subject.packet
    line.removeAll(keepingCapacity: true)
    line.appendDayAndTime(subject.stamp.time)
    line.appendText("  ")
    if match.actions.contains(.drop) { line.appendText(isInline ? "[Drop] " : "[wDrop] ") }
    line.appendText("[**] [")
    line.appendDecimal(UInt64(record.gid))
    line.appendText(":")
    line.appendDecimal(UInt64(record.sid))
    line.appendText(":")
    line.appendDecimal(UInt64(record.rev))
    line.appendText("] ")
    line.appendLine(record.message)
    line.appendText(" [**] [Classification: ")
    line.appendLine(record.category.isEmpty ? "(null)" : record.category)
    line.appendText("] [Priority: ")
    line.appendDecimal(UInt64(record.severity))
    line.appendText("] {")
    line.appendProtocol(packet.ipProtocol)
    line.appendText("} ")
    appendEnd(packet.source, packet.sourcePort, packet)
    line.appendText(" -> ")
    appendEnd(packet.destination, packet.destinationPort, packet)
    unsafe sink.write(record: line.span.bytes)
  }

  private mutating func appendEnd(_ address: IPAddress, _ port: UInt16, _ packet: DecodedPacket) {
    line.appendAddress(address)
    line.append(UInt8(ascii: ":"))
    // ICMP has its type and code where others have ports.
    let isSource = port == packet.sourcePort && address == packet.source
    line.appendDecimal(packet.hasICMP ? UInt64(isSource ? packet.icmp.type : packet.icmp.code) : UInt64(port))
  }
}

extension [UInt8] {
  /// Appends `11/26/2026-20:22:45.123456`, in UTC.
  ///
  /// - Parameter time: nanoseconds since 1970-01-01T00:00:00Z.
  fileprivate mutating func appendDayAndTime(_ time: UInt64) {
    let seconds = time / 1_000_000_000
    let date = CivilDate(daysSince1970: seconds / 86_400)
    appendDecimal(date.month, width: 2)
    append(UInt8(ascii: "/"))
    appendDecimal(date.day, width: 2)
    append(UInt8(ascii: "/"))
    appendDecimal(date.year, width: 4)
    append(UInt8(ascii: "-"))
    appendDecimal(seconds % 86_400 / 3600, width: 2)
    append(UInt8(ascii: ":"))
    appendDecimal(seconds / 60 % 60, width: 2)
    append(UInt8(ascii: ":"))
    appendDecimal(seconds % 60, width: 2)
    append(UInt8(ascii: "."))
    appendDecimal(time % 1_000_000_000 / 1000, width: 6)
  }

  /// Appends a rule's text; a line break in it does not break the line.
  fileprivate mutating func appendLine(_ text: String) {
    for byte in text.utf8 { append(byte < 0x20 ? UInt8(ascii: " ") : byte) }
  }
}
