import AllyPacket
import Testing

@testable import AllyDPI

/// RDP until its connection is set up. What is expected was compared with Suricata 7.0.10 on the same conversations.
@Suite struct ApplicationRDPTests {
  private static func cat(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }
  private static func packet(_ bytes: [UInt8]) -> [UInt8] { [3, 0] + Wire.u16(bytes.count + 4) + bytes }
  private static func little16(_ value: Int) -> [UInt8] { Wire.u16(value).reversed() }
  private static func little32(_ value: Int) -> [UInt8] { Wire.u32(value).reversed() }
  private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

  private static func request(_ cookie: String = "Cookie: mstshash=user\r\n", flags: UInt8 = 0, negotiates: Bool = true)
    -> [UInt8]
  {
    let rest = Array(cookie.utf8) + (negotiates ? [1, flags, 8, 0] + little32(3) : [])
    return packet(cat([UInt8(rest.count + 6), 0xE0], zeros(5), rest))
  }

  private static func response(_ kind: UInt8, flags: UInt8 = 0, _ value: Int) -> [UInt8] {
    packet(cat([14, 0xD0], zeros(5), [kind, flags, 8, 0], little32(value)))
  }

  private static func utf16(_ text: String, _ count: Int) -> [UInt8] {
    let bytes = text.utf16.flatMap { little16(Int($0)) }
    return bytes + zeros(count - bytes.count)
  }

  private static func client(version: Int = 0x80004, build: Int = 2600, keyboard: Int = 0x409, width: Int = 300)
    -> [UInt8]
  {
    var parts: [[UInt8]] = []
    parts += [little32(version), little16(1280), little16(1024), little16(0xCA01), zeros(2), little32(keyboard)]
    parts += [little32(build), utf16("DESKTOP", 32), little32(4), zeros(4), little32(12), zeros(64)]
    parts += [little16(0xCA01), little16(1), zeros(4), little16(24), little16(7), little16(0x21)]
    parts += [utf16("55274-OEM", 64), [6, 0], zeros(4), little32(width), little32(200), little16(90)]
    parts += [little32(100), little32(140)]
    return block(0xC001, Array(parts.joined()))
  }

  private static func block(_ type: Int, _ bytes: [UInt8]) -> [UInt8] {
    little16(type) + little16(bytes.count + 4) + bytes
  }

  private static let channels = block(
    0xC003, cat(little32(2), Array("rdpdr\0\0\0".utf8), zeros(4), Array("cliprdr\0".utf8), zeros(4)))

  private static func connect(_ blocks: [UInt8]) -> [UInt8] {
    func packed(_ count: Int) -> [UInt8] { Wire.u16(0x8000 | count) }
    let inner = cat([0, 8, 0, 0x10, 0, 1, 0xC0, 0, 0x44, 0x75, 0x63, 0x61], packed(blocks.count), blocks)
    let conference = cat([0, 5, 0, 0x14, 0x7C, 0, 1], packed(inner.count), inner)
    let domain = Wire.der(0x30, Wire.der(2, [34]))
    let body = Wire.der(
      0x65, Wire.der(4, [1]), Wire.der(4, [1]), [1, 1, 0xFF], domain, domain, domain, Wire.der(4, conference))
    return packet([2, 0xF0, 0x80, 0x7F] + body)
  }

  private static func records(_ exchange: Exchange, piece: Int = 1400) throws -> [String] {
    try exchange.run("", piece: piece) { $0.records = [.rdp] }.records
      .map { record in String(record[(record.firstRange(of: "\"rdp\":")?.lowerBound ?? record.startIndex)...]) }
  }

  private static let session = Exchange.stream(
    (.toServer, request(flags: 0x0B)), (.toClient, response(2, flags: 0x1F, 0)),
    (.toServer, connect(client() + channels)), (.toClient, packet([2, 0xF0, 0x80, 0x7F, 0x66, 3, 10, 1, 0])),
    (.toServer, packet([2, 0xF0, 0x80, 4, 1, 0, 1, 0])), port: 3389)

  @Test func aConnectionIsRecordedMessageByMessage() throws {
    let records = try Self.records(Self.session)
    #expect(
      records == [
        #""rdp":{"tx_id":1,"event_type":"initial_request","cookie":"user","flags":["restricted_admin_mode_required","#
          + #""redirected_authentication_mode_required","correlation_info_present"]}}"#,
        #""rdp":{"tx_id":2,"event_type":"initial_response","server_supports":["extended_client_data","dynvc_gfx","#
          + #""restricted_admin","redirected_authentication"],"protocol":"rdp"}}"#,
        #""rdp":{"tx_id":3,"event_type":"connect_request","client":{"version":"v5","desktop_width":1280,"#
          + #""desktop_height":1024,"color_depth":24,"keyboard_layout":"en-US","build":"Windows XP","#
          + #""client_name":"DESKTOP","keyboard_type":"enhanced","function_keys":12,"product_id":1,"#
          + #""capabilities":["support_errinfo_pdf","valid_connection_type"],"id":"55274-OEM","#
          + #""connection_hint":"lan","physical_width":300,"physical_height":200,"desktop_orientation":90,"#
          + #""scale_factor":100,"device_scale_factor":140},"channels":["rdpdr","cliprdr"]}}"#,
        #""rdp":{"tx_id":4,"event_type":"connect_response"}}"#,
      ])
  }

  @Test(arguments: [1, 7, 100]) func piecesMakeNoDifference(piece: Int) throws {
    #expect(try Self.records(Self.session, piece: piece) == Self.records(Self.session))
  }

  @Test func refusalsSayWhy() throws {
    func answer(_ bytes: [UInt8]) throws -> String? {
      try Self.records(.stream((.toServer, Self.request()), (.toClient, bytes), port: 3389)).last
    }
    #expect(
      try answer(Self.response(3, 5))
        == #""rdp":{"tx_id":2,"event_type":"initial_response","error_code":5,"reason":"hybrid required by server"}}"#)
    #expect(try answer(Self.response(3, 9)) == #""rdp":{"tx_id":2,"event_type":"initial_response"}}"#)
    #expect(
      try answer(Self.response(2, 8))
        == #""rdp":{"tx_id":2,"event_type":"initial_response","protocol":"hybrid_ex"}}"#)
  }

  @Test func whatAClientSaysIsReadAsFarAsItMakesSense() throws {
    func said(_ client: [UInt8]) throws -> String {
      try Self.records(
        .stream((.toServer, Self.request()), (.toServer, Self.connect(client)), port: 3389)
      ).last ?? ""
    }
    #expect(try said(Self.client(version: 0x8000C)).contains(#""version":"v10.7""#))
    #expect(try said(Self.client(version: 7)).contains(#""version":"unknown""#))
    #expect(try said(Self.client(build: 17763)).contains(#""build":"Windows 10 RS5""#))
    #expect(try said(Self.client(keyboard: 0x407)).contains(#""keyboard_layout":"de-DE""#))
    #expect(try said(Self.client(keyboard: 0x10407)).contains(#""keyboard_layout":"unknown""#))
    let odd = try said(Self.client(width: 9))
    #expect(odd.contains("connection_hint") && !odd.contains("physical") && !odd.contains("scale"))
    #expect(try said(Self.block(0xC001, [1, 2, 3])) == #""rdp":{"tx_id":2,"event_type":"connect_request"}}"#)
  }

  @Test func encryptionEndsIt() throws {
    let hello: [UInt8] = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]
    let records = try Self.records(
      .stream(
        (.toServer, Self.request()), (.toClient, Self.response(2, 2)), (.toServer, hello), (.toServer, Self.request()),
        port: 3389))
    #expect(records.count == 2)
  }

  @Test func itIsRecognisedOnItsPortAndByItsRequestOnOthers() throws {
    func speaks(_ bytes: [UInt8], port: UInt16, from side: FlowSide = .toServer) throws -> Bool {
      try Exchange.stream((side, bytes), port: port).run("alert rdp any any -> any any (sid:1;)").alerts.contains(1)
    }
    #expect(try speaks(Self.packet([2, 0xF0, 0x80, 0]), port: 3389))
    #expect(try speaks(Self.request(), port: 4000))
    #expect(try speaks(Self.request(""), port: 4000))
    // ISO's transport alone carries other things, too.
    #expect(try !speaks(Self.request("", negotiates: false), port: 4000))
    #expect(try !speaks(Self.response(2, 0), port: 4000, from: .toClient))
  }
}
