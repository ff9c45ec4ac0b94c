import AllyPacket
import Testing

@testable import AllyDPI

/// HTTP as lenient endpoints read it, however the stream is cut.
@Suite struct ApplicationHTTPTests {
  /// A conversation with a parser.
  struct Conversation {
    let parser = HTTPParser(limits: ApplicationLimits(), transport: IPProtocolNumber.tcp)

    func client(_ text: String, piece: Int = .max) { feed(Array(text.utf8), .toServer, piece) }
    func server(_ text: String, piece: Int = .max) { feed(Array(text.utf8), .toClient, piece) }
    func server(_ bytes: [UInt8]) { feed(bytes, .toClient, .max) }

    private func feed(_ bytes: [UInt8], _ side: FlowSide, _ piece: Int) {
      var rest = bytes[...]
      while !rest.isEmpty {
        let part = rest.prefix(piece)
        parser.receive(part.rawBytes, from: side)
        rest = rest.dropFirst(part.count)
      }
    }

    func text(_ buffer: InspectionBuffer, _ side: FlowSide, of transaction: Int = 0, at index: Int = 0) -> String? {
      parser.transactions[transaction].bytes(of: buffer, from: side, at: index).map {
        String(decoding: $0, as: UTF8.self)
      }
    }

    func has(_ event: HTTPEvent, in transaction: Int = 0) -> Bool {
      parser.transactions[transaction].events.contains(event.rawValue)
    }
  }

  @Test(arguments: [1, 2, 3, 7, 64, Int.max])
  func aRequestAndItsResponseGiveTheirBuffers(piece: Int) {
    let talk = Conversation()
    talk.client(
      "POST /a%20b/../c?x=%41#f HTTP/1.1\r\nHost: WWW.Example.com:8080\r\nUser-Agent: tea\r\n pot\r\n"
        + "Cookie: k=v\r\nContent-Length: 5\r\n\r\nhello", piece: piece)
    talk.server(
      "HTTP/1.1 200 Fine\r\nServer: s\r\nSet-Cookie: c\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", piece: piece)
    #expect(talk.parser.transactionCount == 1)
    #expect(talk.text(.httpMethod, .toServer) == "POST")
    #expect(talk.text(.httpURI, .toServer) == "/c?x=A#f")
    #expect(talk.text(.httpURIRaw, .toServer) == "/a%20b/../c?x=%41#f")
    #expect(talk.text(.httpProtocol, .toServer) == "HTTP/1.1")
    #expect(talk.text(.httpHost, .toServer) == "www.example.com")
    #expect(talk.text(.httpHostRaw, .toServer) == "WWW.Example.com:8080")
    #expect(talk.text(.httpUserAgent, .toServer) == "tea pot")
    #expect(talk.text(.httpCookie, .toServer) == "k=v")
    #expect(
      talk.text(.httpHeader, .toServer)
        == "Host: WWW.Example.com:8080\r\nUser-Agent: tea pot\r\nContent-Length: 5\r\n")
    #expect(talk.text(.httpHeaderNames, .toServer) == "\r\nHost\r\nUser-Agent\r\nCookie\r\nContent-Length\r\n\r\n")
    #expect(talk.text(.httpRequestBody, .toServer) == "hello")
    #expect(talk.text(.httpStatusCode, .toClient) == "200")
    #expect(talk.text(.httpStatusMessage, .toClient) == "Fine")
    #expect(talk.text(.httpResponseBody, .toClient) == "abcde")
    #expect(talk.text(.httpCookie, .toClient) == "c")
    #expect(talk.text(.httpHeader, .toClient) == "Server: s\r\nTransfer-Encoding: chunked\r\n")
    #expect(talk.parser.transactions[0].stage(of: .toServer) == TransactionStage.complete)
    #expect(talk.parser.transactions[0].stage(of: .toClient) == TransactionStage.complete)
  }

  @Test(arguments: [1, 5, Int.max])
  func pipelinedRequestsMeetTheirResponses(piece: Int) {
    let talk = Conversation()
    talk.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", piece: piece)
    talk.server(
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n2", piece: piece)
    #expect(talk.parser.transactionCount == 2)
    #expect(talk.text(.httpURI, .toServer, of: 1) == "/2")
    #expect(talk.text(.httpResponseBody, .toClient, of: 0) == "1")
    #expect(talk.text(.httpStatusCode, .toClient, of: 1) == "404")
    #expect(talk.text(.httpResponseBody, .toClient, of: 1) == "2")
  }

  @Test func aBodyWithoutLengthEndsWithTheStream() {
    let talk = Conversation()
    talk.client("GET / HTTP/1.0\r\n\r\n")
    talk.server("HTTP/1.0 200 OK\r\n\r\nall ")
    talk.server("of it")
    #expect(talk.parser.transactions[0].stage(of: .toClient) < TransactionStage.complete)
    talk.parser.close(.toClient)
    #expect(talk.parser.transactions[0].stage(of: .toClient) == TransactionStage.complete)
    #expect(talk.text(.fileData, .toClient) == "all of it")
    #expect(talk.parser.transactions[0].files.map(\.state) == [.closed])
  }

  @Test func aBodyThatItsServerCutsShortIsAWholeFile() {
    let talk = Conversation()
    talk.client("GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    talk.parser.close(.toClient)
    #expect(talk.parser.transactions[0].files.map(\.state) == [.closed])
  }

  /// A chunk's line that is none, and may have become one.
  @Test func aChunkLineThatItsServerCutsShortIsABody() {
    let talk = Conversation()
    talk.client("GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz")
    talk.parser.close(.toClient)
    #expect(talk.text(.httpResponseBody, .toClient) == "zz")
    #expect(talk.parser.transactions[0].files.map(\.state) == [.closed])
  }

  @Test func aGapInABodyIsSkippedAndTheNextMessageFound() {
    let talk = Conversation()
    talk.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12")
    talk.parser.skip(6, from: .toClient)
    talk.server("90HTTP/1.1 204 None\r\n\r\n")
    #expect(talk.text(.httpStatusCode, .toClient, of: 1) == "204")
    #expect(talk.parser.transactions[0].files.map(\.state) == [.truncated])
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200", "",
  ])
  func behindAGapTheNextMessageIsFound(before: String) {
    let talk = Conversation()
    talk.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.server(before)
    talk.parser.skip(7, from: .toClient)
    talk.parser.skip(3, from: .toServer)
    for number in 2...3 {
      talk.client("GET /\(number) HTTP/1.1\r\nHost: b\r\n\r\n")
      talk.server("HTTP/1.1 20\(number) OK\r\nContent-Length: 0\r\n\r\n")
    }
    #expect((0..<3).map { talk.text(.httpURI, .toServer, of: $0) } == ["/1", "/2", "/3"])
    // What was lost may have been a response.
    #expect((1..<3).contains { talk.text(.httpStatusCode, .toClient, of: $0) == "203" })
  }

  @Test func aLineThatIsNoStatusLineHidesNoResponse() {
    let talk = Conversation()
    talk.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.server("junk\njunk\n\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    #expect(talk.text(.httpStatusCode, .toClient) == "200")
    #expect(talk.text(.fileData, .toClient) == "junk\njunk\nevil")
  }

  @Test func whatLooksLikeNoResponseIsABody() {
    let talk = Conversation()
    talk.client("GET / HTTP/1.0\r\n\r\n")
    talk.server("<html>old</html>")
    talk.parser.close(.toClient)
    #expect(talk.text(.fileData, .toClient) == "<html>old</html>")
  }

  @Test func aContinueIsNotTheResponse() {
    let talk = Conversation()
    talk.client("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    talk.server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")
    #expect(talk.parser.transactionCount == 1)
    #expect(talk.text(.httpStatusCode, .toClient) == "201")
  }

  @Test func headersWithoutAProtocolAreStillHeaders() {
    let talk = Conversation()
    talk.client("GET /\r\nHost: a\r\n\r\n")
    #expect(talk.text(.httpHost, .toServer) == "a")
    #expect(talk.has(.requestLineMissingProtocol))
  }

  @Test func oddLinesAreReadAndNoted() {
    let talk = Conversation()
    talk.client("GET / HTTP/1.1\r\nno colon\r\nHost : a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc")
    talk.server("HTTP/1.1 200 OK\r\nX: 1\rContent-Length: 2\n\nok")
    #expect(talk.has(.requestFieldMissingColon))
    #expect(talk.has(.requestHeaderInvalid))
    #expect(talk.has(.duplicateContentLengthInRequest))
    #expect(talk.text(.httpRequestBody, .toServer) == "abc")
    #expect(talk.text(.httpResponseBody, .toClient) == "ok")
  }

  @Test(arguments: [
    ("/", "/"), ("/a/./b/../c", "/a/c"), ("//a///b", "/a/b"), ("/a%2fb", "/a/b"), ("/a\\b", "/a/b"),
    ("/%41%zz%4", "/A%zz%4"), ("/%u0041", "/A"), ("/a/..", ""), ("/../../x", "/x"), ("/a/b/./", "/a/b"),
    ("http://host:80/p%20q?r=%20&s=+", "/p q?r= &s=+"), ("/a?b/../c", "/a?b/../c"),
    ("/%c3%a9\u{FF0F}\u{2013}%ff%c1%afx%c3", "/\u{FFFD}/??ox"),
  ])
  func pathsAreNormalised(target: String, expected: String) {
    var uri = HTTPURI()
    uri.parse(Array(target.utf8), rules: HTTPURI.Rules())
    #expect(String(decoding: uri.normalized, as: UTF8.self) == expected)
  }

  /// Suricata notes it where it is asked to look.
  @Test(arguments: [
    (false, false, "/%2541?%2542", "/%41?%42", false), (true, false, "/%2541?%2542", "/A?%42", true),
    (false, true, "/%2541?%2542", "/%41?B", true), (true, true, "/%41?%42", "/A?B", false),
  ])
  func targetsAreDecodedTwice(path: Bool, query: Bool, target: String, expected: String, isNoted: Bool) {
    var options = ApplicationOptions()
    options.decodesPathTwice = path
    options.decodesQueryTwice = query
    var uri = HTTPURI()
    uri.parse(Array(target.utf8), rules: HTTPURI.Rules(options))
    #expect(String(decoding: uri.normalized, as: UTF8.self) == expected)
    #expect(uri.isDoubleEncoded == isNoted)
  }

  /// Lines behind a form are its body's too, and go through what reads the form.
  @Test(arguments: [1, 7, Int.max])
  func linesBehindAFormAreRead(piece: Int) {
    let talk = Conversation()
    talk.client(
      "POST /f HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\n\r\n--b")
    talk.client("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nnothing known\r\nand more", piece: piece)
    talk.parser.close(.toServer)
    talk.parser.close(.toClient)
    #expect(talk.text(.httpURI, .toServer) == "/f")
    let form = Conversation()
    form.client(
      "POST /f HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\n\r\n--b"
        + "\r\nbehind it\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(form.has(.requestBodyUnexpected))
    #expect(form.parser.transactionCount == 2)
    #expect(form.text(.httpURI, .toServer, of: 1) == "/2")
  }

  @Test func textThatIsNotCompressedPassesAsItIs() {
    let talk = Conversation()
    talk.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    let body = "This is plain text, and nothing has ever compressed it: neither gzip nor the bare format."
    talk.server("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
    #expect(talk.text(.fileData, .toClient) == body)
    #expect(talk.has(.gzipDecompressionFailed))
  }

  /// `gzip -n` of "hello\n", and the same bare.
  @Test(arguments: ["gzip", "deflate", "x-gzip", "de\0flate"])
  func compressedBodiesAreUndoneWhateverTheHeaderSays(encoding: String) {
    let bare: [UInt8] = [0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0xE7, 0x02, 0x00]
    let gzip: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + bare + [0x20, 0x30, 0x3A, 0x36, 6, 0, 0, 0]
    for body in [bare, gzip] {
      let talk = Conversation()
      talk.client("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      talk.server("HTTP/1.1 200 OK\r\nContent-Encoding: \(encoding)\r\nContent-Length: \(body.count)\r\n\r\n")
      talk.server(body)
      #expect(talk.text(.fileData, .toClient) == "hello\n")
    }
  }

  @Test func limitsHold() {
    var limits = ApplicationLimits()
    limits.responseBody = 100
    limits.transactions = 4
    let parser = HTTPParser(limits: limits, transport: IPProtocolNumber.tcp)
    let requests = Array(String(repeating: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", count: 100).utf8)
    parser.receive(requests.rawBytes, from: .toServer)
    #expect(parser.transactionCount == 4)
    let response = Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + [UInt8](repeating: 65, count: 100_000)
    parser.receive(response.rawBytes, from: .toClient)
    #expect(parser.transactions[0].response.body.bytes.count == 100)
    #expect(parser.transactions[0].response.body.length == 100_000)

    let endless = HTTPParser(limits: limits, transport: IPProtocolNumber.tcp)
    let line = Array("GET /".utf8) + [UInt8](repeating: 65, count: 1_000_000)
    endless.receive(line.rawBytes, from: .toServer)
    endless.receive(line.rawBytes, from: .toServer)
    #expect(endless.requestSide.line.count <= 1_000_005, "a line beyond its limit is not kept growing")
    #expect(endless.requestSide.state == .stopped)
  }

  @Test func noBytesHarmTheParser() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let words = [
      "GET ", "POST ", "/", "HTTP/1.1", "\r\n", "\n", "\r", "\r\n\r\n", "Content-Length: ",
      "Transfer-Encoding: chunked\r\n",
      "Content-Encoding: gzip\r\n", "5", "0", "ffffffffffffffff", ":", " ", "\t", "\0", "a", "HTTP/1.1 200 OK\r\n",
      "CONNECT ",
      "HTTP/1.1 101 X\r\n\r\n", "%u00", "..", "\u{1F}\u{8B}",
    ]
    for _ in 0..<3000 {
      let parser = HTTPParser(limits: ApplicationLimits(), transport: IPProtocolNumber.tcp)
      for _ in 0..<Int(random.next() % 40) {
        let side: FlowSide = random.next() & 1 == 0 ? .toServer : .toClient
        switch random.next() % 16 {
        case 0: parser.skip(Int(random.next() % 64), from: side)
        case 1: parser.close(side)
        default:
          let bytes = Array(words[Int(random.next() % UInt64(words.count))].utf8)
          parser.receive(bytes.rawBytes, from: side)
        }
      }
      for transaction in parser.transactions {
        for side in [FlowSide.toServer, .toClient] {
          for buffer in InspectionBuffer.allCases {
            #expect(transaction.bytes(of: buffer, from: side, at: 0)?.count ?? 0 < 1 << 20, "seed \(seed)")
          }
        }
      }
    }
  }
}
