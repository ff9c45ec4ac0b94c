import AllyPacket
import Testing

@testable import AllyDPI

@Suite struct ApplicationHTTP2Tests {
  private static func frame(_ type: UInt8, flags: UInt8 = 0, stream: Int = 0, _ payload: [UInt8]) -> [UInt8] {
    Wire.u24(payload.count) + [type, flags] + Wire.u32(stream) + payload
  }

  private static func field(_ name: String, _ value: String) -> [UInt8] {
    [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
  }

  private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  private static func exchange(
    path: String = "/index", agent: String = "agent", code: Int = 0, window: Int = 99, setting: Int = 5,
    weight: UInt8 = 7, body: String = "<html>"
  ) -> Exchange {
    // `:method: GET` and `:status: 200` stand in the fixed table.
    let request = [0x82] + field(":path", path) + field(":authority", "example.com") + field("user-agent", agent)
    return .stream(
      (
        .toServer,
        preface + frame(4, Wire.u16(1) + Wire.u32(setting)) + frame(8, Wire.u32(window))
          + frame(1, flags: 0x25, stream: 1, [0, 0, 0, 0, weight] + request)
      ),
      (
        .toClient,
        frame(4, []) + frame(1, flags: 4, stream: 1, [0x88]) + frame(0, flags: 1, stream: 1, Array(body.utf8))
          + frame(7, Wire.u32(0) + Wire.u32(code))
      ))
  }

  @Test func eachKeywordFiresAndDoesNot() throws {
    let plain = Self.exchange()
    for (rule, other) in [
      ("http.uri; content:\"/index\"", Self.exchange(path: "/else")),
      ("http.user_agent; content:\"agent\"", Self.exchange(agent: "else")),
      ("http2.header_name; content:\":status\"; flow:to_client", Exchange.stream((.toServer, Self.preface))),
      ("http2.settings:SETTINGS_HEADER_TABLE_SIZE=5", Self.exchange(setting: 6)),
      ("http2.window:99", Self.exchange(window: 98)),
      ("http2.priority:7", Self.exchange(weight: 8)),
      ("http2.errorcode:PROTOCOL_ERROR", plain),
      ("http2.frametype:GOAWAY", Exchange.stream((.toServer, Self.preface + Self.frame(4, [])))),
      ("file.data; content:\"<html>\"", Self.exchange(body: "text")),
    ] {
      let fires = rule.contains("PROTOCOL_ERROR") ? Self.exchange(code: 1) : plain
      let text = "alert http2 any any -> any any (\(rule); sid:1;)"
      #expect(try fires.run(text).alerts.contains(1), "\(rule) fires")
      #expect(try other.run(text).alerts.isEmpty, "\(rule) does not fire")
    }
  }

  @Test(arguments: [1, 5, 1400])
  func streamsAreRecordedHoweverTheyAreCut(piece: Int) throws {
    let engine = try Self.exchange().run("", piece: piece) { $0.records = [.http2, .files] }
    let records = engine.records.filter { $0.contains("\"event_type\":\"http\"") }
    let record = try #require(records.first { $0.contains("\"stream_id\":1") })
    #expect(record.contains("\"http_method\":\"GET\",\"url\":\"/index\",\"http_user_agent\":\"agent\",\"status\":200"))
    #expect(engine.records.contains { $0.contains("\"state\":\"CLOSED\",\"stored\":false,\"size\":6") })
  }

  /// RFC 7541 Appendix C.4.1 to C.4.3.
  @Test func theExamplesOfTheCompressionHold() throws {
    var table = HTTP2HeaderTable()
    let limits = ApplicationLimits()
    let blocks: [([UInt8], String)] = [
      (
        [0x82, 0x86, 0x84, 0x41, 0x8C, 0xF1, 0xE3, 0xC2, 0xE5, 0xF2, 0x3A, 0x6B, 0xA0, 0xAB, 0x90, 0xF4, 0xFF],
        "www.example.com"
      ),
      ([0x82, 0x86, 0x84, 0xBE, 0x58, 0x86, 0xA8, 0xEB, 0x10, 0x64, 0x9C, 0xBF], "no-cache"),
      (
        [
          0x82, 0x87, 0x85, 0xBF, 0x40, 0x88, 0x25, 0xA8, 0x49, 0xE9, 0x5B, 0xA9, 0x7D, 0x7F, 0x89, 0x25, 0xA8, 0x49,
          0xE9, 0x5B, 0xB8, 0xE8, 0xB4, 0xBF,
        ], "custom-value"
      ),
    ]
    for (block, last) in blocks {
      let fields = try table.decode(block[...], limits: limits)
      #expect(String(decoding: fields.last?.value ?? [], as: UTF8.self) == last)
    }
  }

  @Test func noBytesHarmTheParser() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let sample = Self.exchange().messages[0].bytes
    for _ in 0..<5_000 {
      var bytes = sample
      for _ in 0..<Int(random.next() % 8) {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      let parser = HTTP2Parser(limits: ApplicationLimits(), transport: IPProtocolNumber.tcp)
      parser.receive(bytes.rawBytes, from: .toServer)
      #expect(parser.transactionCount <= 512, "seed \(seed)")
    }
  }
}
