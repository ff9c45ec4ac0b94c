import AllyPacket
import Testing

@testable import AllyDPI

/// PostgreSQL: sessions, logons and queries.
@Suite struct ApplicationPostgreSQLTests {
  private static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
    Array("\(type)".utf8) + Wire.u32(body.count + 4) + body
  }

  private static func start(_ code: Int, _ body: [UInt8] = []) -> [UInt8] {
    Wire.u32(body.count + 8) + Wire.u32(code) + body
  }

  private static func strings(_ texts: String...) -> [UInt8] { texts.flatMap { Array($0.utf8) + [0] } }

  private static let session = Exchange.stream(
    (.toServer, start(80_877_103)),
    (.toClient, Array("N".utf8)),
    (.toServer, start(0x30000, strings("user", "me", "database", "mine", ""))),
    (.toClient, message("R", Wire.u32(5) + [1, 2, 3, 4])),
    (.toServer, message("p", strings("md5secret"))),
    (
      .toClient,
      message("R", Wire.u32(0)) + message("S", strings("DateStyle", "ISO, MDY"))
        + message("K", Wire.u32(7) + Wire.u32(9))
        + message("Z", [0x49])
    ),
    (.toServer, message("Q", strings("select 1;"))),
    (
      .toClient,
      message("T", Wire.u16(1)) + message("D", Wire.u16(2) + Wire.u32(2) + [65, 66] + Wire.u32(0xFFFF_FFFF))
        + message("C", strings("SELECT 1")) + message("Z", [0x49])
    ),
    (.toServer, message("X", [])), port: 5432)

  private static func records(_ passwords: RecordKinds, piece: Int = 1400) throws -> [String] {
    let engine = try session.run("", piece: piece) {
      $0.records = [.pgsql]
      $0.recordOptions.passwords = passwords
    }
    return engine.records.map { record in String(record[record.firstRange(of: "\"pgsql\":")!.lowerBound...]) }
  }

  @Test func requestsAreRecordedWithWhatAnswersThem() throws {
    let records = try Self.records([.pgsql])
    #expect(
      records == [
        "\"pgsql\":{\"tx_id\":1,\"request\":{\"message\":\"SSL Request\"},\"response\":{\"ssl_accepted\":false}}}",
        "\"pgsql\":{\"tx_id\":2,\"request\":{\"protocol_version\":\"3.0\",\"startup_parameters\":{\"user\":\"me\","
          + "\"optional_parameters\":[{\"database\":\"mine\"}]}},"
          + "\"response\":{\"authentication_md5_password\":\"\\u0001\\u0002\\u0003\\u0004\"}}}",
        "\"pgsql\":{\"tx_id\":3,\"request\":{\"password\":\"md5secret\"},\"response\":{\"message\":\"authentication_ok\","
          + "\"parameter_status\":[{\"date_style\":\"ISO, MDY\"}],\"process_id\":7,\"secret_key\":9}}}",
        "\"pgsql\":{\"tx_id\":4,\"request\":{\"simple_query\":\"select 1;\"},\"response\":{\"field_count\":1,"
          + "\"data_rows\":1,\"data_size\":2,\"command_completed\":\"SELECT 1\"}}}",
        "\"pgsql\":{\"tx_id\":5,\"request\":{\"message\":\"termination_message\"}}}",
      ])
  }

  @Test func piecesMakeNoDifference() throws {
    #expect(try Self.records([.pgsql], piece: 1) == Self.records([.pgsql]))
  }

  @Test func passwordsAreLeftOutUnlessAskedFor() throws {
    #expect(try !Self.records([]).contains { $0.contains("md5secret") })
  }

  @Test func encryptionThatIsAcceptedIsFollowed() throws {
    let engine = try Exchange.stream(
      (.toServer, Self.start(80_877_103)), (.toClient, Array("S".utf8)),
      (.toServer, [0x16, 3, 1, 0, 4, 1, 0, 0, 0]), port: 5432
    ).run("") { $0.records = [.flows] }
    #expect(engine.records.last?.contains("\"app_proto\":\"tls\",\"app_proto_orig\":\"pgsql\"") == true)
  }
}
