import AllyPacket
import Testing

@testable import AllyDPI

/// NFS in Sun RPC, message by message. What is expected was compared with Suricata 7.0.10 on the same conversations.
@Suite struct ApplicationNFSTests {
  // MARK: messages

  private static func opaque(_ bytes: [UInt8]) -> [UInt8] {
    Wire.u32(bytes.count) + bytes + [UInt8](repeating: 0, count: bytes.count.xdrPadding)
  }
  private static func opaque(_ text: String) -> [UInt8] { opaque(Array(text.utf8)) }

  /// A handle of 32 bytes.
  private static func handle(_ text: String) -> [UInt8] {
    opaque(Array(text.utf8) + [UInt8](repeating: 0x2E, count: 32 - text.utf8.count))
  }

  private static let caller = cat(Wire.u32(7), opaque("host"), Wire.u32(1000), Wire.u32(100), Wire.u32(0))

  private static func call(
    _ identifier: Int, _ procedure: Int, _ arguments: [UInt8], version: Int = 3, program: Int = 100_003
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    for word in [identifier, 0, 2, program, version, procedure, 1] { bytes += Wire.u32(word) }
    return cat(bytes, opaque(caller), Wire.u32(0), opaque([]), arguments)
  }

  private static func reply(_ identifier: Int, _ results: [UInt8]) -> [UInt8] {
    cat(Wire.u32(identifier), Wire.u32(1), Wire.u32(0), Wire.u32(0), opaque([]), Wire.u32(0), results)
  }

  private static func record(_ bytes: [UInt8]) -> [UInt8] { Wire.u32(bytes.count | 0x8000_0000) + bytes }

  private static let attributes: [UInt8] = Wire.u32(1) + [UInt8](repeating: 0, count: 84)
  private static let none = Wire.u32(0)
  private static let ok = Wire.u32(0)

  private static func lookup(_ identifier: Int, _ name: String, procedure: Int = 3) -> [UInt8] {
    call(identifier, procedure, handle("root") + opaque(name))
  }
  private static func found(_ identifier: Int, _ file: String) -> [UInt8] {
    reply(identifier, ok + handle(file) + attributes + none)
  }
  private static func read(_ identifier: Int, _ file: String, at offset: Int = 0) -> [UInt8] {
    call(identifier, 6, cat(handle(file), Wire.u32(0), Wire.u32(offset), Wire.u32(65536)))
  }
  private static func content(_ identifier: Int, _ bytes: [UInt8], isLast: Bool) -> [UInt8] {
    reply(identifier, cat(ok, attributes, Wire.u32(bytes.count), Wire.u32(isLast ? 1 : 0), opaque(bytes)))
  }
  private static func write(_ identifier: Int, _ file: String, at offset: Int = 0, _ bytes: [UInt8], stable: Int = 0)
    -> [UInt8]
  {
    let place = Wire.u32(0) + Wire.u32(offset)
    return call(identifier, 7, cat(handle(file), place, Wire.u32(bytes.count), Wire.u32(stable), opaque(bytes)))
  }
  private static func commit(_ identifier: Int, _ file: String) -> [UInt8] {
    call(identifier, 21, handle(file) + [UInt8](repeating: 0, count: 12))
  }

  private static func feed(_ parser: NFSParser, _ bytes: some Sequence<UInt8>, from side: FlowSide) {
    let bytes = Array(bytes)
    parser.receive(bytes.rawBytes, from: side)
  }

  private static func cat(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }

  /// The messages in records over TCP.
  private static func stream(_ messages: (FlowSide, [UInt8])..., port: UInt16 = 2049) -> Exchange {
    Exchange(port: port, messages: messages.map { (side: $0.0, bytes: record($0.1)) })
  }
  private static func datagrams(_ messages: (FlowSide, [UInt8])..., port: UInt16 = 2049) -> Exchange {
    Exchange(isDatagrams: true, port: port, messages: messages.map { (side: $0.0, bytes: $0.1) })
  }

  private static func records(_ exchange: Exchange, piece: Int = 1400, _ kinds: RecordKinds = [.nfs]) throws -> [String]
  {
    try exchange.run("", piece: piece) { $0.records = kinds }.records
  }

  private static func text(_ records: [String]) -> String { records.joined(separator: "\n") }

  private static let big = [UInt8]("0123456789abcde\n".utf8).repeated(4000) + Array("end".utf8)

  // MARK: records

  private static let fileRead = [
    (FlowSide.toServer, lookup(1, "hello.txt")), (.toClient, found(1, "h1")), (.toServer, read(2, "h1")),
    (.toClient, content(2, Array("my secret data!!".utf8), isLast: true)),
  ]

  @Test(arguments: [true, false]) func aFileIsKnownByTheNameThatItWasLookedUpBy(isDatagrams: Bool) throws {
    let messages = Self.fileRead
    let exchange =
      isDatagrams
      ? Self.datagrams(messages[0], messages[1], messages[2], messages[3])
      : Self.stream(messages[0], messages[1], messages[2], messages[3])
    let records = try Self.records(exchange, [.nfs, .files])
    #expect(records.count == 3)
    let lookup = try #require(records.first)
    #expect(lookup.contains(#""event_type":"nfs""#))
    #expect(lookup.contains(#""xid":1,"status":"ACCEPTED","auth_type":"UNIX""#))
    #expect(lookup.contains(#""creds":{"machine_name":"host","uid":1000,"gid":100}"#))
    #expect(
      lookup.contains(
        #""version":3,"procedure":"LOOKUP","filename":"hello.txt","hhash":"5d83347d","id":1,"file_tx":false"#))
    #expect(lookup.contains(#""type":"response","status":"OK""#))
    let file = try #require(records.first { $0.contains(#""event_type":"fileinfo""#) })
    #expect(file.contains(#""fileinfo":{"filename":"hello.txt","gaps":false,"state":"CLOSED""#))
    #expect(file.contains(#""size":16,"tx_id":1"#))
    #expect(file.contains(#""read":{"first":true,"last":true,"last_xid":2,"chunks":1}"#))
    #expect(file.contains(#""app_proto":"nfs""#))
  }

  @Test func callsAreRecordedWithWhatTheyWereAbout() throws {
    let renamed = Self.call(
      2, 14, Self.cat(Self.handle("root"), Self.opaque("a"), Self.handle("dir"), Self.opaque("bb")))
    let text = Self.text(
      try Self.records(
        Self.stream(
          (.toServer, Self.lookup(1, "gone")), (.toClient, Self.reply(1, Wire.u32(2) + Self.none)),
          (.toServer, renamed), (.toClient, Self.reply(2, Self.ok)),
          (.toServer, Self.lookup(3, "old", procedure: 12)), (.toClient, Self.reply(3, Wire.u32(70))),
          (.toServer, Self.call(4, 1, Self.handle("h1"))), (.toClient, Self.reply(4, Self.ok)),
          (.toServer, Self.call(5, 50, [])), (.toClient, Self.reply(5, Self.ok)))))
    #expect(text.contains(#""procedure":"LOOKUP","filename":"gone","id":1,"file_tx":false"#))
    #expect(text.contains(#""status":"ERR_NOENT""#))
    #expect(text.contains(#""procedure":"RENAME","filename":"a""#))
    #expect(text.contains(#""rename":{"from":"a","to":"bb"}"#))
    #expect(text.contains(#""procedure":"REMOVE","filename":"old""#))
    #expect(text.contains(#""status":"ERR_STALE""#))
    #expect(text.contains(#""procedure":"50""#))
    // Clients ask for attributes all the time.
    #expect(!text.contains("GETATTR"))
  }

  @Test func namesOfADirectoryAreLearned() throws {
    func entry(_ name: String, _ file: String) -> [UInt8] {
      Self.cat(
        Wire.u32(1), Wire.u32(0), Wire.u32(7), Self.opaque(name), Wire.u32(0), Wire.u32(1), Self.attributes,
        Wire.u32(1), Self.handle(file))
    }
    let listing = Self.cat(
      Self.ok, Self.attributes, [UInt8](repeating: 7, count: 8), entry("one", "h1"), entry("two", "h2"))
    let text = Self.text(
      try Self.records(
        Self.stream(
          (.toServer, Self.call(1, 17, Self.handle("root") + [UInt8](repeating: 0, count: 24))),
          (.toClient, Self.reply(1, Self.cat(listing, Self.none, Wire.u32(1)))),
          (.toServer, Self.call(2, 4, Self.handle("h2") + Wire.u32(31))), (.toClient, Self.reply(2, Self.ok)))))
    #expect(text.contains(#""procedure":"ACCESS","filename":"two""#))
  }

  // MARK: files

  /// Large records pass through without being kept, in whatever pieces they come.
  @Test(arguments: [33, 100, 1400]) func largeFilesAreReadInPieces(piece: Int) throws {
    let half = Self.big.count / 2
    let exchange = Self.stream(
      (.toServer, Self.lookup(1, "big")), (.toClient, Self.found(1, "h1")), (.toServer, Self.read(2, "h1")),
      (.toClient, Self.content(2, Array(Self.big[..<half]), isLast: false)),
      (.toServer, Self.read(3, "h1", at: half)),
      (.toClient, Self.content(3, Array(Self.big[half...]), isLast: true)))
    let rule = #"alert nfs any any -> any any (file.data; content:"e|0A|end"; sid:1;)"#
    let engine = try exchange.run(rule, piece: piece) {
      $0.records = [.files, .alerts]
      $0.files.digests = [.md5]
    }
    let digest = Digest.of(Self.big.span, .md5).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    let file = try #require(engine.records.first { $0.contains("fileinfo") })
    #expect(file.contains(#""state":"CLOSED""#) && file.contains("\"size\":\(Self.big.count),"))
    #expect(file.contains(digest))
    #expect(engine.alerts == [1])
  }

  @Test func whatIsWrittenIsAFileUntilItIsCommitted() throws {
    func exchange(_ last: [UInt8]) -> Exchange {
      Self.stream(
        (.toServer, Self.write(1, "h1", Array("0123456789ab".utf8))), (.toClient, Self.reply(1, Self.ok)),
        (.toServer, Self.write(2, "h1", at: 12, Array("more".utf8))), (.toClient, Self.reply(2, Self.ok)),
        (.toServer, last))
    }
    let closed = Self.text(try Self.records(exchange(Self.commit(3, "h1")), [.files]))
    #expect(closed.contains(#""state":"CLOSED""#) && closed.contains(#""size":16,"#))
    #expect(closed.contains(#""write":{"first":true,"last":true,"last_xid":3,"chunks":2}"#))
    let open = Self.text(try Self.records(exchange(Self.commit(3, "other")), [.files]))
    #expect(open.contains(#""state":"TRUNCATED""#) && open.contains(#""size":16,"#))
    // A write that is synchronous is taken for the whole file.
    let whole = Self.stream((.toServer, Self.write(1, "h1", Array("whole".utf8), stable: 2)))
    #expect(Self.text(try Self.records(whole, [.files])).contains(#""state":"CLOSED""#))
  }

  @Test func aGapInAFileIsAGapInItsRecord() throws {
    var conversation = Self.stream(
      (.toServer, Self.lookup(1, "big")), (.toClient, Self.found(1, "h1")), (.toServer, Self.read(2, "h1")))
    conversation.messages.append((side: .toClient, bytes: []))
    let parser = NFSParser(limits: ApplicationLimits(), transport: 6)
    for message in conversation.messages { Self.feed(parser, message.bytes, from: message.side) }
    let answer = Self.record(Self.content(2, Self.big, isLast: true))
    Self.feed(parser, answer[..<5000], from: .toClient)
    parser.skip(2000, from: .toClient)
    Self.feed(parser, answer[7000...], from: .toClient)
    let file = try #require((0..<parser.transactionCount).flatMap { parser.transaction(at: $0).files }.first)
    #expect(file.state == .truncated && file.hasGaps && file.size == UInt64(Self.big.count))
    // The end may be missing, too.
    let cut = NFSParser(limits: ApplicationLimits(), transport: 6)
    for message in conversation.messages { Self.feed(cut, message.bytes, from: message.side) }
    Self.feed(cut, answer[..<5000], from: .toClient)
    cut.skip(answer.count - 5000, from: .toClient)
    let rest = try #require((0..<cut.transactionCount).flatMap { cut.transaction(at: $0).files }.first)
    #expect(rest.state == .truncated && rest.hasGaps && rest.size == UInt64(Self.big.count))
    // What follows is read as if nothing had happened.
    Self.feed(parser, Self.record(Self.lookup(3, "next")), from: .toServer)
    Self.feed(parser, Self.record(Self.found(3, "h3")), from: .toClient)
    #expect(parser.names[Array("h3".utf8) + [UInt8](repeating: 0x2E, count: 30)] == Array("next".utf8))
  }

  @Test func theNextRecordIsFoundBehindAGap() {
    let parser = NFSParser(limits: ApplicationLimits(), transport: 6)
    Self.feed(parser, Self.record(Self.lookup(1, "one")), from: .toServer)
    let lost = Self.record(Self.lookup(2, "two"))
    Self.feed(parser, lost[..<50], from: .toServer)
    parser.skip(20, from: .toServer)
    let rest = lost[70...] + Self.record(Self.lookup(3, "three"))
    for byte in rest { Self.feed(parser, [byte], from: .toServer) }
    #expect((0..<parser.transactionCount).map { parser.transaction(at: $0).number } == [0, 1])
  }

  // MARK: version 4

  private static func compound(_ identifier: Int, _ operations: [UInt8]...) -> [UInt8] {
    call(
      identifier, 1, cat(opaque([]), Wire.u32(0), Wire.u32(operations.count), operations.flatMap { $0 }), version: 4)
  }
  private static func results(_ identifier: Int, _ results: [UInt8]...) -> [UInt8] {
    reply(identifier, cat(ok, opaque([]), Wire.u32(results.count), results.flatMap { $0 }))
  }
  private static let state = [UInt8](repeating: 1, count: 16)
  private static func put(_ file: String) -> [UInt8] { Wire.u32(22) + handle(file) }
  private static let wasPut = Wire.u32(22) + ok
  private static let opening = cat(
    Wire.u32(18), [UInt8](repeating: 0, count: 20), opaque("owner"), Wire.u32(0), Wire.u32(0), opaque("hello.txt"))
  private static let opened = cat(
    Wire.u32(18), ok, state, [UInt8](repeating: 0, count: 24), Wire.u32(0), Wire.u32(0))

  @Test func version4OpensReadsAndWritesFiles() throws {
    let read = Self.cat(Wire.u32(25), Self.state, Wire.u32(0), Wire.u32(0), Wire.u32(100))
    let data = Self.cat(Wire.u32(25), Self.ok, Wire.u32(1), Self.opaque("my secret data!!"))
    let written = Self.cat(Wire.u32(38), Self.state, Wire.u32(0), Wire.u32(0), Wire.u32(0), Self.opaque("12345"))
    let text = Self.text(
      try Self.records(
        Self.stream(
          (.toServer, Self.compound(1, Wire.u32(24), Self.opening, Wire.u32(10))),
          (
            .toClient,
            Self.results(1, Wire.u32(24) + Self.ok, Self.opened, Self.cat(Wire.u32(10), Self.ok, Self.handle("f1")))
          ),
          (.toServer, Self.compound(2, Self.put("f1"), read)), (.toClient, Self.results(2, Self.wasPut, data)),
          (.toServer, Self.compound(3, Self.put("f2"), written)),
          (.toClient, Self.results(3, Self.wasPut, Wire.u32(38) + Self.ok + Self.state)),
          (.toServer, Self.compound(4, Self.put("f2"), Self.cat(Wire.u32(4), Wire.u32(1), Self.state))),
          (.toClient, Self.results(4, Self.wasPut, Wire.u32(4) + Self.ok + Self.state))), [.nfs, .files]))
    #expect(text.contains(#""version":4,"procedure":"READ","filename":"hello.txt""#))
    #expect(text.contains(#""version":4,"procedure":"WRITE","filename":"""#))
    #expect(text.contains(#""size":16,"#) && text.contains(#""size":5,"#))
    #expect(!text.contains("TRUNCATED"))
  }

  /// Calls of version 4 are kept until they are whole, but for those that carry too much.
  @Test(arguments: [1 << 20, 1 << 10]) func contentOfVersion4IsKeptOnlyWhenItIsShort(kept: Int) throws {
    let data = Array(Self.big[..<20_001])
    let write = Self.cat(Wire.u32(38), Self.state, Wire.u32(0), Wire.u32(0), Wire.u32(2), Self.opaque(data))
    let read = Self.cat(Wire.u32(25), Self.state, Wire.u32(0), Wire.u32(0), Wire.u32(65536))
    let answer = Self.cat(Wire.u32(25), Self.ok, Wire.u32(1), Self.opaque(data))
    let exchange = Self.stream(
      (.toServer, Self.compound(1, Self.put("f1"), write, Self.cat(Wire.u32(9), Wire.u32(1), Wire.u32(16)))),
      (.toServer, Self.compound(2, Self.put("f2"), read)), (.toClient, Self.results(2, Self.wasPut, answer)))
    let records = try exchange.run("") {
      $0.records = [.files]
      $0.application.handshake = kept
    }.records
    #expect(records.count == 2)
    for record in records {
      #expect(record.contains(#""state":"CLOSED""#) && record.contains("\"size\":20001,"))
    }
  }

  @Test func whatMakesAndRemovesFilesIsATransaction() throws {
    let removal = Wire.u32(28) + Self.opaque("old")
    let creation = Self.cat(Wire.u32(6), Wire.u32(2), Self.opaque("new"), Wire.u32(0), Self.opaque([]))
    let text = Self.text(
      try Self.records(
        Self.stream(
          (.toServer, Self.compound(1, Self.put("dir"), removal)),
          (.toClient, Self.results(1, Self.wasPut, Wire.u32(28) + Wire.u32(2))),
          (.toServer, Self.compound(2, Self.put("dir"), creation)),
          (
            .toClient,
            Self.results(
              2, Self.wasPut, Self.cat(Wire.u32(6), Self.ok, [UInt8](repeating: 0, count: 20), Wire.u32(0)))
          ))))
    #expect(text.contains(#""procedure":"REMOVE","filename":"old""#))
    #expect(text.contains(#""status":"ERR_NOENT""#))
    #expect(text.contains(#""procedure":"CREATE","filename":"new","hhash":"#))
  }

  // MARK: hostile input

  @Test func malformedRepliesAreEvents() throws {
    let rules = """
      alert nfs any any -> any any (flow:to_client; app-layer-event:nfs.malformed_data; sid:1;)
      alert nfs any any -> any any (app-layer-event:nfs.too_many_transactions; sid:2;)
      """
    let sound = Self.stream((.toServer, Self.lookup(1, "a")), (.toClient, Self.found(1, "h1")))
    #expect(try sound.run(rules).alerts.isEmpty)
    let cut = Self.stream((.toServer, Self.lookup(1, "a")), (.toClient, Self.reply(1, Self.ok + [0, 0])))
    #expect(try cut.run(rules).alerts == [1])
    var many = Self.stream()
    for index in 1...40 { many.messages.append((side: .toServer, bytes: Self.record(Self.lookup(index, "a")))) }
    #expect(try many.run(rules).alerts.isEmpty)
    #expect(try many.run(rules) { $0.application.transactions = 8 }.alerts.contains(2))
  }

  @Test func lengthsBeyondAllSenseCostNothing() {
    let parser = NFSParser(limits: ApplicationLimits(), transport: 6)
    Self.feed(parser, Self.record(Self.lookup(1, "a")), from: .toServer)
    let huge = Wire.u32(0x7FFF_FFFF) + Self.lookup(2, "b") + [UInt8](repeating: 0, count: 4096)
    Self.feed(parser, huge, from: .toServer)
    for _ in 0..<400 { Self.feed(parser, [UInt8](repeating: 0, count: 4096), from: .toServer) }
    #expect(parser.transactionCount == 1)
    // A write that claims more than any server takes is no file.
    let claim = Self.cat(Self.handle("h"), [UInt8](repeating: 0, count: 8), Wire.u32(0x7000_0000), Wire.u32(0))
    let other = NFSParser(limits: ApplicationLimits(), transport: 6)
    let call = Self.call(1, 7, claim + Wire.u32(0x7000_0000)) + [UInt8](repeating: 0, count: 2048)
    Self.feed(other, (Wire.u32(0x7100_0000) + call), from: .toServer)
    #expect(other.transactionCount == 0)
  }

  // MARK: recognition

  @Test func callsAreRecognisedOnAnyPortAndRepliesOnTheirOwn() throws {
    func speaks(_ exchange: Exchange) throws -> Bool {
      try exchange.run("alert nfs any any -> any any (sid:1;)").alerts.contains(1)
    }
    let lookup = Self.lookup(1, "a")
    #expect(try speaks(Self.stream((.toServer, lookup), port: 4000)))
    #expect(try speaks(Self.datagrams((.toServer, lookup), port: 4000)))
    #expect(try !speaks(Self.stream((.toClient, Self.found(1, "h1")), port: 4000)))
    #expect(try speaks(Self.stream((.toClient, Self.found(1, "h1")))))
    #expect(try !speaks(Self.stream((.toServer, Self.call(1, 3, [UInt8](repeating: 0, count: 40), program: 100_005)))))
    // NULL is too little to tell by.
    #expect(try !speaks(Self.datagrams((.toServer, Self.call(1, 0, []).prefix(40).array))))
    // A record that comes byte by byte.
    let slow = Self.stream((.toServer, lookup))
    #expect(try slow.run("alert nfs any any -> any any (nfs_procedure:3; sid:1;)", piece: 1).alerts == [1])
  }
}

extension Array {
  fileprivate func repeated(_ count: Int) -> [Element] { Array(repeatElement(self, count: count).joined()) }
}

extension ArraySlice<UInt8> {
  fileprivate var array: [UInt8] { Array(self) }
}
