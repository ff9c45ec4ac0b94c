internal import AllyDPI
internal import AllyPacket

/// One conversation through the whole engine, by what its sides say: the parsers of application protocols, without an input having
/// to get headers and sequence numbers right.
///
/// | byte | meaning |
/// |---|---|
/// | 0 | the server's port, one of ``ports``; bit 7 UDP; bit 6 inline |
/// | then | bit 0 from the server; bits 1–7 n: that many bytes follow, with 127 256 times the next byte; n = 126 is a gap |
struct ConversationTarget: FuzzTarget {
  static let name = "conversation"
  static let longestInput = 16_384

  private static let ports: [UInt16] = [
    80, 25, 21, 445, 135, 53, 443, 22, 500, 123, 5432, 5060, 88, 161, 1883, 502,
  ]
  private let program: DetectionProgram

  init() throws {
    let configuration = Self.configuration(inline: false)
    let report = RuleReader(configuration: configuration).read(Array(Self.rules.utf8), file: "conversation.rules")
    for problem in report.problems { print("Fuzz: \(problem)") }
    require(report.problems.isEmpty, "the rules for conversations load")
    program = try DetectionProgram(rules: report.rules, configuration: configuration)
  }

  private static func configuration(inline: Bool) -> DPIConfiguration {
    var configuration = SmallEngine.configuration
    configuration.midstream = true
    configuration.asyncOneSide = true
    configuration.streamInline = true
    configuration.isInline = inline
    configuration.records = [.alerts, .files, .flows, .applicationAnomalies]
    configuration.records.formUnion(.transactions)
    configuration.recordOptions.files.sha256 = true
    return configuration
  }

  private static let rules = """
    alert http any any -> any any (http.uri; content:"a"; sid:1;)
    alert http any any -> any any (file.data; content:"abc"; sid:2;)
    alert smtp any any -> any any (file.data; content:"abc"; filesize:>1; sid:3;)
    alert smb any any -> any any (smb.named_pipe; content:"pipe"; sid:4;)
    alert dcerpc any any -> any any (dcerpc.opnum:1-9; dcerpc.stub_data; content:"a"; sid:5;)
    alert ftp any any -> any any (ftpbounce; sid:6;)
    alert dns any any -> any any (dns.query; content:"a"; sid:7;)
    alert tcp any any -> any any (filename:"a"; sid:8;)
    alert ike any any -> any any (ike.chosen_sa_attribute:alg_enc=7; sid:9;)
    alert http any any -> any any (frame:http1.request; content:"a"; sid:10;)
    alert smb any any -> any any (frame:smb2.hdr; content:"a"; sid:11;)
    alert http any any -> any any (http.uri; pcre:"/^(?P<flow_path>[a-z]+)/"; sid:12;)
    """

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let choice = input.byte()
    let records = RecordCheck()
    var engine: DPIEngine
    do {
      engine = try DPIEngine(
        program: program, configuration: Self.configuration(inline: choice & 64 != 0), sink: records)
    } catch {
      fatalError("no engine: \(error)")
    }
    var next: [UInt32] = [1000, 5000]
    var time: UInt64 = 1_700_000_000_000_000_000
    var ordinal: UInt64 = 0
    while !input.isEmpty {
      let control = input.byte()
      let side = Int(control & 1)
      var count = Int(control >> 1)
      if count == 126 {
        next[side] &+= UInt32(input.byte()) &+ 1
        continue
      }
      if count == 127 { count = 256 * Int(input.byte() & 3) + 127 }
      let data = input.take(count)
      time += 1_000_000
      ordinal += 1
      let bytes = Self.frame(
        data, fromServer: side == 1, port: Self.ports[Int(choice & 15)], isDatagram: choice & 128 != 0, next)
      let stamp = FrameStamp(time: time, ordinal: ordinal, lengthOnWire: UInt32(bytes.count))
      // Bytes have no padding that could be uninitialized.
      _ = engine.inspect(Packet(bytes: unsafe bytes.span.bytes, stamp: stamp, direction: .receive))
      next[side] &+= UInt32(data.count)
    }
    engine.finish()
  }

  /// A frame of the conversation; checksums are not looked at.
  private static func frame(
    _ data: [UInt8], fromServer: Bool, port: UInt16, isDatagram: Bool, _ next: [UInt32]
  ) -> [UInt8] {
    let own = next[fromServer ? 1 : 0]
    let other = next[fromServer ? 0 : 1]
    let client: [UInt8] = [0x9C, 0x40]
    let server = big(port)
    let ports = fromServer ? server + client : client + server
    let transport: [UInt8] =
      isDatagram
      ? ports + big(UInt16(8 + data.count)) + [0, 0]
      : ports + big(own) + big(other) + [0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]
    let length = 20 + transport.count + data.count
    let addresses: [UInt8] = fromServer ? [10, 0, 0, 2, 10, 0, 0, 1] : [10, 0, 0, 1, 10, 0, 0, 2]
    let header: [UInt8] = [0x45, 0] + big(UInt16(length)) + [0, 1, 0, 0, 64, isDatagram ? 17 : 6, 0, 0] + addresses
    return [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0] + header + transport + data
  }

  private static func big<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<T.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
  }
}
