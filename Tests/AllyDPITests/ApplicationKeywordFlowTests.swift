import AllyPacket
import Testing

@testable import AllyDPI

/// Messages of the protocols that have few keywords each.
enum MessageSample {
  // MARK: SSH

  static func ssh(
    client: String = "SSH-2.0-OpenSSH_9.2p1", server: String = "SSH-2.0-Server_1", mac: String = "hmac-sha2-256"
  )
    -> Exchange
  {
    .stream(
      (.toClient, Array("\(server)\r\n".utf8) + offer(mac)), (.toServer, Array("\(client)\r\n".utf8) + offer(mac)))
  }

  private static func offer(_ mac: String) -> [UInt8] {
    let lists = ["curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes256-ctr", mac, mac, "none", "none", "", ""]
    var body: [UInt8] = [20] + [UInt8](repeating: 7, count: 16)
    for list in lists { body += Wire.u32(list.utf8.count) + Array(list.utf8) }
    body += [0, 0, 0, 0, 0]
    return Wire.u32(body.count + 1 + 4) + [4] + body + [0, 0, 0, 0]
  }

  // MARK: MQTT

  static func mqtt(_ kind: UInt8, _ body: [UInt8], flags: UInt8 = 0) -> [UInt8] {
    [kind << 4 | flags, UInt8(body.count)] + body
  }

  static func mqttConnect(
    version: UInt8 = 5, flags: UInt8 = 0xC6, client: String = "myclient", user: String = "me", password: String = "pw",
    topic: String = "last/words", message: String = "gone"
  ) -> [UInt8] {
    var body = Wire.text16("MQTT") + [version, flags, 0, 60]
    if version == 5 { body += [0] }
    body += Wire.text16(client)
    if flags & 4 != 0 { body += (version == 5 ? [0] : []) + Wire.text16(topic) + Wire.text16(message) }
    if flags & 0x80 != 0 { body += Wire.text16(user) }
    if flags & 0x40 != 0 { body += Wire.text16(password) }
    return mqtt(1, body)
  }

  static func mqttConnack(present: UInt8 = 1, reason: UInt8 = 0x85) -> [UInt8] { mqtt(2, [present, reason, 0]) }

  static func mqttConversation(
    connect: [UInt8] = mqttConnect(), connack: [UInt8] = mqttConnack(), then: [UInt8] = []
  ) -> Exchange { .stream((.toServer, connect), (.toClient, connack), (.toServer, then + mqtt(14, [])), port: 1883) }

  static func mqttPublish(topic: String = "a/topic", message: String = "hello", quality: UInt8 = 0, flags: UInt8 = 0)
    -> [UInt8]
  {
    mqtt(
      3, Wire.text16(topic) + (quality > 0 ? [0, 9] : []) + [0] + Array(message.utf8), flags: quality << 1 | flags)
  }

  // MARK: SIP

  static func sip(
    method: String = "INVITE", uri: String = "sip:bob@example.com", header: String = "Max-Forwards: 70",
    body: String = "v=0", code: String = "180", reason: String = "Ringing"
  ) -> Exchange {
    .datagrams(
      (.toServer, Array("\(method) \(uri) SIP/2.0\r\n\(header)\r\n\r\n\(body)".utf8)),
      (.toClient, Array("SIP/2.0 \(code) \(reason)\r\n\r\n".utf8)), port: 5060)
  }

  // MARK: SNMP

  static func snmp(version: UInt8 = 1, community: String = "private", kind: UInt8 = 1) -> Exchange {
    let pdu = Wire.der(
      0xA0 | kind, Wire.der(2, [7]), Wire.der(2, [0]), Wire.der(2, [0]),
      Wire.der(0x30, Wire.der(0x30, Wire.der(6, [0x2B, 6, 1]), Wire.der(5))))
    return .datagrams((.toServer, Wire.der(0x30, Wire.der(2, [version]), Wire.der(4, community), pdu)), port: 161)
  }

  static func snmpThird(user: String = "operator") -> Exchange {
    let security = Wire.der(
      0x30, Wire.der(4, "engine"), Wire.der(2, [1]), Wire.der(2, [2]), Wire.der(4, user), Wire.der(4, ""),
      Wire.der(4, ""))
    let pdu = Wire.der(0xA0, Wire.der(2, [7]), Wire.der(2, [0]), Wire.der(2, [0]), Wire.der(0x30))
    return .datagrams(
      (
        .toServer,
        Wire.der(
          0x30, Wire.der(2, [3]),
          Wire.der(0x30, Wire.der(2, [1]), Wire.der(2, [4, 0]), Wire.der(4, [4]), Wire.der(2, [3])),
          Wire.der(4, security), Wire.der(0x30, Wire.der(4, "engine"), Wire.der(4, ""), pdu))
      ), port: 161)
  }

  // MARK: Kerberos

  private static func principal(_ parts: [String]) -> [UInt8] {
    let list = Array(parts.map { Wire.der(0x1B, $0) }.joined())
    return Wire.der(0x30, Wire.der(0xA0, Wire.der(2, [1])), Wire.der(0xA1, Wire.der(0x30, list)))
  }

  static func kerberosRequest(type: UInt8 = 10, client: String = "robin", server: String = "krbtgt") -> Exchange {
    let body = Wire.der(
      0x30, Wire.der(0xA0, Wire.der(3, [0, 0, 0, 0, 0])), Wire.der(0xA1, principal([client])),
      Wire.der(0xA2, Wire.der(0x1B, "REALM")), Wire.der(0xA3, principal([server, "REALM"])))
    let fields = Wire.der(
      0x30, Wire.der(0xA1, Wire.der(2, [5])), Wire.der(0xA2, Wire.der(2, [type])), Wire.der(0xA4, body))
    return .datagrams((.toServer, Wire.der(0x60 | type, fields)), port: 88)
  }

  static func kerberosReply(client: String = "robin", server: String = "krbtgt", ticket: UInt8 = 23) -> Exchange {
    let sealed = { (type: UInt8) -> [UInt8] in
      Wire.der(0x30, Wire.der(0xA0, Wire.der(2, [type])), Wire.der(0xA2, Wire.der(4, "x")))
    }
    let inner = Wire.der(
      0x61,
      Wire.der(
        0x30, Wire.der(0xA0, Wire.der(2, [5])), Wire.der(0xA1, Wire.der(0x1B, "REALM")),
        Wire.der(0xA2, principal([server])), Wire.der(0xA3, sealed(ticket))))
    let fields = Wire.der(
      0x30, Wire.der(0xA0, Wire.der(2, [5])), Wire.der(0xA1, Wire.der(2, [11])),
      Wire.der(0xA3, Wire.der(0x1B, "REALM")), Wire.der(0xA4, principal([client])), Wire.der(0xA5, inner),
      Wire.der(0xA6, sealed(18)))
    let request = kerberosRequest().messages[0].bytes
    return .datagrams((.toServer, request), (.toClient, Wire.der(0x6B, fields)), port: 88)
  }

  static func kerberosError(_ code: UInt8 = 25) -> Exchange {
    let fields = Wire.der(
      0x30, Wire.der(0xA0, Wire.der(2, [5])), Wire.der(0xA1, Wire.der(2, [30])), Wire.der(0xA6, Wire.der(2, [code])))
    let request = kerberosRequest().messages[0].bytes
    return .datagrams((.toServer, request), (.toClient, Wire.der(0x7E, fields)), port: 88)
  }

  // MARK: DHCP, RFB, DNP3, Modbus

  static func dhcp(option: UInt8, seconds: Int) -> Exchange {
    var bytes: [UInt8] = [2, 1, 6, 0, 1, 2, 3, 4] + [UInt8](repeating: 0, count: 228)
    bytes += [0x63, 0x82, 0x53, 0x63, 53, 1, 5, option, 4] + Wire.u32(seconds) + [255]
    return .datagrams((.toServer, bytes), port: 67)
  }

  /// A call about a handle.
  static func nfs(version: Int = 3, procedure: Int = 4, program: Int = 100_003, isDatagrams: Bool = true) -> Exchange {
    var bytes: [UInt8] = []
    for word in [9, 0, 2, program, version, procedure, 0, 0, 0, 0, 4] { bytes += Wire.u32(word) }
    bytes += Array("root".utf8) + [UInt8](repeating: 0, count: 32)
    return isDatagrams
      ? .datagrams((.toServer, bytes), port: 2049)
      : .stream((.toServer, Wire.u32(bytes.count | 0x8000_0000) + bytes), port: 2049)
  }

  /// A message of EtherNet/IP; with data it is one of CIP without a connection.
  static func enip(command: UInt8 = 0x6F, _ cip: [UInt8]) -> Exchange {
    let data: [UInt8] =
      cip.isEmpty
      ? [1, 0, 0, 0] : [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0xB2, 0, UInt8(cip.count), 0] + cip
    let head: [UInt8] = [command, 0, UInt8(data.count), 0] + [UInt8](repeating: 0, count: 20)
    return .datagrams((.toServer, head + data), port: 44818)
  }

  static func cip(_ service: UInt8, classNumber: Int, attribute: UInt8? = nil, data: [UInt8] = []) -> [UInt8] {
    var path: [UInt8] =
      classNumber < 256
      ? [0x20, UInt8(classNumber)] : [0x21, 0, UInt8(classNumber & 0xFF), UInt8(classNumber >> 8)]
    path += [0x24, 1]
    if let attribute { path += [0x30, attribute] }
    return [service, UInt8(path.count / 2)] + path + data
  }

  static func cipBundle(_ first: [UInt8], _ second: [UInt8]) -> [UInt8] {
    [0x0A, 2, 0x20, 2, 0x24, 1, 2, 0, 6, 0, UInt8(6 + first.count), 0] + first + second
  }

  static func rfb(type: UInt8 = 2, result: Int = 0, name: String = "desk") -> Exchange {
    .stream(
      (.toClient, Array("RFB 003.008\n".utf8)), (.toServer, Array("RFB 003.008\n".utf8)), (.toClient, [1, type]),
      (.toServer, [type]), (.toClient, type == 2 ? [UInt8](repeating: 1, count: 16) : []),
      (.toServer, type == 2 ? [UInt8](repeating: 2, count: 16) : []), (.toClient, Wire.u32(result)), (.toServer, [1]),
      (
        .toClient,
        Wire.u16(800) + Wire.u16(600) + [UInt8](repeating: 0, count: 16) + Wire.u32(name.utf8.count) + Array(name.utf8)
      ))
  }

  static func dnp3(_ message: [UInt8], fromServer: Bool = false) -> Exchange {
    var header: [UInt8] = [0x05, 0x64, UInt8(5 + 1 + message.count), fromServer ? 0x44 : 0xC4, 2, 0, 3, 0]
    header += checksum(header)
    var data = ([0xC0] + message)[...]
    while !data.isEmpty {
      let block = Array(data.prefix(16))
      header += block + checksum(block)
      data = data.dropFirst(16)
    }
    let start: [UInt8] = [0x05, 0x64, 8, 0xC4, 2, 0, 3, 0]
    let request = start + checksum(start) + [0xC0, 0xC0, 1] + checksum([0xC0, 0xC0, 1])
    return fromServer
      ? .stream((.toServer, request), (.toClient, header), port: 20000) : .stream((.toServer, header), port: 20000)
  }

  private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
    var sum: UInt16 = 0
    for byte in bytes {
      sum ^= UInt16(byte)
      for _ in 0..<8 { sum = sum & 1 != 0 ? sum >> 1 ^ 0xA6BC : sum >> 1 }
    }
    return [UInt8(~sum & 0xFF), UInt8(~sum >> 8)]
  }

  static func modbus(_ request: [UInt8], unit: UInt8 = 10) -> Exchange {
    .stream((.toServer, [0, 1, 0, 0] + Wire.u16(request.count + 1) + [unit] + request), port: 502)
  }
}

/// For each keyword one exchange that fires, and one that differs in what it asks for alone and does not.
@Suite struct ApplicationKeywordFlowTests {
  struct Case: Sendable {
    var rule: String
    var fires: Exchange
    var differs: Exchange

    init(_ rule: String, _ fires: Exchange, _ differs: Exchange) {
      (self.rule, self.fires, self.differs) = (rule, fires, differs)
    }
  }

  private static func check(_ cases: [Case]) throws {
    for one in cases {
      let rule = "alert ip any any -> any any (\(one.rule); sid:1;)"
      #expect(try one.fires.run(rule).alerts.contains(1), "\(one.rule) fires")
      #expect(try one.differs.run(rule).alerts.isEmpty, "\(one.rule) does not fire")
    }
  }

  @Test func keywordsOfTLS() throws {
    let plain = TLSSample.exchange()
    let otherName = TLSSample.exchange(client: TLSSample.clientHello(name: "other.test"))
    let otherRandom = [UInt8](repeating: 0xC3, count: 32)
    let otherClient = TLSSample.exchange(client: TLSSample.clientHello(random: otherRandom))
    let otherServer = TLSSample.exchange(server: TLSSample.serverHello(version: 0x0302))
    func holds(_ certificate: [UInt8]) -> Exchange {
      TLSSample.exchange(certificates: TLSSample.certificates(certificate))
    }
    let hello = try #require(TLSHello(TLSSample.clientHello().dropFirst(9), isClient: true))
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    let ja3 = TLSFingerprints.ja3(hello)
    let serverText = "771,49199,65281"
    let digest = Digest.of(TLSSample.certificate().span, .sha1)
    let fingerprint = text(TLSCertificate.digits(digest, isUppercase: false))
    let late = TLSSample.certificate(from: "400101000000Z", to: "450101000000Z")
    let two = TLSSample.exchange(
      certificates: TLSSample.certificates(TLSSample.certificate(), TLSSample.certificate(subject: "ca")))
    try Self.check([
      Case("tls.sni; content:\"example\"", plain, otherName),
      Case("tls_sni; content:\"example\"", plain, otherName),
      Case("tls.cert_subject; content:\"CN=server\"", plain, holds(TLSSample.certificate(subject: "else"))),
      Case("tls.subject:\"CN=server\"", plain, holds(TLSSample.certificate(subject: "else"))),
      Case("tls.cert_issuer; content:\"CN=authority\"", plain, holds(TLSSample.certificate(issuer: "else"))),
      Case("tls.issuerdn:\"CN=authority\"", plain, holds(TLSSample.certificate(issuer: "else"))),
      Case("tls.cert_serial; content:\"00:AB:01\"", plain, holds(TLSSample.certificate(serial: [0x11]))),
      Case("tls.cert_fingerprint; content:\"\(fingerprint)\"", plain, holds(TLSSample.certificate(serial: [0x11]))),
      Case("tls.fingerprint:\"\(fingerprint)\"", plain, holds(TLSSample.certificate(serial: [0x11]))),
      Case("tls.certs; content:\"|55 04 03 0C 02|ca\"", two, plain),
      Case("tls.cert_chain_len:>1", two, plain),
      Case("tls_cert_notbefore:2015-02-12<>2015-02-14", plain, holds(late)),
      Case("tls_cert_notafter:<2030", plain, holds(late)),
      Case(
        "tls.version:1.2", plain,
        TLSSample.exchange(
          client: TLSSample.clientHello(version: 0x0302), server: TLSSample.serverHello(version: 0x0302))),
      Case("flow:to_client; ssl_version:tls1.2", plain, otherServer),
      Case("tls.random; content:\"|A1 A1 A1 A1 B2|\"; flow:to_server", plain, otherClient),
      Case("tls.random_time; content:\"|A1 A1 A1 A1|\"; flow:to_server", plain, otherClient),
      Case("tls.random_bytes; content:\"|B2 B2 B2 B2|\"; flow:to_server", plain, otherClient),
      Case(
        "ja3.hash; content:\"\(text(TLSFingerprints.md5(ja3)))\"", plain,
        TLSSample.exchange(client: TLSSample.clientHello(version: 0x0302))),
      Case(
        "ja3.string; content:\"\(text(ja3))\"", plain,
        TLSSample.exchange(client: TLSSample.clientHello(version: 0x0302))),
      Case("ja3s.string; content:\"\(serverText)\"", plain, otherServer),
      Case("ja3s.hash; content:\"\(text(TLSFingerprints.md5(Array(serverText.utf8))))\"", plain, otherServer),
      Case(
        "ja4.hash; content:\"\(text(TLSFingerprints.ja4(hello, isQUIC: false)))\"", plain,
        TLSSample.exchange(client: TLSSample.clientHello(version: 0x0302))),
      Case("ssl_state:server_hello", plain, .stream((.toServer, TLSSample.clientHello()))),
    ])
  }

  @Test func certificatesAreComparedWithTheClockOfTheTraffic() throws {
    // The traffic of tests is of 2010.
    let past = TLSSample.exchange(
      certificates: TLSSample.certificates(TLSSample.certificate(from: "050101000000Z", to: "090101000000Z")))
    let present = TLSSample.exchange(
      certificates: TLSSample.certificates(TLSSample.certificate(from: "700101000000Z", to: "491231235959Z")))
    try Self.check([Case("tls_cert_expired", past, present), Case("tls_cert_valid", present, past)])
  }

  @Test func keywordsOfSSH() throws {
    let plain = MessageSample.ssh()
    let version = MessageSample.ssh(client: "SSH-1.5-OpenSSH_9.2p1", server: "SSH-1.5-Server_1")
    let software = MessageSample.ssh(client: "SSH-2.0-other", server: "SSH-2.0-other")
    let mac = MessageSample.ssh(mac: "hmac-md5")
    let client = Array("curve25519-sha256;aes128-ctr;hmac-sha2-256;none".utf8)
    let server = Array("curve25519-sha256;aes256-ctr;hmac-sha2-256;none".utf8)
    func hash(_ text: [UInt8]) -> String { String(decoding: TLSFingerprints.md5(text), as: UTF8.self) }
    try Self.check([
      Case("ssh.proto; content:\"2.0\"", plain, version),
      Case("ssh.protoversion:2_compat", plain, version),
      Case("ssh.software; content:\"OpenSSH_9.2p1\"; endswith", plain, software),
      Case("ssh.softwareversion:\"OpenSSH\"", plain, software),
      Case("ssh.hassh.string; content:\"hmac-sha2-256\"", plain, mac),
      Case("ssh.hassh; content:\"\(hash(client))\"", plain, mac),
      Case("ssh.hassh.server.string; content:\"hmac-sha2-256\"", plain, mac),
      Case("ssh.hassh.server; content:\"\(hash(server))\"", plain, mac),
    ])
  }

  @Test func keywordsOfMQTT() throws {
    typealias Sample = MessageSample
    let plain = Sample.mqttConversation()
    func connects(_ connect: [UInt8]) -> Exchange { Sample.mqttConversation(connect: connect) }
    func says(_ message: [UInt8]) -> Exchange { Sample.mqttConversation(then: message) }
    let subscribe = { (topic: String) in
      Sample.mqtt(8, [0, 5, 0] + Wire.text16("x") + [1] + Wire.text16(topic) + [1], flags: 2)
    }
    let unsubscribe = { (topic: String) in Sample.mqtt(10, [0, 6, 0] + Wire.text16("x") + Wire.text16(topic), flags: 2)
    }
    try Self.check([
      Case("mqtt.type:CONNECT", plain, .stream((.toServer, Sample.mqtt(12, [])), port: 1883)),
      Case(
        "mqtt.protocol_version:5", plain,
        Sample.mqttConversation(connect: Sample.mqttConnect(version: 4), connack: Sample.mqtt(2, [0, 0]))),
      Case("mqtt.connect.flags:username,will", plain, connects(Sample.mqttConnect(flags: 0x82))),
      Case("mqtt.connect.clientid; content:\"myclient\"", plain, connects(Sample.mqttConnect(client: "else"))),
      Case("mqtt.connect.username; content:\"me\"", plain, connects(Sample.mqttConnect(user: "us"))),
      Case("mqtt.connect.password; content:\"pw\"", plain, connects(Sample.mqttConnect(password: "no"))),
      Case("mqtt.connect.willtopic; content:\"last\"", plain, connects(Sample.mqttConnect(topic: "first"))),
      Case("mqtt.connect.willmessage; content:\"gone\"", plain, connects(Sample.mqttConnect(message: "here"))),
      Case("mqtt.connack.session_present:yes", plain, Sample.mqttConversation(connack: Sample.mqttConnack(present: 0))),
      Case("mqtt.reason_code:133", plain, Sample.mqttConversation(connack: Sample.mqttConnack(reason: 0))),
      Case("mqtt.type:PUBLISH; mqtt.qos:1", says(Sample.mqttPublish(quality: 1)), says(Sample.mqttPublish(quality: 2))),
      Case("mqtt.type:PUBLISH; mqtt.flags:retain", says(Sample.mqttPublish(flags: 1)), says(Sample.mqttPublish())),
      Case("mqtt.publish.topic; content:\"a/topic\"", says(Sample.mqttPublish()), says(Sample.mqttPublish(topic: "b"))),
      Case(
        "mqtt.publish.message; content:\"hello\"", says(Sample.mqttPublish()), says(Sample.mqttPublish(message: "b"))),
      Case("mqtt.subscribe.topic; content:\"two\"", says(subscribe("two")), says(subscribe("three"))),
      Case("mqtt.unsubscribe.topic; content:\"two\"", says(unsubscribe("two")), says(unsubscribe("three"))),
      Case(
        "app-layer-event:mqtt.missing_connect",
        .stream((.toServer, [0xC0, 0]), (.toClient, Sample.mqttConnack()), port: 1883), plain),
    ])
  }

  @Test func keywordsOfSIP() throws {
    typealias Sample = MessageSample
    let plain = Sample.sip()
    try Self.check([
      Case("sip.method; content:\"INVITE\"", plain, Sample.sip(method: "OPTIONS")),
      Case("sip.uri; content:\"bob\"", plain, Sample.sip(uri: "sip:alice@example.com")),
      Case("sip.request_line; content:\"INVITE sip:bob\"", plain, Sample.sip(method: "OPTIONS")),
      Case(
        "sip.protocol; content:\"SIP/2.0\"", plain,
        .datagrams((.toServer, Array("INVITE x SIP/3.0\r\n\r\n".utf8)), port: 5060)),
      Case("sip.stat_code; content:\"180\"", plain, Sample.sip(code: "200")),
      Case("sip.stat_msg; content:\"Ringing\"", plain, Sample.sip(reason: "OK")),
      Case("sip.response_line; content:\"SIP/2.0 180\"", plain, Sample.sip(code: "200")),
      Case("sip_header; content:\"Max-Forwards\"", plain, Sample.sip(header: "To: x")),
      Case("sip_body; content:\"v=0\"", plain, Sample.sip(body: "")),
    ])
  }

  /// Over TCP a message has its length before it; one of no bytes is no message, and ends the reading.
  @Test(arguments: [1, 3, 4, 1400])
  func anEmptyMessageOfKerberosIsMalformed(piece: Int) throws {
    let message = MessageSample.kerberosRequest().messages[0].bytes
    let length: [UInt8] = [0, 0, 0, UInt8(message.count)]
    let stream: [UInt8] = length + message + [0, 0, 0, 0] + length + message
    let engine = try Exchange.stream((.toServer, stream), port: 88).run(
      """
      alert krb5 any any -> any any (krb5_msg_type:10; sid:1;)
      alert krb5 any any -> any any (app-layer-event:krb5.malformed_data; sid:2;)
      """, piece: piece)
    #expect(engine.alerts == [1, 2])
  }

  @Test func keywordsOfSNMPAndKerberos() throws {
    typealias Sample = MessageSample
    try Self.check([
      Case("snmp.version:2", Sample.snmp(), Sample.snmp(version: 0)),
      Case("snmp.community; content:\"private\"", Sample.snmp(), Sample.snmp(community: "public")),
      Case("snmp.pdu_type:1", Sample.snmp(), Sample.snmp(kind: 3)),
      Case("snmp.usm; content:\"operator\"", Sample.snmpThird(), Sample.snmpThird(user: "guest")),
      Case("krb5_msg_type:10", Sample.kerberosRequest(), Sample.kerberosRequest(type: 12)),
      Case("krb5_err_code:25", Sample.kerberosError(), Sample.kerberosError(6)),
      Case("krb5.cname; content:\"robin\"", Sample.kerberosReply(), Sample.kerberosReply(client: "batman")),
      Case("krb5.sname; content:\"krbtgt\"", Sample.kerberosReply(), Sample.kerberosReply(server: "http")),
      Case("krb5.ticket_encryption:weak", Sample.kerberosReply(), Sample.kerberosReply(ticket: 18)),
    ])
  }

  @Test func keywordsOfDHCPAndRFB() throws {
    typealias Sample = MessageSample
    try Self.check([
      Case("dhcp.leasetime:>3600", Sample.dhcp(option: 51, seconds: 7200), Sample.dhcp(option: 51, seconds: 60)),
      Case("dhcp.renewal_time:7200", Sample.dhcp(option: 58, seconds: 7200), Sample.dhcp(option: 58, seconds: 60)),
      Case("dhcp.rebinding_time:7200", Sample.dhcp(option: 59, seconds: 7200), Sample.dhcp(option: 59, seconds: 60)),
      Case("rfb.name; content:\"desk\"", Sample.rfb(), Sample.rfb(name: "else")),
      Case("rfb.sectype:2", Sample.rfb(), Sample.rfb(type: 1)),
      Case("rfb.secresult:fail", Sample.rfb(result: 1), Sample.rfb()),
    ])
  }

  @Test func keywordsOfNFS() throws {
    typealias Sample = MessageSample
    let plain = Sample.nfs()
    try Self.check([
      Case("nfs_version:3", plain, Sample.nfs(version: 2)),
      Case("nfs_version:>2", plain, Sample.nfs(version: 2)),
      // Ranges of both have their ends.
      Case("nfs.version:2<>3", plain, Sample.nfs(version: 4)),
      Case("nfs_procedure:4", plain, Sample.nfs(procedure: 1)),
      Case("nfs_procedure:4<>5", plain, Sample.nfs(procedure: 1)),
      Case("nfs_procedure:!1", plain, Sample.nfs(procedure: 1)),
      Case("rpc:100003,3,4", plain, Sample.nfs(procedure: 1)),
      Case("rpc:100003,*,4", plain, Sample.nfs(procedure: 1)),
      Case("rpc:100003,3,*", plain, Sample.nfs(version: 2)),
      Case("rpc:100003", plain, Sample.nfs(program: 100_005)),
      Case("rpc:100003,3,4", Sample.nfs(isDatagrams: false), Sample.nfs(procedure: 1, isDatagrams: false)),
    ])
  }

  @Test func keywordsOfEtherNetIP() throws {
    typealias Sample = MessageSample
    let plain = Sample.enip(Sample.cip(14, classNumber: 1, attribute: 3))
    let bundle = Sample.enip(Sample.cipBundle(Sample.cip(1, classNumber: 2), Sample.cip(14, classNumber: 4)))
    let list = Sample.enip(Sample.cip(3, classNumber: 1, data: [2, 0, 7, 0, 8, 0]))
    try Self.check([
      Case("enip_command:111", plain, Sample.enip(command: 101, [])),
      Case("cip_service:14", plain, Sample.enip(Sample.cip(1, classNumber: 1))),
      Case("cip_service:14", plain, Sample.enip([14 | 0x80, 0, 0, 0])),
      Case("cip_service:14,1", plain, Sample.enip(Sample.cip(14, classNumber: 2))),
      Case("cip_service:14,300", Sample.enip(Sample.cip(14, classNumber: 300)), plain),
      Case("cip_service:14,1,3", plain, Sample.enip(Sample.cip(14, classNumber: 1, attribute: 4))),
      Case("cip_service:14,4", bundle, plain),
      Case("cip_service:3,1,8", list, Sample.enip(Sample.cip(3, classNumber: 1, data: [1, 0, 7, 0]))),
    ])
  }

  @Test func messagesOfEtherNetIPComeInPieces() throws {
    let message = MessageSample.enip(MessageSample.cip(14, classNumber: 1))
    let stream = Exchange.stream((.toServer, message.messages[0].bytes + message.messages[0].bytes), port: 44818)
    let rule = "alert enip any any -> any any (cip_service:14,1; sid:1;)"
    #expect(try stream.run(rule, piece: 5).alerts == [1, 1])
    #expect(try stream.run(rule).alerts == [1, 1])
    // Bundles that are in themselves, and lengths that are not so.
    let inItself = MessageSample.enip([0x0A, 0, 2, 0, 0, 0, 4, 0, 0x0A, 0, 1, 0, 0, 0])
    #expect(try inItself.run(rule).alerts.isEmpty)
    #expect(try MessageSample.enip([14, 200, 0x20]).run(rule).alerts.isEmpty)
  }

  @Test func keywordsOfIndustrialProtocols() throws {
    typealias Sample = MessageSample
    let read: [UInt8] = [0xC0, 1, 60, 2, 6]
    let response: [UInt8] = [0xC0, 129, 0x80, 0]
    try Self.check([
      Case("dnp3_func:1", Sample.dnp3(read), Sample.dnp3([0xC0, 2, 60, 2, 6])),
      Case("dnp3_obj:60,2", Sample.dnp3(read), Sample.dnp3([0xC0, 1, 60, 3, 6])),
      Case(
        "dnp3_ind:device_restart", Sample.dnp3(response, fromServer: true),
        Sample.dnp3([0xC0, 129, 0, 0], fromServer: true)),
      Case("dnp3.data; content:\"|01 3C 02|\"", Sample.dnp3(read), Sample.dnp3([0xC0, 1, 60, 3, 6])),
      Case("modbus:function 1", Sample.modbus([1, 0, 0, 0, 1]), Sample.modbus([2, 0, 0, 0, 1])),
      Case("modbus:unit 10", Sample.modbus([1, 0, 0, 0, 1]), Sample.modbus([1, 0, 0, 0, 1], unit: 11)),
      Case("modbus:function user", Sample.modbus([66, 0]), Sample.modbus([1, 0, 0, 0, 1])),
      Case("modbus:function 8, subfunction 4", Sample.modbus([8, 0, 4, 0, 0]), Sample.modbus([8, 0, 1, 0, 0])),
      Case("modbus:access read", Sample.modbus([3, 0, 0, 0, 1]), Sample.modbus([6, 0, 0, 0, 1])),
      Case(
        "modbus:access write holding, address 5, value >10", Sample.modbus([6, 0, 5, 0, 11]),
        Sample.modbus([6, 0, 5, 0, 10])),
    ])
  }
}
