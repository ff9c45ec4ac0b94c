import AllyPacket
import Testing

@testable import AllyDPI

/// Frames of protocols: rules on them and their records; files that come in pieces.
@Suite struct ApplicationFrameTests {
  @Test func aRuleOnAFrameLooksAtThatFrameAlone() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (frame:http1.request; content:"GET"; startswith; sid:1;)
      alert http any any -> any any (frame:http1.request; content:"|0d 0a 0d 0a|"; endswith; sid:2;)
      alert http any any -> any any (frame:http1.response; content:"GET"; sid:3;)
      alert tcp any any -> any any (frame:http1.response; content:"body"; endswith; sid:4;)
      """
    ) { $0.records = [.alerts] }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /1 HTTP/1.1\r\nHost: a\r\n", &engine)
    #expect(engine.alerts == [], "a frame is looked at when it is whole")
    connection.client("\r\n", &engine)
    #expect(engine.alerts.sorted() == [1, 2])
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", &engine)
    engine.finish()
    #expect(engine.alerts.sorted() == [1, 2, 4])
    let alert = try #require(engine.records.first { $0.contains("\"signature_id\":1,") })
    #expect(
      alert.contains(
        "\"frame\":{\"type\":\"request\",\"id\":1,\"direction\":\"toserver\",\"stream_offset\":0,\"length\":28,\"complete\":true"
      ))
  }

  /// Requests in one segment, responses too, and such that are cut anywhere.
  @Test(arguments: [1, 7, 1000])
  func pipelinedMessagesHaveAFrameEach(piece: Int) throws {
    let requests = ["GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /22 HTTP/1.1\r\nHost: b\r\n\r\n"]
    let responses = ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nc"]
    let exchange = Exchange.stream(
      (.toServer, Array(requests.joined().utf8)), (.toClient, Array(responses.joined().utf8)), port: 80)
    let engine = try exchange.run("", piece: piece) { $0.records = [.frames] }
    for (name, messages) in [("request", requests), ("response", responses)] {
      let frames = engine.records.filter { $0.contains("\"type\":\"\(name)\"") }
      try #require(frames.count == 2)
      var offset = 0
      for (frame, message) in zip(frames, messages) {
        let place = "\"stream_offset\":\(offset),\"length\":\(message.utf8.count),\"complete\":true"
        #expect(frame.contains(place), "\(frame)")
        offset += message.utf8.count
      }
    }
  }

  @Test func framesAreRecordedOnce() throws {
    let message = Wire.u16(0x1234) + [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1]
    let exchange = Exchange.stream(
      (.toServer, Wire.vector16(message) + Wire.vector16(message)), port: 53)
    let engine = try exchange.run("", piece: 5) { $0.records = [.frames] }
    let frames = engine.records.filter { $0.contains("\"type\":\"pdu\"") }
    #expect(frames.count == 2)
    #expect(frames.first?.contains("\"stream_offset\":2,\"length\":\(message.count),\"complete\":true") == true)
    #expect(frames.last?.contains("\"stream_offset\":\(message.count + 4),") == true)
  }

  @Test func aRuleOnAFrameThatNobodyHasDoesNotLoad() throws {
    var configuration = DPIConfiguration()
    configuration.hashSeed = 1
    let program = try DetectionProgram(
      rules: TestRules.read(
        "alert http any any -> any any (frame:http1.nothing; content:\"a\"; sid:1;)", configuration: configuration),
      configuration: configuration)
    #expect(program.problems.count == 1)
    #expect(program.problems.first?.isUnsupported == true)
  }

  @Test func rangesOfAFileMakeTheWhole() throws {
    var engine = try TestEngine("") { $0.records = [.files] }
    var connection = Connection()
    connection.open(&engine)
    for (range, text) in [("5-9/10", "fghij"), ("0-4/10", "abcde")] {
      connection.client("GET /f HTTP/1.1\r\nHost: a\r\n\r\n", &engine)
      connection.server(
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes \(range)\r\nContent-Length: 5\r\n\r\n\(text)", &engine)
    }
    engine.finish()
    let files = engine.records.filter { $0.contains("\"event_type\":\"fileinfo\"") }
    #expect(files.count == 3)
    #expect(files.contains { $0.contains("\"state\":\"CLOSED\"") && $0.contains("\"size\":10,\"tx_id\":1") })
  }

  @Test func piecesOfAFileMayComeInAnyOrder() {
    let budget = FileBudget()
    let free = budget.left
    let file = TransferredFile(name: [], side: .toClient, policy: FilePolicy())
    let assembly = FileAssembly(file, budget)
    let text = Array("0123456789".utf8)
    for (range, isKnown) in [(6..<8, false), (3..<6, false), (0..<4, false), (2..<3, true), (8..<10, false)] {
      let piece = text[range]
      #expect(assembly.take(piece.rawBytes, at: UInt64(range.lowerBound)) == isKnown)
    }
    assembly.close(isWhole: true)
    #expect(file.bytes == text)
    #expect(file.state == .closed)
    #expect(budget.left == free)
  }

  @Test func whatIsMissingOfAFileIsAGap() {
    let file = TransferredFile(name: [], side: .toClient, policy: FilePolicy())
    let assembly = FileAssembly(file, FileBudget())
    let text = Array("xyz".utf8)
    assembly.take(text.rawBytes, at: 4)
    assembly.close(isWhole: true)
    #expect(file.hasGaps)
    #expect(file.size == 7)
    #expect(file.state == .truncated)
  }
}
