internal import AllyDPI
internal import AllyPacket

/// Frames through the whole engine: decoding, defragmentation, flows, reassembly, detection, records.
///
/// The first byte chooses the settings, the rest is a ``FrameList``.
struct FramesTarget: FuzzTarget {
  static let name = "frames"
  static let longestInput = 16_384

  private let programs: [DetectionProgram]

  init() throws {
    programs = try [false, true].map { isInline in
      let configuration = Self.configuration(isInline ? 1 : 0)
      let report = RuleReader(configuration: configuration).read(Array(Self.rules.utf8), file: "frames.rules")
      for problem in report.problems { print("Fuzz: \(problem)") }
      require(report.problems.isEmpty, "the rules for frames load")
      let program = try DetectionProgram(rules: report.rules, configuration: configuration)
      require(program.problems.isEmpty, "the rules for frames compile: \(program.problems)")
      return program
    }
  }

  private static func configuration(_ choice: UInt8) -> DPIConfiguration {
    var configuration = SmallEngine.configuration
    configuration.isInline = choice & 1 != 0
    configuration.midstream = choice & 2 != 0
    configuration.asyncOneSide = choice & 4 != 0
    configuration.validatesChecksums = choice & 8 != 0
    if choice & 16 != 0 { configuration.reassemblyDepth = 64 }
    if choice & 32 != 0 { configuration.maximumAlertsPerPacket = 1 }
    configuration.recordOptions.drop.everyPacket = choice & 64 != 0
    return configuration
  }

  mutating func run(_ input: [UInt8]) {
    var input = InputReader(input)
    let configuration = Self.configuration(input.byte())
    let list = FrameList(&input)
    let records = RecordCheck()
    var engine: DPIEngine
    do {
      engine = try DPIEngine(
        program: programs[configuration.isInline ? 1 : 0], configuration: configuration, sink: records)
    } catch {
      fatalError("no engine: \(error)")
    }
    var bytes: UInt64 = 0
    for frame in list.frames {
      bytes += UInt64(frame.bytes.count)
      let verdict = frame.withPacket { engine.inspect($0) }
      require(verdict == .accept || configuration.isInline, "a frame was not accepted, and the engine only watches")
    }
    engine.finish()
    let statistics = engine.statistics
    require(
      statistics.packets == UInt64(list.frames.count) && statistics.bytes == bytes
        && statistics.accepted + statistics.dropped + statistics.rejected == statistics.packets,
      "the counters do not add up: \(statistics)")
    require(statistics.alerts <= UInt64(records.count), "\(statistics.alerts) alerts, \(records.count) records")
  }

  /// At least one rule for each way through detection. Most take any traffic, so that an input reaches them at once.
  private static let rules = #"""
    alert ip any any -> any any (msg:"any"; ttl:<3; sid:1;)
    alert tcp any any -> any any (msg:"request"; flow:established,to_server; content:"GET "; startswith; content:"/"; distance:0; within:20; sid:2;)
    alert tcp any any -> any any (msg:"regex"; pcre:"/[?&][a-z]+=(?:\.\.\x2f)+/i"; sid:3;)
    alert tcp any any -> any any (msg:"relative regex"; content:"Host|3a|"; nocase; pcre:"/^\s*[a-z.]+\r?$/Rim"; sid:4;)
    drop tcp any any -> any any (msg:"drop"; content:"attack"; nocase; fast_pattern; content:!"not"; distance:0; within:9; sid:5;)
    reject udp any any -> any any (msg:"reject"; content:"|00 00 10 00 01|"; sid:6;)
    pass icmp any any -> any any (msg:"pass"; itype:8; icode:7; sid:7;)
    alert udp any any -> any 53 (msg:"numbers"; byte_test:2,>,3,4; byte_jump:1,12,relative; isdataat:2,relative; sid:8;)
    alert udp any any -> any any (msg:"extract"; byte_extract:1,0,n; content:"x"; offset:n; sid:9;)
    alert tcp any any -> any any (msg:"set"; content:"SSH-"; flowbits:set,seen; flowbits:noalert; sid:10;)
    alert tcp any any -> any any (msg:"is set"; flowbits:isset,seen; content:"|00 00|"; sid:11;)
    alert tcp any any -> any any (msg:"flood"; flags:S; threshold:type both,track by_src,count 3,seconds 10; sid:12;)
    alert ip any any -> any any (msg:"many"; dsize:>100; detection_filter:track by_dst,count 2,seconds 5; sid:13;)
    alert ip [10.0.0.0/8,!10.1.0.0/16,2001:db8::/32] any <> $HOME_NET any (msg:"addresses"; ip_proto:89; sid:14;)
    alert tcp any ![80,1024:] -> any [1:1000,!25] (msg:"ports"; flags:+SF; sid:15;)
    alert pkthdr any any -> any any (msg:"broken"; decode-event:ipv4.trunc_pkt; sid:16;)
    alert tcp any any -> any any (msg:"stream"; stream-event:reassembly_overlap_different_data; sid:17;)
    alert udp any any -> any any (msg:"end"; content:"end"; endswith; sid:18;)
    alert tcp any any -> any any (msg:"host"; content:"USER"; xbits:set,user,track ip_src,expire 60; sid:19;)
    alert ip any any -> any any (msg:"fragments"; fragbits:M; sid:20;)
    """#
}
