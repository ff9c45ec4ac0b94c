import AllyPacket
import Testing

@testable import AllyDPI

/// SMB and DCE/RPC, message by message.
@Suite struct ApplicationSMBTests {
  private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
    (0..<(value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  private static let identifier: [UInt8] = Array(1...16)

  private static func utf16(_ text: String) -> [UInt8] { text.utf16.flatMap { little($0) } }

  private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

  private static func cat(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }

  /// A message of SMB 2 in its NetBIOS frame.
  private static func message(
    _ command: UInt16, _ number: UInt64, isResponse: Bool = false, status: UInt32 = 0, tree: UInt32 = 5, _ body: [UInt8]
  ) -> [UInt8] {
    let bytes = cat(
      [0xFE, 0x53, 0x4D, 0x42], little(UInt16(64)), zeros(2), little(status), little(command), [1, 0],
      little(UInt32(isResponse ? 1 : 0)), zeros(4), little(number), zeros(4), little(tree), little(UInt64(77)),
      zeros(16), body)
    let length = bytes.count
    return cat([0, UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255)], bytes)
  }

  private static func treeRequest(_ name: String) -> [UInt8] {
    let text = utf16(name)
    return message(
      3, 1, tree: 0, cat(little(UInt16(9)), zeros(2), little(UInt16(72)), little(UInt16(text.count)), text))
  }

  private static func treeResponse(kind: UInt8) -> [UInt8] {
    message(3, 1, isResponse: true, cat(little(UInt16(16)), [kind], zeros(13)))
  }

  private static func createRequest(_ name: String) -> [UInt8] {
    let text = utf16(name)
    return message(
      5, 2,
      cat(
        little(UInt16(57)), zeros(34), little(UInt32(2)), zeros(4), little(UInt16(120)), little(UInt16(text.count)),
        zeros(8), text))
  }

  private static var createResponse: [UInt8] {
    message(5, 2, isResponse: true, cat(little(UInt16(89)), zeros(62), identifier, zeros(8)))
  }

  private static func write(_ number: UInt64, at offset: UInt64, _ data: [UInt8]) -> [UInt8] {
    message(
      9, number,
      cat(
        little(UInt16(49)), little(UInt16(112)), little(UInt32(data.count)), little(offset), identifier, zeros(16),
        data))
  }

  private static var close: [UInt8] { message(6, 9, cat(little(UInt16(24)), zeros(6), identifier)) }

  private static func parser(pieces: Int, _ said: [(FlowSide, [UInt8])]) -> SMBParser {
    let parser = SMBParser(limits: ApplicationLimits(), transport: 6)
    for (side, bytes) in said {
      var start = 0
      while start < bytes.count {
        let piece = bytes[start..<min(bytes.count, start + pieces)]
        parser.receive(piece.rawBytes, from: side)
        start += pieces
      }
    }
    return parser
  }

  /// A request that the server only promised to answer has the status of the promise.
  @Test func aPromiseOfAnAnswerIsAStatus() {
    let wait = Self.message(15, 4, Self.zeros(32))
    let promise = Self.message(15, 4, isResponse: true, status: 0x103, Self.zeros(9))
    let answer = Self.message(15, 4, isResponse: true, status: 0x10C, Self.zeros(9))
    let promised = Self.parser(pieces: 1000, [(.toServer, wait), (.toClient, promise)]).transactions
    #expect(promised.map(\.status) == [0x103] && promised.map(\.isRecordable) == [false])
    let answered = Self.parser(pieces: 1000, [(.toServer, wait), (.toClient, promise), (.toClient, answer)])
    #expect(answered.transactions.map(\.status) == [0x10C] && answered.transactions.map(\.isRecordable) == [true])
  }

  @Test(arguments: [1, 7, 100, 1000, 100_000])
  func aFileIsFollowedHoweverItsBytesAreCut(pieces: Int) throws {
    let content: [UInt8] = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let parser = Self.parser(
      pieces: pieces,
      [
        (.toServer, Self.treeRequest(#"\\host\share"#)), (.toClient, Self.treeResponse(kind: 1)),
        (.toServer, Self.createRequest("report.pdf")), (.toClient, Self.createResponse),
        (.toServer, Self.write(3, at: 0, Array(content[..<3000]))),
        (.toServer, Self.write(4, at: 3000, Array(content[3000...]))),
        (.toServer, Self.close),
      ])
    let file = try #require(parser.transactions.flatMap(\.files).first)
    #expect(file.name == Array("report.pdf".utf8))
    #expect(file.bytes == content)
    #expect(file.state == .closed)
    #expect(
      parser.transactions.contains { transaction in
        transaction.bytes(of: .smbShare, from: .toServer, at: 0).map { Array($0) } == Array(#"\\host\share"#.utf8)
      })
  }

  @Test func whatIsMissingInAFileIsAGap() throws {
    let parser = Self.parser(
      pieces: 10_000,
      [
        (.toServer, Self.createRequest("x")), (.toClient, Self.createResponse),
        (.toServer, Self.write(3, at: 10, Array("late".utf8))), (.toServer, Self.close),
      ])
    let file = try #require(parser.transactions.flatMap(\.files).first)
    #expect(file.hasGaps)
    #expect(file.state == .truncated)
    #expect(file.size == 14)
  }

  @Test func aPipeCarriesCalls() throws {
    let parser = Self.parser(
      pieces: 50,
      [
        (.toServer, Self.treeRequest(#"\\host\IPC$"#)), (.toClient, Self.treeResponse(kind: 2)),
        (.toServer, Self.createRequest("svcctl")), (.toClient, Self.createResponse),
        (.toServer, Self.write(3, at: 0, Self.bind + Self.request(operation: 12, Array("stub".utf8)))),
      ])
    let transaction = try #require(parser.transactions.last)
    guard case .call(let call) = transaction.kind else {
      Issue.record("no call")
      return
    }
    #expect(call.operation == 12)
    #expect(transaction.bytes(of: .dcerpcStubData, from: .toServer, at: 0).map { Array($0) } == Array("stub".utf8))
    #expect(
      parser.transactions.contains {
        $0.bytes(of: .smbNamedPipe, from: .toServer, at: 0).map { Array($0) } == Array(#"\\host\IPC$"#.utf8)
      })
  }

  // MARK: DCE/RPC

  private static func unit(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
    cat([5, 0, type, 3, 0x10, 0, 0, 0], little(UInt16(16 + body.count)), zeros(2), little(UInt32(1)), body)
  }

  static var bind: [UInt8] {
    let uuid: [UInt8] = [
      0xC8, 0x4F, 0x32, 0x4B, 0x70, 0x16, 0xD3, 0x01, 0x12, 0x78, 0x5A, 0x47, 0xBF, 0x6E, 0xE1, 0x88,
    ]
    return unit(11, cat(zeros(8), [1, 0, 0, 0, 0, 0, 1, 0], uuid, little(UInt32(3)), zeros(20)))
  }

  static var bindAcknowledgement: [UInt8] {
    unit(12, cat(zeros(8), [2, 0, 0, 0, 1, 0, 0, 0], zeros(24)))
  }

  static func request(operation: UInt16, _ stub: [UInt8]) -> [UInt8] {
    unit(0, cat(zeros(6), little(operation), stub))
  }

  @Test(arguments: [
    ("dcerpc.iface:4b324fc8-1670-01d3-1278-5a47bf6ee188", "dcerpc.iface:4b324fc8-1670-01d3-1278-5a47bf6ee189"),
    (
      "dcerpc.iface:4b324fc8-1670-01d3-1278-5a47bf6ee188,=3", "dcerpc.iface:4b324fc8-1670-01d3-1278-5a47bf6ee188,>3"
    ),
    ("dcerpc.opnum:15", "dcerpc.opnum:14"),
    ("dcerpc.opnum:1,10-20", "dcerpc.opnum:1,16-20"),
    ("dcerpc.stub_data; content:\"|01 02 03|\"", "dcerpc.stub_data; content:\"|01 02 04|\""),
    (
      "dcerpc.stub_data; content:\"|01 02 03|\"; byte_test:2,=,0x0201,0,dce",
      "dcerpc.stub_data; content:\"|01 02 03|\"; byte_test:2,=,0x0102,0,dce"
    ),
  ])
  func eachKeywordOfCalls(firing: String, silent: String) throws {
    var engine = try TestEngine(
      """
      alert dcerpc any any -> any any (flow:to_server; \(firing); sid:1;)
      alert dcerpc any any -> any any (flow:to_server; \(silent); sid:2;)
      """)
    var connection = Connection()
    connection.open(&engine)
    connection.say(Self.bind, fromClient: true, &engine)
    connection.say(Self.bindAcknowledgement, fromClient: false, &engine)
    connection.say(Self.request(operation: 15, [1, 2, 3]), fromClient: true, &engine)
    #expect(engine.alerts == [1])
  }

  @Test func foreignBytesAreNeverATrap() {
    var generator = SeededGenerator(seed: 42)
    let messages = [
      Self.treeRequest("x"), Self.treeResponse(kind: 2), Self.createRequest("y"), Self.createResponse,
      Self.write(3, at: 0, Array("data".utf8)), Self.close, Self.bind, Self.request(operation: 1, [1, 2]),
    ]
    for _ in 0..<2000 {
      let smb = SMBParser(limits: ApplicationLimits(), transport: 6)
      let rpc = DCERPCParser(limits: ApplicationLimits(), transport: 6)
      for _ in 0..<6 {
        var bytes = messages.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 0...6, using: &generator) {
          bytes[Int.random(in: 4..<bytes.count, using: &generator)] = UInt8.random(in: .min ... .max, using: &generator)
        }
        let side: FlowSide = Bool.random(using: &generator) ? .toServer : .toClient
        smb.receive(bytes.rawBytes, from: side)
        rpc.receive(bytes.rawBytes, from: side)
        let gap = Int.random(in: 0...500, using: &generator)
        if gap > 400 { smb.skip(gap, from: side) }
      }
      smb.close(.toServer)
      smb.close(.toClient)
    }
  }
}
