import AllyPacket
import Testing

@testable import AllyDPI

/// What two sides say to each other, message by message, and what the engine makes of it.
struct Exchange {
  var isDatagrams = false
  var port: UInt16 = 4000
  var messages: [(side: FlowSide, bytes: [UInt8])]

  static func stream(_ messages: (FlowSide, [UInt8])..., port: UInt16 = 4000) -> Exchange {
    Exchange(port: port, messages: messages.map { (side: $0.0, bytes: $0.1) })
  }

  static func datagrams(_ messages: (FlowSide, [UInt8])..., port: UInt16 = 4000) -> Exchange {
    Exchange(isDatagrams: true, port: port, messages: messages.map { (side: $0.0, bytes: $0.1) })
  }

  /// Runs it through an engine and ends the traffic.
  ///
  /// - Parameters:
  ///   - rules: for the engine.
  ///   - piece: bytes of each segment at most.
  func run(
    _ rules: String, piece: Int = 1400, _ change: (inout DPIConfiguration) -> Void = { _ in }
  ) throws -> TestEngine {
    var engine = try TestEngine(rules, change)
    var next: (client: UInt32, server: UInt32) = (1000, 5000)
    if !isDatagrams { open(&engine, &next) }
    for (side, bytes) in messages {
      var rest = bytes[...]
      repeat {
        let part = Array(rest.prefix(isDatagrams ? bytes.count : piece))
        rest = rest.dropFirst(part.count)
        var frame = TestFrame(
          sourcePort: 40_000, destinationPort: port, ipProtocol: isDatagrams ? 17 : 6, flags: 0x18,
          sequence: next.client, acknowledgement: next.server)
        if side == .toClient { frame = frame.reply }
        frame.payload = part
        engine.send(frame)
        if side == .toServer { next.client += UInt32(part.count) } else { next.server += UInt32(part.count) }
      } while !rest.isEmpty
    }
    engine.finish()
    return engine
  }

  private func open(_ engine: inout TestEngine, _ next: inout (client: UInt32, server: UInt32)) {
    engine.send(
      TestFrame(
        sourcePort: 40_000, destinationPort: port, flags: 0x02, sequence: next.client, acknowledgement: 0))
    next.client += 1
    var frame = TestFrame(
      sourcePort: 40_000, destinationPort: port, sequence: next.client, acknowledgement: next.server
    ).reply
    frame.flags = 0x12
    engine.send(frame)
    next.server += 1
    engine.send(
      TestFrame(
        sourcePort: 40_000, destinationPort: port, flags: 0x10, sequence: next.client,
        acknowledgement: next.server))
  }
}

/// Pieces of messages.
enum Wire {
  static func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
  static func u24(_ value: Int) -> [UInt8] { [UInt8(value >> 16 & 0xFF)] + u16(value) }
  static func u32(_ value: Int) -> [UInt8] { u16(value >> 16) + u16(value) }
  /// Behind their length of two bytes.
  static func vector16(_ bytes: [UInt8]) -> [UInt8] { u16(bytes.count) + bytes }
  static func text16(_ text: String) -> [UInt8] { vector16(Array(text.utf8)) }

  /// A value in DER.
  static func der(_ tag: UInt8, _ content: [UInt8]...) -> [UInt8] {
    let bytes = Array(content.joined())
    return [tag] + (bytes.count < 128 ? [UInt8(bytes.count)] : [0x82] + u16(bytes.count)) + bytes
  }
  static func der(_ tag: UInt8, _ text: String) -> [UInt8] { der(tag, Array(text.utf8)) }
}
