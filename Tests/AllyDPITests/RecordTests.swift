import AllyPacket
import Testing

@testable import AllyDPI

@Suite struct RecordTests {
  @Test func anAlertIsWrittenAsSuricataWritesIt() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (msg:"an attack"; content:"attack"; classtype:bad-unknown; metadata:tag one, kind x, tag two; gid:7; rev:3; sid:42;)
      """)
    engine.send(TestFrame(ipProtocol: 17, payload: Array("attack\n\u{7}".utf8)))
    let record = try #require(engine.records.first)
    #expect(record.hasPrefix("{\"timestamp\":\"2010-09-23T14:03:58.124456+0000\",\"flow_id\":"))
    let tail = try #require(record.range(of: "\"pcap_cnt\"")).lowerBound
    let flowStart = try #require(record.range(of: ",\"direction\"")).lowerBound
    #expect(
      record[tail..<flowStart] == """
        "pcap_cnt":1,"event_type":"alert","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"192.0.2.80","dest_port":80,\
        "proto":"UDP","pkt_src":"wire/pcap","alert":{"action":"allowed","gid":7,"signature_id":42,"rev":3,\
        "signature":"an attack","category":"Potentially Bad Traffic","severity":2,\
        "metadata":{"tag":["one","two"],"kind":["x"]}},"app_proto":"failed"
        """)
    #expect(
      record[flowStart...].hasPrefix(
        """
        ,"direction":"to_server","flow":{"pkts_toserver":1,"pkts_toclient":0,"bytes_toserver":50,"bytes_toclient":0,\
        "start":"2010-09-23T14:03:58.124456+0000","src_ip":"10.0.0.1","dest_ip":"192.0.2.80","src_port":40000,\
        "dest_port":80},"payload":"YXR0YWNrCgc=","payload_printable":"attack\\n.","stream":0,"packet":"AgAAAAABAgAAAAACCAB
        """))
    #expect(record.hasSuffix("\"packet_info\":{\"linktype\":1}}"))
  }

  @Test func eachSidesNetflowHasItsOwnHardwareAddresses() throws {
    var engine = try TestEngine("") {
      $0.records = .netflows
      $0.recordOptions.ethernet = true
    }
    engine.send(TestFrame(ipProtocol: 17, payload: [1]))
    engine.send(TestFrame(ipProtocol: 17).reply)
    engine.finish()
    // The frames of both sides have the same addresses: what differs is which one came first.
    let (one, two) = ("\"02:00:00:00:00:01\"", "\"02:00:00:00:00:02\"")
    #expect(engine.records.count == 2)
    #expect(engine.records.first?.contains("\"dest_macs\":[\(one),\(two)],\"src_macs\":[\(two),\(one)]") == true)
    #expect(engine.records.last?.contains("\"dest_macs\":[\(two),\(one)],\"src_macs\":[\(one),\(two)]") == true)
  }

  @Test func optionsLeaveFieldsOut() throws {
    var engine = try TestEngine("alert udp any any -> any any (content:\"attack\"; metadata:a b; sid:1;)") {
      $0.recordOptions.alert.payload = false
      $0.recordOptions.alert.payloadPrintable = false
      $0.recordOptions.alert.packet = false
      $0.recordOptions.alert.ruleMetadata = false
    }
    engine.send(TestFrame(ipProtocol: 17, payload: Array("attack".utf8)))
    let record = try #require(engine.records.first)
    for key in ["payload", "payload_printable", "packet", "packet_info", "metadata"] {
      #expect(record.range(of: "\"\(key)\":") == nil, "\(key)")
    }
  }

  /// Hardware addresses change places with the addresses above them: a transaction's source is its client.
  @Test func hardwareAddressesFollowTheSides() throws {
    var engine = try TestEngine("") {
      $0.records = [.http]
      $0.recordOptions.ethernet = true
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &engine)
    var answer = connection.clientFrame("").reply
    answer.payload = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)
    var bytes = answer.bytes
    bytes.replaceSubrange(0..<12, with: [2, 0, 0, 0, 0, 0xC, 2, 0, 0, 0, 0, 0x5])
    engine.send(bytes)
    let record = try #require(engine.records.first)
    #expect(record.contains(#""ether":{"src_mac":"02:00:00:00:00:0c","dest_mac":"02:00:00:00:00:05"}"#))
  }

  /// `netflow` has a record for each direction, with the ICMP message of that direction.
  @Test func eachDirectionOfAPingHasItsOwnType() throws {
    var engine = try TestEngine("") { $0.records = [.netflows] }
    let ping = TestFrame(ipProtocol: 1)
    var answer = ping.reply
    answer.icmp.type = 0
    engine.send(ping)
    engine.send(answer)
    engine.finish()
    #expect(engine.records.count == 2)
    #expect(engine.records.first?.contains(#""icmp_type":8,"icmp_code":0,"#) == true)
    #expect(engine.records.last?.contains(#""icmp_type":0,"icmp_code":0,"#) == true)
    #expect(!engine.records.contains { $0.contains("response_icmp") })
  }

  /// A datagram's transaction is told with alerts of rules that are about its application.
  @Test func alertsOfDatagramsTellOfTheirTransactionWhenTheirRuleDoes() throws {
    var engine = try TestEngine(
      """
      alert udp any any -> any any (content:"|03|abc"; sid:1;)
      alert dns any any -> any any (content:"|03|abc"; sid:2;)
      """)
    let query: [UInt8] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0x61, 0x62, 0x63, 0, 0, 1, 0, 1]
    engine.send(TestFrame(destinationPort: 53, ipProtocol: 17, payload: query))
    #expect(engine.alerts == [1, 2])
    #expect(engine.records.map { $0.contains("\"tx_id\":0,") } == [false, true])
    #expect(engine.records.map { $0.contains("\"rrname\":\"abc\"") } == [false, true])
  }

  /// `packethdr`: the first 32 bytes of the packet, of anomalies of streams as of those of packets.
  @Test func anomaliesShowTheirPacket() throws {
    var engine = try TestEngine("") {
      $0.records = [.streamAnomalies]
      $0.recordOptions.anomalyPacket = true
    }
    var connection = Connection()
    connection.open(&engine)
    var frame = connection.clientFrame("x")
    frame.acknowledgement &+= 1 << 20
    engine.send(frame)
    let record = try #require(engine.records.first)
    #expect(record.contains("\"type\":\"stream\""))
    var json = JSONWriter()
    let start = Array(frame.bytes.prefix(32))
    unsafe json.base64(start.span.bytes)
    #expect(record.contains("\"packet\":" + String(decoding: json.bytes, as: UTF8.self)))
  }

  @Test func messagesOfAnyBytesAreValidJSON() throws {
    var engine = try TestEngine("")
    #expect(engine.records == [])
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("a")
    writer.string("\u{1}\"\\/\t\u{7F}é\u{1F600}")
    writer.key("b\"c")
    writer.beginArray()
    writer.number(0 as UInt8)
    writer.number(UInt64.max)
    writer.bool(true)
    writer.endArray()
    writer.endObject()
    #expect(
      String(decoding: writer.bytes, as: UTF8.self)
        == "{\"a\":\"\\u0001\\\"\\\\/\\t\\u007fé\u{1F600}\",\"b\\\"c\":[0,18446744073709551615,true]}")
    engine.finish()
  }

  @Test(
    arguments: [
      ([], ""), ([0x66], "Zg=="), ([0x66, 0x6F], "Zm8="), ([0x66, 0x6F, 0x6F], "Zm9v"),
      ([0x66, 0x6F, 0x6F, 0x62], "Zm9vYg=="),
      ([0xFB, 0xFF, 0xFE], "+//+"),
    ] as [([UInt8], String)])
  func base64(bytes: [UInt8], text: String) {
    var writer = JSONWriter()
    unsafe writer.base64(bytes.span.bytes)
    #expect(String(decoding: writer.bytes, as: UTF8.self) == "\"\(text)\"")
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000000+0000"),
      (951_782_399_999_999_999, "2000-02-28T23:59:59.999999+0000"),
      (951_782_400_000_000_000, "2000-02-29T00:00:00.000000+0000"),
      (1_709_251_200_000_001_000, "2024-03-01T00:00:00.000001+0000"),
      (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000+0000"),
      (UInt64.max, "2554-07-21T23:34:33.709551+0000"),
    ] as [(UInt64, String)])
  func timestamps(time: UInt64, text: String) {
    var bytes: [UInt8] = []
    bytes.appendTimestamp(time)
    #expect(String(decoding: bytes, as: UTF8.self) == text)
  }

  @Test func addressesOfBothFamilies() {
    #expect(text(IPAddress(v4: 0x7F00_0001)) == "127.0.0.1")
    #expect(text(IPAddress(v4: 0xFFFF_FFFF)) == "255.255.255.255")
    #expect(
      text(IPAddress(high: 0x2001_0DB8_0000_0000, low: 0x0000_0000_0000_0001))
        == "2001:0db8:0000:0000:0000:0000:0000:0001")
  }

  private func text(_ address: IPAddress) -> String {
    var bytes: [UInt8] = []
    bytes.appendAddress(address)
    return String(decoding: bytes, as: UTF8.self)
  }
}
