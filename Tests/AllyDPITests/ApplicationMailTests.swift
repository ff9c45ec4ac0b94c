import AllyPacket
import Testing

@testable import AllyDPI

/// SMTP and the mails in it.
@Suite struct ApplicationMailTests {
  private static let header =
    "From: \"A, B\" <a@b.c>\r\nTo: x@y, \"q,z\" <q@z>,\r\n\tlast@one\r\nCc: \r\nSubject: hi\r\n"

  /// A whole conversation that sends one mail.
  private static func send(_ mail: String, _ engine: inout TestEngine, hello: String = "EHLO box") {
    var connection = Connection()
    connection.open(&engine)
    connection.server("220 mx ESMTP\r\n", &engine)
    connection.client("\(hello)\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
    connection.client("MAIL FROM:<a@b.c> SIZE=10\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
    connection.client("RCPT TO: <d@e.f>\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
    connection.client("DATA\r\n", &engine)
    connection.server("354 go\r\n", &engine)
    connection.client(mail + "\r\n.\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
  }

  @Test func aMailIsRecordedWithItsAttachmentsAndLinks() throws {
    var engine = try TestEngine("") { $0.records = [.smtp, .files] }
    let mail: [String] = [
      Self.header,
      "Content-Type: multipart/mixed; boundary=\"BB\"\r\n\r\npreamble http://pre.com/x\r\n--BB\r\n"
        + "Content-Type: text/plain\r\n\r\nsee HTTP://Www.Foo.com/A.exe and https://sec.com/b <http://r.com>\r\n--BB\r\n"
        + "Content-Type: application/octet-stream; name=\"n.bin\"\r\nContent-Transfer-Encoding: base64\r\n"
        + "Content-Disposition: attachment; filename=\"f.bin\"\r\n\r\n"
        + "SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0\r\nSGVsbG8=\r\n--BB\r\n"
        + "Content-Type: text/plain; name=plain.txt\r\n\r\nline1\r\nline2 http://att.com/\r\n--BB\r\n"
        + "Content-Type: text/plain; name=\"qp.txt\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + "a=3Db=\r\nc=20\r\nd\r\n--BB--\r\nepilogue http://epi.com/",
    ]
    Self.send(mail.joined(), &engine)
    let record = try #require(engine.records.first { $0.contains("\"event_type\":\"smtp\"") })
    let smtp = "\"tx_id\":0,\"smtp\":{\"helo\":\"box\",\"mail_from\":\"<a@b.c>\",\"rcpt_to\":[\"<d@e.f>\"]}"
    let addresses =
      "\"email\":{\"status\":\"PARSE_DONE\",\"from\":\"\\\"A, B\\\" <a@b.c>\","
      + "\"to\":[\"x@y\",\"\\\"q,z\\\" <q@z>\",\"last@one\"]"
    let links =
      "\"attachment\":[\"f.bin\",\"plain.txt\",\"qp.txt\"],"
      + "\"url\":[\"epi.com/\",\"pre.com/x\",\"r.com\",\"www.foo.com/a.exe\"]}"
    #expect(record.contains(smtp))
    #expect(record.contains(addresses))
    #expect(record.contains(links))
    let files = engine.records.filter { $0.contains("\"event_type\":\"fileinfo\"") }
    #expect(files.count == 3)
    for (name, size) in [("f.bin", 32), ("plain.txt", 28), ("qp.txt", 10)] {
      #expect(
        files.contains {
          $0.contains(
            "\"filename\":\"\(name)\",\"gaps\":false,\"state\":\"CLOSED\",\"stored\":false,\"size\":\(size)")
        })
    }
  }

  @Test func rulesLookIntoAttachments() throws {
    var engine = try TestEngine(
      """
      alert smtp any any -> any any (file.data; content:"this is a test"; sid:1;)
      alert smtp any any -> any any (file.data; content:"SGVsbG8"; sid:2;)
      alert smtp any any -> any any (filename:"f.bin"; sid:3;)
      alert smtp any any -> any any (filename:"g.bin"; sid:4;)
      """)
    Self.send(
      Self.header
        + "Content-Disposition: attachment; filename=f.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + "SGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0", &engine)
    #expect(engine.alerts.sorted() == [1, 3])
  }

  @Test(arguments: [
    ("mime_invalid_base64", "Content-Transfer-Encoding: base64\r\n\r\n####\r\n"),
    ("mime_invalid_qp", "Content-Transfer-Encoding: quoted-printable\r\n\r\nx=ZZ\r\n"),
    ("mime_long_line", "\r\n" + String(repeating: "x", count: 999) + "\r\n"),
    (
      "mime_long_enc_line", "Content-Transfer-Encoding: base64\r\n\r\n" + String(repeating: "QUFB", count: 20) + "\r\n"
    ),
    ("mime_long_filename", "Content-Type: a/b; name=" + String(repeating: "n", count: 300) + "\r\n\r\n"),
    ("mime_malformed_msg", "no colon here\r\n\r\n"),
  ])
  func eventsOfMails(event: String, mail: String) throws {
    let rule = "alert smtp any any -> any any (flow:to_server; app-layer-event:smtp.\(event); sid:1;)"
    var engine = try TestEngine(rule)
    Self.send(Self.header + mail, &engine)
    #expect(engine.alerts == [1])
    var sound = try TestEngine(rule)
    Self.send(Self.header + "\r\nbody", &sound)
    #expect(sound.alerts == [])
  }

  @Test func commandsBehindAMailBeginATransactionOfTheirOwn() throws {
    var engine = try TestEngine("") { $0.records = [.smtp] }
    var connection = Connection()
    connection.open(&engine)
    connection.server("220 mx ESMTP\r\n", &engine)
    connection.client("EHLO box\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
    connection.client("STARTTLS\r\n", &engine)
    connection.server("220 go ahead\r\n", &engine)
    connection.client("\u{16}\u{3}\u{1}", &engine)
    engine.finish()
    let records = engine.records.filter { $0.contains("\"event_type\":\"smtp\"") }
    #expect(records.count == 1)
    #expect(!records[0].contains("\"email\""))
  }

  @Test func headerFieldsAreRecordedAsTheOperatorAsks() throws {
    var engine = try TestEngine("") {
      $0.records = [.smtp]
      $0.recordOptions.smtp.custom = ["received", "subject", "x_mailer", "bcc"]
      $0.recordOptions.smtp.digests = ["subject"]
    }
    Self.send(
      Self.header + "Received: one\r\n\t  more\r\nReceived: two\r\nBcc: q@r, s@t\r\nDate: now\r\n\r\nx", &engine)
    let record = try #require(engine.records.first { $0.contains("\"event_type\":\"smtp\"") })
    #expect(
      record.contains(
        "\"bcc\":[\"q@r\",\"s@t\"],\"subject\":\"hi\",\"received\":[\"one\\t  more\",\"two\"],"
          + "\"subject_md5\":\"49f68a5c8493ec2c0bf489821c21fc3b\"}"))
  }

  @Test func aMailThatIsRejectedWhilePipeliningIsFollowedByAnother() throws {
    var engine = try TestEngine("") { $0.records = [.smtp] }
    var connection = Connection()
    connection.open(&engine)
    connection.server("220 mx ESMTP\r\n", &engine)
    connection.client("EHLO box\r\n", &engine)
    connection.server("250-PIPELINING\r\n250 OK\r\n", &engine)
    connection.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", &engine)
    connection.server("553 no\r\n503 no\r\n503 no\r\n", &engine)
    connection.client("RSET\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
    connection.client("MAIL FROM:<e@f>\r\nRCPT TO:<c@d>\r\nDATA\r\n", &engine)
    connection.server("250 OK\r\n250 OK\r\n354 go\r\n", &engine)
    connection.client("From: e\r\n\r\nx\r\n.\r\n", &engine)
    connection.server("250 OK\r\n", &engine)
    engine.finish()
    let records = engine.records.filter { $0.contains("\"event_type\":\"smtp\"") }
    #expect(records.count == 2)
    #expect(records.first?.contains("\"mail_from\":\"<a@b>\"") == true)
    #expect(records.first?.contains("\"from\"") == false)
    #expect(records.last?.contains("\"mail_from\":\"<e@f>\"") == true)
    #expect(records.last?.contains("\"from\":\"e\"") == true)
  }

  /// A mail with an attachment and a link in its own parts, and others in a part of a part.
  private static let nested =
    "Content-Type: multipart/mixed; boundary=AA\r\n\r\nhttp://root.example/\r\n--AA\r\n"
    + "Content-Type: text/plain\r\n\r\nhttp://child.example/a\r\n--AA\r\n"
    + "Content-Type: multipart/alternative; boundary=BB\r\n\r\n--BB\r\n"
    + "Content-Type: text/html\r\n\r\n<a href=\"http://grand.example/\">\r\n--BB\r\n"
    + "Content-Disposition: attachment; filename=g.zip\r\n\r\nzipzip\r\n--BB--\r\n--AA\r\n"
    + "Content-Disposition: attachment; filename=c.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + "emlwemlw\r\n--AA--"

  /// The record of the mail, and those of its files.
  private static func records(
    _ set: (inout ApplicationOptions.SMTP) -> Void
  ) throws -> (mail: String, files: [String]) {
    var engine = try TestEngine("") {
      $0.records = [.smtp, .files]
      $0.recordOptions.smtp.digests = ["body"]
      $0.recordOptions.files.md5 = true
      set(&$0.application.options.smtp)
    }
    send(header + nested, &engine)
    engine.finish()
    let mail = try #require(engine.records.first { $0.contains("\"event_type\":\"smtp\"") })
    return (mail, engine.records.filter { $0.contains("\"event_type\":\"fileinfo\"") })
  }

  @Test func recordsTellOfAMailsOwnParts() throws {
    let (mail, files) = try Self.records { _ in }
    #expect(mail.contains(#""attachment":["c.zip"],"url":["root.example/","child.example/a"]"#))
    #expect(!mail.contains("body_md5"))
    #expect(files.count == 2)
    #expect(files.allSatisfy { $0.contains(#""md5":"adc472b32512cf2f1b89641b7933af52""#) })
  }

  @Test func whatIsDoneWithMailsIsSet() throws {
    let digest = try Self.records { $0.makesDigest = true }
    var body = Digest(.md5)
    let text = Array((Self.nested.split(separator: "\r\n\r\n", maxSplits: 1)[1] + "\r\n").utf8)
    body.update(text.rawBytes)
    let value = body.finish().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    #expect(digest.mail.contains("\"body_md5\":\"\(value)\""))
    #expect(try !Self.records { $0.findsLinks = false }.mail.contains("\"url\""))
    #expect(try Self.records { $0.headerValue = 4 }.mail.contains(#""from":"\"A,""#))
    #expect(try Self.records { $0.undoesBase64 = false }.files.contains { $0.contains("\"size\":8,") })
    let unread = try Self.records { $0.readsMail = false }
    #expect(!unread.mail.contains("\"email\"") && unread.files.isEmpty)
    let raw = try Self.records {
      $0.readsMail = false
      $0.isRaw = true
    }
    let size = (Self.header + Self.nested).utf8.count + 2
    #expect(raw.files.count == 1)
    #expect(raw.files.allSatisfy { $0.contains("\"filename\":\"rawmsg\"") && $0.contains("\"size\":\(size),") })
  }

  @Test func partsWithinPartsEnd() {
    // Each part opens another one: at some depth they are no longer followed.
    var message = MIMEMessage()
    var reader = LineReader(limit: 4096)
    for depth in 0..<100 {
      let text = "Content-Type: multipart/mixed; boundary=b\(depth)\r\n\r\n--b\(depth)\r\n"
      _ = reader.read(Array(text.utf8).rawBytes) { line in
        message.take(line) { _ in nil }
        return true
      }
    }
    message.finish()
    #expect(message.status == .done)
  }
}
