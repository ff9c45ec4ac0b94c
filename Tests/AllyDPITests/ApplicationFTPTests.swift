import AllyPacket
import Testing

@testable import AllyDPI

/// FTP's control connection, and the data connections that it announces.
@Suite struct ApplicationFTPTests {
  private static func login(_ connection: inout Connection, _ engine: inout TestEngine) {
    connection.open(&engine)
    connection.server("220 (vsFTPd 3.0.3)\r\n", &engine)
    connection.client("USER anonymous\r\n", &engine)
    connection.server("331 Please specify the password.\r\n", &engine)
    connection.client("PASS x\r\n", &engine)
    connection.server("230 Login successful. \r\n", &engine)
  }

  @Test func commandsAreRecordedWithTheirReplies() throws {
    var engine = try TestEngine("") { $0.records = [.ftp] }
    var connection = Connection()
    Self.login(&connection, &engine)
    connection.client("EPSV\r\n", &engine)
    connection.server("229 Entering Extended Passive Mode (|||58612|)\r\n", &engine)
    #expect(
      engine.records.contains {
        $0.contains("\"command\":\"PASS\",\"command_data\":\"x\"")
          && $0.contains("\"completion_code\":[\"230\"],\"reply\":[\"Login successful.\"]")
      })
    #expect(engine.records.contains { $0.contains("\"command\":\"EPSV\"") && $0.contains("\"dynamic_port\":58612") })
  }

  @Test func theDataConnectionCarriesAFile() throws {
    var engine = try TestEngine(
      """
      alert ftp-data any any -> any any (ftpdata_command:retr; flow:to_client; sid:1;)
      alert ftp-data any any -> any any (ftpdata_command:stor; flow:to_client; sid:2;)
      alert ftp-data any any -> any any (flow:to_client; file.data; content:"root"; sid:3;)
      alert ftp-data any any -> any any (flow:to_server; file.data; content:"root"; sid:4;)
      """
    ) { $0.records = [.alerts, .ftp, .files] }
    var connection = Connection()
    Self.login(&connection, &engine)
    connection.client("PASV\r\n", &engine)
    // The server of these frames listens on port 80.
    connection.server("227 Entering Passive Mode (10,0,0,2,0,80).\r\n", &engine)
    connection.client("RETR passwd\r\n", &engine)
    connection.server("150 Opening\r\n", &engine)
    var data = Connection(clientPort: 41_000)
    data.open(&engine)
    data.server("root:x:0:0\n", &engine)
    engine.finish()
    #expect(engine.alerts.sorted() == [1, 3])
    #expect(
      engine.records.contains {
        $0.contains("\"event_type\":\"ftp_data\"")
          && $0.contains("\"tx_id\":0,\"ftp_data\":{\"filename\":\"passwd\",\"command\":\"RETR\"}")
      })
    let file = try #require(engine.records.first { $0.contains("\"event_type\":\"fileinfo\"") })
    #expect(file.contains("\"filename\":\"passwd\"") && file.contains("\"size\":11"))
    #expect(!file.contains("ftp_data"))
  }

  @Test func aPortOfAnotherHostIsABounce() throws {
    // The client's own address is 10.0.0.1.
    for (address, expected) in [("192,168,77,1", [1]), ("10,0,0,1", [Int]())] {
      var engine = try TestEngine("alert ftp any any -> any any (flow:to_server; ftpbounce; sid:1;)")
      var connection = Connection()
      Self.login(&connection, &engine)
      connection.client("PORT \(address),31,144\r\n", &engine)
      connection.server("200 OK\r\n", &engine)
      #expect(engine.alerts == expected)
    }
  }

  @Test func addressesInEveryForm() {
    func bytes(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }
    #expect(FTPAddress.port(bytes("10,0,0,1,4,1"))?.port == 1025)
    #expect(FTPAddress.port(bytes("10,0,0,1,4"))?.port == nil)
    #expect(FTPAddress.port(bytes("10,0,0,256,4,1"))?.port == nil)
    #expect(FTPAddress.extendedPort(bytes("|2|2001:db8::1|5282|")) == 5282)
    #expect(FTPAddress.extendedPort(bytes("|1|10.0.0.1|70000|")) == nil)
    #expect(FTPAddress.passivePort(bytes("227 Entering Passive Mode (1,2,3,4,5,6)")) == 1286)
    #expect(FTPAddress.extendedPassivePort(bytes("229 Extended (|||6446|)")) == 6446)
    #expect(FTPAddress.extendedPassivePort(bytes("229 Extended |||6446|")) == nil)
  }

  @Test func linesAreCutAtTheirLimit() {
    var reader = LineReader(limit: 8)
    var lines: [(text: String, isCut: Bool, isContinuation: Bool)] = []
    for piece in ["ab\r\nlon", "ger than eight\r\ncd\n", "e"] {
      _ = reader.read(Array(piece.utf8).rawBytes) { line in
        lines.append((String(decoding: line.bytes.array, as: UTF8.self), line.isCut, line.isContinuation))
        return true
      }
    }
    #expect(lines.map(\.text) == ["ab", "longer t", "han eigh", "t", "cd"])
    #expect(lines.map(\.isCut) == [false, true, true, false, false])
    #expect(lines.map(\.isContinuation) == [false, false, true, true, false])
    #expect(Array(reader.rest) == Array("e".utf8))
  }
}
