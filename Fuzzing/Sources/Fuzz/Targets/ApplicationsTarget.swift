internal import AllyDPI
internal import AllyPacket

/// What applications say, through the whole engine: detection of the protocol, its parser, rules, records.
///
/// | byte | meaning |
/// |---|---|
/// | 0 | bits 0–6 which opening is sent first, so that each parser is reached; bit 7 datagrams |
/// | then, for each message | bit 0 of a byte: from the server; two bytes: its length, little-endian, cut at the input's end |
struct ApplicationsTarget: FuzzTarget {
  static let name = "applications"
  static let longestInput = 8192
  private static let mostMessages = 64

  private let program: DetectionProgram

  init() throws {
    let report = RuleReader(configuration: Self.configuration).read(Array(Self.rules.utf8), file: "applications.rules")
    require(report.problems.isEmpty, "the rules for applications load: \(report.problems)")
    program = try DetectionProgram(rules: report.rules, configuration: Self.configuration)
    require(program.problems.isEmpty, "the rules for applications compile: \(program.problems)")
  }

  private static var configuration: DPIConfiguration {
    var configuration = SmallEngine.configuration
    configuration.records = RecordKinds(rawValue: .max).subtracting(.statistics)
    configuration.application.transactions = 16
    configuration.application.handshake = 4096
    configuration.recordOptions.extended = .transactions
    configuration.application.options.hassh = .on
    configuration.application.options.mqtt.maximumMessage = 1024
    return configuration
  }

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let choice = input.byte()
    let isDatagrams = choice & 0x80 != 0
    let records = RecordCheck()
    var engine: DPIEngine
    do {
      engine = try DPIEngine(program: program, configuration: Self.configuration, sink: records)
    } catch {
      fatalError("no engine: \(error)")
    }
    let opening = Self.openings[Int(choice & 0x7F) % Self.openings.count]
    var conversation = Conversation(isDatagrams: isDatagrams, port: opening.port ?? (isDatagrams ? 53 : 80))
    conversation.open(&engine)
    if !opening.bytes.isEmpty { conversation.send(opening.bytes, fromServer: opening.fromServer, &engine) }
    var count = 0
    while !input.isEmpty, count < Self.mostMessages {
      let fromServer = input.byte() & 1 != 0
      conversation.send(input.take(Int(input.number(UInt16.self))), fromServer: fromServer, &engine)
      count += 1
    }
    engine.finish()
    require(engine.statistics.alerts <= UInt64(records.count), "fewer records than alerts")
  }

  /// What is said first, by whom, and to which port; nil for the usual one.
  private struct Opening {
    var bytes: [UInt8]
    var fromServer: Bool
    var port: Int?

    init(_ bytes: [UInt8], fromServer: Bool = false, port: Int? = nil) {
      self.bytes = bytes
      self.fromServer = fromServer
      self.port = port
    }
  }

  /// One flow, in frames whose sequence numbers are right.
  private struct Conversation {
    let isDatagrams: Bool
    let port: Int
    private var client: UInt32 = 1001
    private var server: UInt32 = 5001
    private var ordinal: UInt64 = 0

    init(isDatagrams: Bool, port: Int) {
      self.isDatagrams = isDatagrams
      self.port = port
    }

    mutating func open(_ engine: inout DPIEngine) {
      if isDatagrams { return }
      inspect(SampleTraffic.tcp(toServer: true, port: port, 1000, 0, flags: 0x02, []), &engine)
      inspect(SampleTraffic.tcp(toServer: false, port: port, 5000, 1001, flags: 0x12, []), &engine)
      inspect(SampleTraffic.tcp(toServer: true, port: port, 1001, 5001, flags: 0x10, []), &engine)
    }

    mutating func send(_ bytes: [UInt8], fromServer: Bool, _ engine: inout DPIEngine) {
      let part = Array(bytes.prefix(1400))
      if isDatagrams {
        inspect(SampleTraffic.udp(part, toServer: !fromServer, port: port), &engine)
      } else if fromServer {
        inspect(SampleTraffic.tcp(toServer: false, port: port, server, client, flags: 0x18, part), &engine)
        server &+= UInt32(part.count)
      } else {
        inspect(SampleTraffic.tcp(toServer: true, port: port, client, server, flags: 0x18, part), &engine)
        client &+= UInt32(part.count)
      }
    }

    private mutating func inspect(_ bytes: [UInt8], _ engine: inout DPIEngine) {
      ordinal += 1
      let stamp = FrameStamp(
        time: 1_700_000_000_000_000_000 + ordinal * 1_000_000, ordinal: ordinal, lengthOnWire: UInt32(bytes.count))
      let frame = FrameList.Frame(bytes: bytes, stamp: stamp, direction: .receive)
      require(frame.withPacket { engine.inspect($0) } == .accept, "a frame was not accepted")
    }
  }

  /// What makes each protocol known; the first leaves it to the input.
  private static let openings: [Opening] = [
    Opening([]),
    Opening([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]),
    Opening([0x80, 0x2E, 1, 0, 2]),
    Opening(Array("SSH-2.0-a\r\n".utf8)),
    Opening(Array("SSH-2.0-a\r\n".utf8), fromServer: true),
    Opening([0x10, 14, 0, 4, 0x4D, 0x51, 0x54, 0x54, 5, 0, 0, 9, 0, 0, 1, 0x61]),
    Opening([0x05, 0x64, 5, 0xC9, 1, 0, 0, 0, 0xB6, 0x4F]),
    Opening([0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]),
    Opening(Array("RFB 003.008\n".utf8), fromServer: true),
    Opening(Array("INVITE sip:a SIP/2.0\r\n\r\n".utf8)),
    Opening(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)),
    Opening([0, 0, 0, 16, 0, 3, 0, 0] + Array("user\0a\0\0".utf8)),
    Opening(nfs(version: 3, procedure: 3, isDatagrams: false)),
    Opening(nfs(version: 4, procedure: 1, isDatagrams: false)),
    Opening(nfs(version: 3, procedure: 6, isDatagrams: true)),
    Opening(nfs(version: 2, procedure: 4, isDatagrams: true)),
    Opening([3, 0, 0, 19, 14, 0xE0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0]),
    Opening(Array("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe".utf8)),
    Opening(Array("1 capability\r\n".utf8)),
    Opening([0, 1, 0x61, 0] + Array("octet\0".utf8), port: 69),
    Opening([0xFF, 0xFD, 0x18], fromServer: true, port: 23),
    Opening([], port: 2049),
    Opening([0x65, 0, 4, 0] + [UInt8](repeating: 0, count: 20) + [1, 0, 0, 0], port: 44818),
  ]

  /// A call about a handle of 32 bytes and a name.
  private static func nfs(version: UInt8, procedure: UInt8, isDatagrams: Bool) -> [UInt8] {
    let head: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xA3, 0, 0, 0, version, 0, 0, 0, procedure]
    let handle: [UInt8] = [0, 0, 0, 32] + [UInt8](repeating: 7, count: 32)
    let name: [UInt8] = [0, 0, 0, 1, 0x61, 0, 0, 0]
    let call = head + [UInt8](repeating: 0, count: 16) + handle + name
    return isDatagrams ? call : [0x80, 0, 0, UInt8(call.count)] + call
  }

  private static let rules = #"""
    alert tls any any -> any any (tls.sni; content:"a"; sid:1;)
    alert tls any any -> any any (tls.cert_subject; content:"CN="; tls.cert_issuer; content:"CN="; sid:2;)
    alert tls any any -> any any (tls.version:1.2; tls_cert_expired; sid:3;)
    alert tls any any -> any any (ja3.hash; content:"0123456789abcdef0123456789abcdef"; sid:4;)
    alert tls any any -> any any (ja4.hash; content:"t13"; sid:5;)
    alert ssh any any -> any any (ssh.proto; content:"2.0"; sid:6;)
    alert ssh any any -> any any (ssh.hassh; content:"0123456789abcdef0123456789abcdef"; sid:7;)
    alert mqtt any any -> any any (mqtt.type:PUBLISH; mqtt.publish.topic; content:"a"; sid:8;)
    alert mqtt any any -> any any (mqtt.reason_code:0; sid:9;)
    alert dnp3 any any -> any any (dnp3_func:1; sid:10;)
    alert dnp3 any any -> any any (dnp3_obj:60,2; sid:11;)
    alert modbus any any -> any any (modbus:access write coils, address 1, value >0; sid:12;)
    alert quic any any -> any any (quic.sni; content:"a"; sid:13;)
    alert sip any any -> any any (sip.method; content:"INVITE"; sid:14;)
    alert snmp any any -> any any (snmp.community; content:"p"; sid:15;)
    alert krb5 any any -> any any (krb5.cname; content:"a"; sid:16;)
    alert rfb any any -> any any (rfb.name; content:"a"; sid:17;)
    alert dhcp any any -> any any (dhcp.leasetime:>1; sid:18;)
    alert tls any any -> any any (app-layer-event:tls.invalid_record_type; sid:19;)
    alert tls any any -> any any (frame:tls.pdu; content:"a"; sid:20;)
    alert mqtt any any -> any any (frame:mqtt.header; content:"a"; sid:21;)
    alert sip any any -> any any (frame:sip.request.line; content:"INVITE"; sid:22;)
    alert rfb any any -> any any (frame:rfb.pdu; content:"a"; sid:23;)
    alert nfs any any -> any any (nfs_procedure:3; nfs_version:>2; sid:24;)
    alert nfs any any -> any any (file.data; content:"a"; sid:25;)
    alert nfs any any -> any any (app-layer-event:nfs.malformed_data; sid:26;)
    alert udp any any -> any any (rpc:100003,*,6; sid:27;)
    alert rdp any any -> any any (content:"mstshash"; sid:28;)
    alert tftp any any -> any any (content:"octet"; sid:29;)
    alert bittorrent-dht any any -> any any (app-layer-event:bittorrent-dht.malformed_packet; sid:30;)
    alert imap any any -> any any (content:"login"; sid:31;)
    alert telnet any any -> any any (content:"login"; sid:32;)
    alert enip any any -> any any (enip_command:111; cip_service:14,1,3; sid:33;)
    """#
}
