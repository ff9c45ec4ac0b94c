import AllyPacket
import Testing

@testable import AllyDPI

/// Rules from text, for tests.
enum TestRules {
  /// All must load.
  static func read(
    _ text: String, configuration: DPIConfiguration = DPIConfiguration(),
    sourceLocation: SourceLocation = #_sourceLocation
  ) -> [Rule] {
    let report = RuleReader(configuration: configuration).read(Array(text.utf8), file: "test.rules")
    for problem in report.problems {
      Issue.record(
        "\(problem.location.line):\(problem.location.column): \(problem.reason)", sourceLocation: sourceLocation)
    }
    return report.rules
  }
}

/// A frame in the making: Ethernet, IPv4, and TCP, UDP or ICMP, with correct lengths and checksums.
struct TestFrame {
  var source = "10.0.0.1"
  var destination = "192.0.2.80"
  var sourcePort: UInt16 = 40_000
  var destinationPort: UInt16 = 80
  var ipProtocol: UInt8 = 6
  var flags: UInt8 = 0x18
  var sequence: UInt32 = 1
  var acknowledgement: UInt32 = 1
  var timeToLive: UInt8 = 64
  var icmp: (type: UInt8, code: UInt8) = (8, 0)
  var payload: [UInt8] = []
  var identification: UInt16 = 1
  /// The "don't fragment" bit is clear.
  var mayFragment = false

  /// The same in the other direction.
  var reply: TestFrame {
    var frame = self
    swap(&frame.source, &frame.destination)
    swap(&frame.sourcePort, &frame.destinationPort)
    swap(&frame.sequence, &frame.acknowledgement)
    frame.payload = []
    return frame
  }

  var bytes: [UInt8] {
    var transport: [UInt8]
    switch ipProtocol {
    case 6:
      transport = big(sourcePort) + big(destinationPort) + big(sequence) + big(acknowledgement)
      transport += [0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0] + payload
    case 17:
      transport = big(sourcePort) + big(destinationPort) + big(UInt16(8 + payload.count)) + [0, 0] + payload
    default:
      transport = [icmp.type, icmp.code, 0, 0, 0, 1, 0, 1] + payload
    }
    let addresses = TestFrame.octets(source) + TestFrame.octets(destination)
    switch ipProtocol {
    case 6: set(&transport, 16, sum(addresses + [0, 6] + big(UInt16(transport.count)) + transport))
    case 17: set(&transport, 6, sum(addresses + [0, 17] + big(UInt16(transport.count)) + transport))
    default: set(&transport, 2, sum(transport))
    }
    var header: [UInt8] =
      [0x45, 0] + big(UInt16(20 + transport.count)) + big(identification)
      + [mayFragment ? 0 : 0x40, 0, timeToLive, ipProtocol, 0, 0]
    header += addresses
    set(&header, 10, sum(header))
    let link: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]
    return link + header + transport
  }

  static func octets(_ address: String) -> [UInt8] { address.split(separator: ".").map { UInt8($0)! } }

  private func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }
  private func big(_ value: UInt32) -> [UInt8] { big(UInt16(value >> 16)) + big(UInt16(truncatingIfNeeded: value)) }

  private func set(_ bytes: inout [UInt8], _ offset: Int, _ value: UInt16) {
    bytes[offset] = UInt8(value >> 8)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  /// RFC 1071.
  private func sum(_ bytes: [UInt8]) -> UInt16 {
    var total: UInt32 = 0
    for (index, byte) in bytes.enumerated() { total += index % 2 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
    while total > 0xFFFF { total = total >> 16 + total & 0xFFFF }
    return ~UInt16(total)
  }
}

/// Keeps records as text.
final class RecordList: RecordSink {
  private(set) var records: [String] = []

  func write(record: RawSpan) {
    var bytes: [UInt8] = []
    for offset in 0..<record.byteCount { bytes.append(record.byte(at: offset)) }
    records.append(String(decoding: bytes, as: UTF8.self))
  }

  /// The signature ids of the alerts, in their order.
  var alerts: [Int] {
    records.filter { $0.contains("\"event_type\":\"alert\"") }.compactMap { record in
      guard let start = record.range(of: "\"signature_id\":") else { return nil }
      return Int(record[start.upperBound...].prefix { $0.isNumber })
    }
  }
}

extension String {
  /// The first place of a text; the standard library has it for patterns only.
  func range(of text: String) -> Range<String.Index>? { firstRange(of: text) }
}

/// An engine with rules from text, and what it wrote.
struct TestEngine: ~Copyable {
  private var engine: DPIEngine
  private let list: RecordList
  private let configuration: DPIConfiguration
  private var ordinal: UInt64 = 0
  private var time: UInt64 = 1_285_250_638_123_456_000

  init(
    _ rules: String, store: (any FileStore)? = nil, _ configure: (inout DPIConfiguration) -> Void = { _ in }
  ) throws {
    unsafe try self.init(rules, store: store, droppedFlows: nil, configure)
  }

  init(
    _ rules: String, store: (any FileStore)? = nil, droppedFlows: UnsafeMutableRawBufferPointer?,
    _ configure: (inout DPIConfiguration) -> Void
  ) throws {
    var configuration = DPIConfiguration()
    configuration.hashSeed = 1
    // Stream data on arrival; what acknowledgements do has tests of its own.
    configuration.streamInline = true
    configure(&configuration)
    list = RecordList()
    let program = try DetectionProgram(
      rules: TestRules.read(rules, configuration: configuration), configuration: configuration)
    engine = unsafe try DPIEngine(
      program: program, configuration: configuration, sink: list, store: store, fastLog: nil, droppedFlows: droppedFlows
    )
    self.configuration = configuration
  }

  var program: DetectionProgram { engine.program }
  var costs: [RuleCost] { engine.ruleCosts }

  /// Goes on with other rules.
  mutating func reload(_ rules: String) throws {
    let rules = TestRules.read(rules, configuration: configuration)
    try engine.reload(try DetectionProgram(rules: rules, configuration: configuration, following: engine.program))
  }

  mutating func takeOverConnections() { engine.takeOverConnections() }

  var records: [String] { list.records }
  var alerts: [Int] { list.alerts }
  var statistics: DPIStatistics { engine.statistics }

  /// Inspects a frame, a millisecond after the one before unless `seconds` says otherwise.
  @discardableResult
  mutating func send(_ frame: TestFrame, after seconds: Double = 0.001) -> Verdict { send(frame.bytes, after: seconds) }

  @discardableResult
  mutating func send(_ bytes: [UInt8], after seconds: Double = 0.001) -> Verdict {
    ordinal += 1
    time += UInt64(seconds * 1e9)
    let stamp = FrameStamp(time: time, ordinal: ordinal, lengthOnWire: UInt32(bytes.count))
    return engine.inspect(unsafe Packet(bytes: bytes.span.bytes, stamp: stamp, direction: .receive))
  }

  mutating func finish() { engine.finish() }
}
