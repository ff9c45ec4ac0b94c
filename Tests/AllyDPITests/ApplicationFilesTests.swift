import AllyPacket
import Testing

@testable import AllyDPI

/// Files that applications carry: names, sizes, digests, kinds, and those that are kept.
@Suite struct ApplicationFilesTests {
  /// Runs rules over a download of `hello` as `/a/report.PDF`.
  private static func alerts(_ rules: String, body: String = "hello") throws -> [Int] {
    var engine = try TestEngine(rules) {
      $0.readResource = { name, _ in
        switch name {
        case "known.md5": Array("# of hello\n5d41402abc4b2a76b9719d911017c592  hello.txt\n".utf8)
        case "known.sha1": Array("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\n".utf8)
        case "known.sha256":
          Array("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n".utf8)
        case "other": Array("00000000000000000000000000000000\n".utf8)
        default: nil
        }
      }
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /a/report.PDF HTTP/1.1\r\nHost: h\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)", &engine)
    engine.finish()
    return engine.alerts
  }

  @Test(arguments: [
    ("filename:\"report.pdf\"", "filename:\"report.doc\""),
    ("filename:!\"secret\"", "filename:!\"REPORT\""),
    ("fileext:\"pdf\"", "fileext:\"report\""),
    ("filesize:5", "filesize:6"),
    ("filesize:<6", "filesize:<5"),
    ("filesize:>4", "filesize:>5"),
    ("filemd5:known.md5", "filemd5:other"),
    ("filemd5:!other", "filemd5:!known.md5"),
    ("filesha1:known.sha1", "filesha1:!known.sha1"),
    ("filesha256:known.sha256", "filesha256:!known.sha256"),
    ("file.data; content:\"hello\"; bsize:5", "file.data; content:\"hello\"; bsize:6"),
    ("file.name; content:\"/a/\"; startswith", "file.name; content:\"/b/\"; startswith"),
    ("filemagic:\"ASCII text\"", "filemagic:\"PDF\""),
    ("file.magic; content:\"ASCII\"", "file.magic; content:\"PDF\""),
  ])
  func eachKeywordOfFiles(firing: String, silent: String) throws {
    let found = try Self.alerts(
      """
      alert http any any -> any any (flow:to_client; \(firing); sid:1;)
      alert http any any -> any any (flow:to_client; \(silent); sid:2;)
      """)
    #expect(found == [1])
  }

  @Test func allConditionsMustHoldForOneFile() throws {
    #expect(try Self.alerts("alert http any any -> any any (filesize:5; filemd5:other; sid:1;)") == [])
    #expect(try Self.alerts("alert http any any -> any any (filesize:5; filemd5:known.md5; sid:1;)") == [1])
  }

  @Test func aListThatCannotBeReadIsAProblem() throws {
    let configuration = DPIConfiguration()
    let program = try DetectionProgram(
      rules: TestRules.read(
        "alert http any any -> any any (filemd5:missing; sid:1;)", configuration: configuration),
      configuration: configuration)
    #expect(program.ruleCount == 0)
    #expect(program.problems.map(\.reason) == ["filemd5: the list \"missing\" cannot be read"])
  }

  @Test func aFormCarriesItsFilesInParts() throws {
    var engine = try TestEngine(
      """
      alert http any any -> any any (flow:to_server; file.name; content:"b.txt"; file.data; content:"second"; sid:1;)
      alert http any any -> any any (flow:to_server; file.data; content:"value"; sid:2;)
      """
    ) { $0.records = [.alerts, .files] }
    let form =
      "--XX\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\nvalue\r\n"
      + "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n"
      + "first\r\n--X no delimiter\r\n"
      + "--XX\r\nContent-Disposition: form-data; name=\"g\"; filename=\"b.txt\"\r\n\r\nsecond\r\n--XX--\r\n"
    // However the bytes are cut, the parts are the same.
    for cut in stride(from: 1, to: form.utf8.count, by: 23) {
      var connection = Connection(clientPort: UInt16(30_000 + cut))
      connection.open(&engine)
      connection.client(
        "POST /up HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
          + "Content-Length: \(form.utf8.count)\r\n\r\n", &engine)
      connection.client(String(form.prefix(cut)), &engine)
      connection.client(String(form.dropFirst(cut)), &engine)
    }
    let count = stride(from: 1, to: form.utf8.count, by: 23).underestimatedCount
    #expect(engine.alerts == Array(repeating: 1, count: count))
    let files = engine.records.filter { $0.contains("\"event_type\":\"fileinfo\"") }
    #expect(files.count == 2 * count)
    #expect(files.filter { $0.contains("\"filename\":\"a.txt\"") && $0.contains("\"size\":23") }.count == count)
    #expect(files.filter { $0.contains("\"filename\":\"b.txt\"") && $0.contains("\"size\":6") }.count == count)
  }

  @Test func digestsAreRecordedWhenAskedFor() throws {
    var engine = try TestEngine("") {
      $0.records = [.files]
      $0.recordOptions.files.md5 = true
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &engine)
    #expect(engine.records.contains { $0.contains("\"md5\":\"5d41402abc4b2a76b9719d911017c592\",\"stored\":false") })
  }

  @Test func aRuleKeepsTheFilesItMatchesAndNoOthers() throws {
    let store = StoreDouble()
    var engine = try TestEngine(
      "alert http any any -> any any (flow:to_client; file.data; content:\"keep\"; filestore; sid:9;)", store: store
    ) { $0.records = [.files] }
    for body in ["keep me", "drop me"] {
      var connection = Connection(clientPort: body == "keep me" ? 40_000 : 40_001)
      connection.open(&engine)
      connection.client("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", &engine)
      connection.server("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n\(body)", &engine)
    }
    engine.finish()
    #expect(store.kept == ["keep me"])
    #expect(store.open.isEmpty)
    #expect(engine.records.contains { $0.contains("\"sid\":[9]") && $0.contains("\"stored\":true,\"file_id\":1") })
    #expect(engine.records.contains { $0.contains("\"stored\":false") })
  }

  @Test func memoryOfAFileIsBounded() {
    let file = TransferredFile(name: [], side: .toClient, policy: FilePolicy(kept: 1000))
    let piece = [UInt8](repeating: 7, count: 700)
    for _ in 0..<100 { file.append(piece.rawBytes) }
    #expect(file.bytes.count == 1000)
    #expect(file.size == 70_000)
    file.close(isWhole: true)
    #expect(file.state == .closed)
  }

  @Test func aGapMakesAFileTruncated() {
    let file = TransferredFile(name: [], side: .toClient, policy: FilePolicy(digests: [.md5]))
    file.append([UInt8](repeating: 7, count: 10).rawBytes)
    file.skip(5)
    file.close(isWhole: true)
    #expect(file.state == .truncated)
    #expect(file.size == 15)
  }

  /// Of a file that its protocol ends too early, records have the digest; of one that it leaves open, none.
  @Test func aFileThatIsLeftOpenHasNoDigest() throws {
    let program = try TestEngine("").program
    for isLeftOpen in [false, true] {
      let file = TransferredFile(name: [], side: .toServer, policy: FilePolicy(digests: [.sha256]))
      let byte: [UInt8] = [1]
      file.append(byte.rawBytes)
      if isLeftOpen { file.breakOff() } else { file.close(isWhole: false) }
      var json = JSONWriter()
      json.beginObject()
      file.writeFields(transaction: 0, rules: program, to: &json)
      let record = String(decoding: json.bytes, as: UTF8.self)
      #expect(record.contains("\"TRUNCATED\""))
      #expect(record.contains("\"sha256\":\"4bf5122f344554c53bde2ebb8cd2b7e3") != isLeftOpen)
    }
  }

  /// What is beyond a body's limit is not looked at, and the file ends there, unless a rule keeps it.
  @Test(arguments: [
    ("", "\"TRUNCATED\",\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"", 3),
    (
      "alert http any any -> any any (filestore; sid:1;)",
      "\"CLOSED\",\"md5\":\"e80b5017098950fc58aad83c8c14978e\"", 6
    ),
  ])
  func aFileEndsWhereItsBodyIsNotLookedAtAnyMore(rule: String, ending: String, size: Int) throws {
    var engine = try TestEngine(rule, store: StoreDouble()) {
      $0.records = [.files]
      $0.application.responseBody = 3
      $0.recordOptions.files.md5 = true
      $0.recordOptions.files.sha256 = true
    }
    var connection = Connection()
    connection.open(&engine)
    connection.client("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", &engine)
    connection.server("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab", &engine)
    connection.server("cd", &engine)
    connection.server("ef", &engine)
    let record = try #require(engine.records.first { $0.contains("\"event_type\":\"fileinfo\"") })
    #expect(record.contains("\"gaps\":false,\"state\":\(ending)"))
    #expect(record.contains("\"size\":\(size),"))
  }
}

/// A store in memory.
private final class StoreDouble: FileStore {
  var open: [UInt32: [UInt8]] = [:]
  var kept: [String] = []
  private var next: UInt32 = 1

  func nextNumber() -> UInt32 {
    defer { next += 1 }
    return next
  }
  func open(_ number: UInt32) { open[number] = [] }
  func append(_ data: RawSpan, to number: UInt32) { open[number]?.append(data) }
  func close(_ number: UInt32, digest: [UInt8]?) -> Bool {
    let bytes = open.removeValue(forKey: number) ?? []
    if digest != nil { kept.append(String(decoding: bytes, as: UTF8.self)) }
    return digest != nil
  }
}
