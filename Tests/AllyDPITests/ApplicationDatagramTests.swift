import AllyPacket
import Testing

@testable import AllyDPI

/// TFTP and BitTorrent's hash table, message by message. What is expected was compared with Suricata 7.0.10.
@Suite struct ApplicationDatagramTests {
  private static func records(_ exchange: Exchange, _ name: String) throws -> [String] {
    try exchange.run("") { $0.records = .transactions }.records
      .compactMap { record in record.firstRange(of: "\"\(name)\":{").map { String(record[$0.lowerBound...]) } }
  }

  // MARK: TFTP

  private static func tftp(_ operation: UInt8, _ text: String, port: UInt16 = 69) -> Exchange {
    .datagrams((.toServer, [0, operation] + Array(text.utf8)), port: port)
  }

  @Test func filesThatAreAskedForAreRecorded() throws {
    #expect(
      try Self.records(Self.tftp(1, "boot.img\0OCTET\0blksize\01432\0"), "tftp")
        == [#""tftp":{"packet":"read","file":"boot.img","mode":"octet"}}"#])
    #expect(
      try Self.records(Self.tftp(2, "a/b\0netascii\0"), "tftp")
        == [#""tftp":{"packet":"write","file":"a/b","mode":"netascii"}}"#])
  }

  @Test(arguments: ["boot.img\0foo\0", "boot.img\0octet", "boot.img", "\0"])
  func whatIsNoRequestIsNotRecorded(text: String) throws {
    #expect(try Self.records(Self.tftp(1, text), "tftp").isEmpty)
    #expect(try Self.records(Self.tftp(3, "\u{1}data"), "tftp").isEmpty)
  }

  @Test func tftpIsRecognisedOnItsPort() throws {
    let rule = #"alert tftp any any -> any any (content:"boot"; sid:1;)"#
    #expect(try Self.tftp(1, "boot.img\0octet\0").run(rule).alerts == [1])
    #expect(try Self.tftp(1, "other\0octet\0").run(rule).alerts.isEmpty)
    #expect(try Self.tftp(1, "boot.img\0octet\0", port: 4000).run(rule).alerts.isEmpty)
  }

  // MARK: BitTorrent

  private static let identity = "20:abcdefghij0123456789"
  private static let ping = "d1:ad2:id\(identity)e1:q4:ping1:t2:aa1:v4:UT121:y1:qe"

  private static func table(_ messages: (FlowSide, String)...) -> Exchange {
    Exchange(isDatagrams: true, port: 6881, messages: messages.map { (side: $0.0, bytes: Array($0.1.utf8)) })
  }

  private static func answer(_ text: String) throws -> String? {
    try records(table((.toServer, ping), (.toClient, text)), "bittorrent_dht").last
  }

  @Test func questionsAndAnswersAreRecorded() throws {
    let digits = "6162636465666768696a30313233343536373839"
    #expect(
      try Self.records(Self.table((.toServer, Self.ping)), "bittorrent_dht") == [
        "\"bittorrent_dht\":{\"transaction_id\":\"6161\",\"client_version\":\"55543132\",\"request_type\":\"ping\","
          + "\"request\":{\"id\":\"\(digits)\"}}}"
      ])
    let announcement =
      "d1:ad2:id\(Self.identity)12:implied_porti1e9:info_hash\(Self.identity)4:porti6881e5:token2:hie"
      + "1:q13:announce_peer1:t2:aa1:y1:qe"
    #expect(
      try Self.records(Self.table((.toServer, announcement)), "bittorrent_dht") == [
        "\"bittorrent_dht\":{\"transaction_id\":\"6161\",\"request_type\":\"announce_peer\",\"request\":{\"id\":"
          + "\"\(digits)\",\"info_hash\":\"\(digits)\",\"token\":\"6869\",\"implied_port\":1,\"port\":6881}}}"
      ])
    #expect(
      try Self.answer("d1:rd2:id\(Self.identity)5:nodes26:\(String(repeating: "A", count: 26))e1:t2:aa1:y1:re")
        == "\"bittorrent_dht\":{\"transaction_id\":\"6161\",\"response\":{\"id\":\"\(digits)\",\"nodes\":[{\"id\":"
        + "\"\(String(repeating: "41", count: 20))\",\"ip\":\"65.65.65.65\",\"port\":16705}]}}}")
    #expect(
      try Self.answer(
        "d1:rd2:id\(Self.identity)5:token2:hi6:valuesl6:axje.u18:\(String(repeating: "A", count: 18))ee1:t2:aa1:y1:re")
        == "\"bittorrent_dht\":{\"transaction_id\":\"6161\",\"response\":{\"id\":\"\(digits)\",\"values\":["
        + "{\"ip\":\"97.120.106.101\",\"port\":11893},"
        + "{\"ip\":\"4141:4141:4141:4141:4141:4141:4141:4141\",\"port\":16705}],\"token\":\"6869\"}}}")
    #expect(
      try Self.answer("d1:eli201e4:Oopse1:t2:aa1:y1:ee")
        == #""bittorrent_dht":{"transaction_id":"6161","error":{"num":201,"msg":"Oops"}}}"#)
  }

  @Test(arguments: [
    "d1:ad2:id20:abcdefghij01234567", "d1:ade1:q4:ping1:t2:aa1:y1:qe", "d1:ad2:id2:aae1:t2:aa1:y1:qe",
    "d1:ad2:id2:aae1:q4:ping1:t2:aa1:y1:xe", "d1:ad2:id2:aa4:porti70000ee1:q4:ping1:t2:aa1:y1:qe",
    "d1:rd2:id2:aa6:valuesl3:abceee1:t2:aa1:y1:re", "d1:rd5:token2:aae1:t2:aa1:y1:re", "d1:eli201ee1:t2:aa1:y1:ee",
    "d1:ad2:id2:aae1:q4:ping1:b1:xe", "d1:ad1:z\(String(repeating: "l", count: 200))",
    "d1:ad2:id99999999999999999999:a",
  ])
  func malformedMessagesAreEvents(text: String) throws {
    let rule = "alert bittorrent-dht any any -> any any (app-layer-event:bittorrent-dht.malformed_packet; sid:1;)"
    #expect(try Self.table((.toServer, Self.ping), (.toClient, text)).run(rule).alerts == [1])
    #expect(try Self.table((.toServer, Self.ping), (.toClient, Self.ping)).run(rule).alerts.isEmpty)
    #expect(try Self.answer(text) == #""bittorrent_dht":{"transaction_id":""}}"#)
  }

  @Test func theTableIsRecognisedOnAnyPort() throws {
    let rule = "alert bittorrent-dht any any -> any any (sid:1;)"
    #expect(try Self.table((.toServer, Self.ping)).run(rule).alerts == [1])
    #expect(try Self.table((.toServer, "d1:rd2:id\(Self.identity)e1:t2:aa1:y1:re")).run(rule).alerts.isEmpty)
  }
}

/// Protocols that are recognised and not followed.
@Suite struct UnfollowedProtocolTests {
  private static func speaks(_ name: String, _ messages: (FlowSide, String)..., port: UInt16) throws -> Bool {
    let exchange = Exchange(port: port, messages: messages.map { (side: $0.0, bytes: Array($0.1.utf8)) })
    return try exchange.run(#"alert \#(name) any any -> any any (content:"secret"; sid:1;)"#).alerts.contains(1)
  }

  @Test func telnetIsWhatComesFromItsPort() throws {
    #expect(try Self.speaks("telnet", (.toClient, "login: "), (.toServer, "secret\r\n"), port: 23))
    #expect(try !Self.speaks("telnet", (.toClient, "login: "), (.toServer, "public\r\n"), port: 23))
    #expect(try !Self.speaks("telnet", (.toClient, "login: "), (.toServer, "secret\r\n"), port: 2323))
    // What is known by its bytes is not.
    #expect(try !Self.speaks("telnet", (.toClient, "SSH-2.0-secret\r\n"), (.toServer, "SSH-2.0-a\r\n"), port: 23))
  }

  @Test func imapIsKnownByItsFirstQuestion() throws {
    let greeting = "* OK IMAP4rev1 ready\r\n"
    #expect(
      try Self.speaks("imap", (.toClient, greeting), (.toServer, "1 capability\r\n2 login a secret\r\n"), port: 9999))
    #expect(try Self.speaks("imap", (.toServer, "1 capab"), (.toServer, "ility\r\n2 login a secret\r\n"), port: 143))
    #expect(try !Self.speaks("imap", (.toClient, greeting), (.toServer, "a1 login a secret\r\n"), port: 143))
  }
}
