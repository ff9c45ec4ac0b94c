import AllyPacket
import Testing

@testable import AllyDPI

/// Hellos and certificates of TLS.
enum TLSSample {
  static func record(_ type: UInt8, _ body: [UInt8], version: Int = 0x0303) -> [UInt8] {
    [type] + Wire.u16(version) + Wire.vector16(body)
  }

  static func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] { [type] + Wire.u24(body.count) + body }

  static let random = [UInt8](repeating: 0xA1, count: 4) + [UInt8](repeating: 0xB2, count: 28)

  static func clientHello(name: String = "www.example.com", version: Int = 0x0303, random: [UInt8] = random) -> [UInt8]
  {
    let sni: [UInt8] = Wire.u16(0) + Wire.vector16(Wire.vector16([0] + Wire.text16(name)))
    let groups: [UInt8] = Wire.u16(10) + Wire.vector16(Wire.vector16(Wire.u16(29) + Wire.u16(23)))
    let formats: [UInt8] = Wire.u16(11) + Wire.vector16([1, 0])
    let grease: [UInt8] = Wire.u16(0x0A0A) + Wire.vector16([])
    var body: [UInt8] = Wire.u16(version) + random + [0]
    body += Wire.vector16(Wire.u16(0x0A0A) + Wire.u16(0xC02F) + Wire.u16(0xC030)) + [1, 0]
    body += Wire.vector16(grease + sni + groups + formats)
    return record(22, message(1, body), version: 0x0301)
  }

  static func serverHello(version: Int = 0x0303, random: [UInt8] = random) -> [UInt8] {
    let body: [UInt8] = Wire.u16(version) + random + [0] + Wire.u16(0xC02F) + [0] + Wire.vector16([0xFF, 1, 0, 1, 0])
    return record(22, message(2, body), version: version)
  }

  static func name(_ text: String) -> [UInt8] {
    Wire.der(0x30, Wire.der(0x31, Wire.der(0x30, Wire.der(6, [0x55, 4, 3]), Wire.der(0x0C, text))))
  }

  static func certificate(
    subject: String = "server", issuer: String = "authority", serial: [UInt8] = [0x00, 0xAB, 0x01],
    from: String = "150212180727Z", to: String = "250209180727Z"
  ) -> [UInt8] {
    let algorithm = Wire.der(0x30, Wire.der(6, [0x2A, 3]))
    let fields = Wire.der(
      0x30, Wire.der(0xA0, Wire.der(2, [2])), Wire.der(2, serial), algorithm, name(issuer),
      Wire.der(0x30, Wire.der(0x17, from), Wire.der(0x17, to)), name(subject))
    return Wire.der(0x30, fields, algorithm, Wire.der(3, [0, 1]))
  }

  static func certificates(_ chain: [UInt8]...) -> [UInt8] {
    let list = Array(chain.map { Wire.u24($0.count) + $0 }.joined())
    return record(22, message(11, Wire.u24(list.count) + list))
  }

  static let applicationData = record(23, [1, 2, 3])

  static func exchange(
    client: [UInt8] = clientHello(), server: [UInt8] = serverHello(),
    certificates list: [UInt8] = certificates(certificate())
  ) -> Exchange {
    .stream((.toServer, client), (.toClient, server + list), (.toServer, applicationData))
  }
}

@Suite struct ApplicationTLSTests {
  private static func records(_ configuration: inout DPIConfiguration) {
    configuration.records = [.alerts, .tls]
    configuration.application.options.tls.ja3 = .on
  }

  @Test(arguments: [1, 3, 7, 1400])
  func aHandshakeIsRecordedHoweverItIsCut(piece: Int) throws {
    let engine = try TLSSample.exchange().run("", piece: piece, Self.records)
    let record = try #require(engine.records.first { $0.contains("\"event_type\":\"tls\"") })
    let expected =
      "\"tls\":{\"subject\":\"CN=server\",\"issuerdn\":\"CN=authority\",\"serial\":\"00:AB:01\",\"fingerprint\":\""
    #expect(record.contains(expected))
    #expect(
      record.contains(
        "\"sni\":\"www.example.com\",\"version\":\"TLS 1.2\",\"notbefore\":\"2015-02-12T18:07:27\","
          + "\"notafter\":\"2025-02-09T18:07:27\",\"ja3\":{\"hash\":\""))
    #expect(record.contains("\"string\":\"771,49199-49200,0-10-11,29-23,0\"},\"ja3s\":{"))
    #expect(record.contains("\"string\":\"771,49199,65281\""))
    #expect(engine.records.filter { $0.contains("\"event_type\":\"tls\"") }.count == 1)
  }

  @Test func namesThatAreNoStringsAndCutCertificatesAreEvents() throws {
    let cut = Array(TLSSample.certificate().dropLast(30))
    let engine = try TLSSample.exchange(certificates: TLSSample.certificates(cut)).run(
      """
      alert tls any any -> any any (app-layer-event:tls.certificate_invalid_length; sid:1;)
      alert tls any any -> any any (app-layer-event:tls.certificate_invalid_der; sid:2;)
      """)
    #expect(engine.alerts.contains(1) && !engine.alerts.contains(2))
    var other = TLSSample.certificate()
    other[0] = 0x31
    let odd = try TLSSample.exchange(certificates: TLSSample.certificates(other)).run(
      "alert tls any any -> any any (app-layer-event:tls.certificate_invalid_der; sid:1;)")
    #expect(odd.alerts.contains(1))
  }

  @Test func aHandshakeMessageAcrossRecordsIsOne() throws {
    let hello = TLSSample.clientHello()
    let body = Array(hello.dropFirst(5))
    let parts = [body.prefix(20), body.dropFirst(20)].flatMap { TLSSample.record(22, Array($0), version: 0x0301) }
    let engine = try TLSSample.exchange(client: parts).run(
      "alert tls any any -> any any (tls.sni; content:\"example\"; sid:1;)")
    #expect(engine.alerts == [1])
  }

  @Test func theFingerprintOfAClientIsJA4() throws {
    let hello = try #require(TLSHello(TLSSample.clientHello().dropFirst(9), isClient: true))
    let text = String(decoding: TLSFingerprints.ja4(hello, isQUIC: false), as: UTF8.self)
    #expect(text.hasPrefix("t12d020300_"))
    #expect(text.count == 36)
  }

  @Test func noBytesHarmTheParser() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let sample = TLSSample.clientHello() + TLSSample.serverHello() + TLSSample.certificates(TLSSample.certificate())
    for _ in 0..<5_000 {
      var bytes = sample
      for _ in 0..<Int(random.next() % 8) {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      let parser = TLSParser(limits: ApplicationLimits(), transport: IPProtocolNumber.tcp)
      parser.receive(bytes.rawBytes, from: random.next() & 1 == 0 ? .toServer : .toClient)
      #expect(parser.transactionCount == 1, "seed \(seed)")
    }
  }
}
