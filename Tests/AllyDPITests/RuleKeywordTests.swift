import AllyDPI
import Testing

/// Each keyword of the application protocols: texts that read, and texts that do not with the place that the reader names.
/// In the wrong ones `^` stands in front of that place, and is taken out before the text is read.
@Suite struct RuleKeywordTests {
  struct Row: Sendable, CustomStringConvertible {
    var keyword: String
    var right: [String]
    var wrong: [String]
    var description: String { keyword }
  }

  @Test(arguments: rows)
  func keyword(_ row: Row) throws {
    for text in row.right {
      let report = readRules(Self.complete(text))
      #expect(report.rules.count == 1, "\(text): \(report.problems.first?.description ?? "")")
    }
    for text in row.wrong {
      let marked = Self.complete(text)
      let place = try #require(marked.firstIndex(of: "^"), "no place is marked in \(text)")
      let column = marked.distance(from: marked.startIndex, to: place) + 1
      let report = readRules(marked.replacing("^", with: "", maxReplacements: 1))
      let problem = try #require(report.problems.first, "it loads: \(text)")
      #expect(problem.location.column == column, "\(text): \(problem)")
      #expect(!problem.isUnsupported, "\(text): \(problem)")
    }
  }

  /// Options, or a whole rule without its end.
  private static func complete(_ text: String) -> String {
    text.hasPrefix("alert ") ? text + " sid:1;)" : "alert tcp any any -> any any (\(text) sid:1;)"
  }

  static let rows: [Row] = [
    Row(
      keyword: "sticky buffers",
      right: [
        #"http.uri; content:"a"; http.host; content:"b";"#, #"file.data; content:"a";"#, #"file_data; content:"a";"#,
        #"dns_query; content:"a";"#, #"tls_sni; content:"a";"#, #"dce_stub_data; content:"a";"#,
        #"http.header; content:"a"; nocase; pkt_data; content:"b"; depth:4;"#,
        #"alert tls any any -> any any (tls.certs; content:"|02 01|"; tls.cert_subject; content:"CN=";"#,
      ],
      wrong: [
        "^http.uri;", #"^http.uri; pkt_data; content:"a";"#, #"http.uri:^5; content:"a";"#,
        #"http.uri; content:"a"; ^dns.query; content:"b";"#, #"http.uri; content:"a"; ^http.stat_code; content:"b";"#,
        #"flow:to_client; ^http.uri; content:"a";"#, #"http.stat_code; content:"2"; ^flow:to_server;"#,
        #"alert dns any any -> any any (^http.uri; content:"a";"#, #"^dsize:4; http.uri; content:"a";"#,
        #"alert udp any any -> any any (file.data; ^content:"a";"#, #"^flow:no_stream; http.uri; content:"a";"#,
        #"http.header.raw; ^content:"a";"#,
      ]),
    Row(
      keyword: "older modifiers",
      right: [
        #"content:"a"; http_uri; content:"b"; http_uri; distance:0;"#, #"content:"a"; http_header; nocase;"#,
        #"uricontent:"a";"#, #"content:!"a"; http_user_agent;"#, #"content:"200"; http_stat_code;"#,
        #"pcre:"/a/U"; content:"b"; http_cookie;"#,
      ],
      wrong: [
        #"msg:"a"; content:"a"; http_uri; ^http_uri;"#, #"content:"a"; rawbytes; ^http_uri;"#,
        #"http.host; content:"a"; ^http_uri;"#,
        #"flow:to_client; content:"a"; ^http_uri;"#, #"uricontent:^5;"#,
      ]),
    Row(
      keyword: "pcre's buffers",
      right: [
        #"pcre:"/a/U";"#, #"content:"a"; http_uri; pcre:"/a/UR";"#, #"http.uri; pcre:"/a/U";"#,
        #"file_data; pcre:"/a/Q";"#, #"http.user_agent; pcre:"/^(.*)\/(\d+)/, flow:name, pkt:version";"#,
      ],
      wrong: [
        #"pcre:"/a/U^I";"#, #"pcre:"/a/B^U";"#, #"http.host; pcre:"/a/^U";"#, #"flow:to_client; ^pcre:"/a/U";"#,
        #"content:"a"; ^pcre:"/a/UR";"#, #"pcre:"/(a)/,^name";"#, #"pcre:"^/a/,flow:name";"#,
      ]),
    Row(
      keyword: "Snort 3",
      right: [
        #"http_uri; content:"a",fast_pattern,nocase; bufferlen:5<=>10; service:http;"#,
        #"http_header:field user-agent; content:"a"; service:http;"#, #"alert http (http_uri; content:"a";"#,
        #"raw_data; content:"a",depth 5; service:http,ssl;"#, #"sip_method:invite,options; service:sip;"#,
        #"sip_stat_code:4; service:sip;"#, #"bufferlen:>5; service:smtp;"#, #"tag:session,packets 5; service:http;"#,
      ],
      wrong: [
        #"http_header:^field; content:"a";"#, #"^http_uri; service:http;"#, #"sip_stat_code:^44; service:sip;"#,
        #"sip_method:^4; service:sip;"#, #"bufferlen:^a; service:http;"#,
      ]),
    Row(
      keyword: "transforms",
      right: [
        #"dns.query; dotprefix; content:".a.b"; endswith;"#, #"http.uri; url_decode; to_lowercase; content:"a";"#,
        #"http.uri; content:"A"; to_md5; content:"|00 01|";"#, #"http.uri; xor:"0a0D"; content:"a";"#,
        #"http.request_line; pcrexform:"a(.*)b"; content:"a";"#,
        #"http.header; header_lowercase; strip_pseudo_headers; content:"a";"#,
        #"file.data; strip_whitespace; compress_whitespace; to_sha256; content:"a";"#,
      ],
      wrong: [
        #"^dotprefix; content:"a";"#, #"content:"a"; ^to_md5;"#,
        #"http.uri; to_md5; content:"a"; ^to_md5; content:"b";"#, #"http.uri; to_lowercase; ^content:"A";"#,
        #"http.uri; to_uppercase; ^content:"a";"#, #"http.uri; xor:"^0"; content:"a";"#,
        #"http.uri; xor:^0a; content:"a";"#, #"http.uri; pcrexform:"^ab"; content:"a";"#,
        #"http.uri; pcrexform:"(^"; content:"a";"#, #"http.uri; dotprefix:^5; content:"a";"#,
        #"http.uri; ^to_md5;"#,
      ]),
    Row(
      keyword: "lengths",
      right: [
        "urilen:5;", "urilen:>5,raw;", "urilen:5<>10,norm;", #"http.uri; bsize:5; content:"abcde";"#,
        #"http.uri; content:"a"; isdataat:!5,relative;"#,
      ],
      wrong: ["urilen:^a;", "urilen:5,^foo;", "^bsize:5;", #"http.uri; content:"abcdef"; ^bsize:5;"#]),
    Row(
      keyword: "what stands in a buffer",
      right: [
        #"http.host; content:"abc";"#, #"ja3.hash; content:"0123456789ABCDEF0123456789abcdef";"#,
        #"tls.cert_serial; content:"ab:cd";"#, #"http.method; content:"GET";"#,
      ],
      wrong: [
        #"http.host; ^content:"Abc";"#, #"http.host; ^content:"abc"; nocase;"#, #"ja3.hash; ^content:"abc";"#,
        #"tls.cert_fingerprint; ^content:"ab:cd";"#, #"tls.cert_serial; ^content:"abcd";"#,
        #"http.method; ^content:"GET ";"#, #"quic.cyu.hash; ^content:"zz";"#,
      ]),
    Row(
      keyword: "flowint",
      right: ["flowint:ab,+,1;", "flowint:ab, notset;", "flowint:ab.c,>=,de;", "flowint:ab,isset;"],
      wrong: ["flowint:^a,+,1;", "flowint:ab,^?,1;", "flowint:ab,^+;", "flowint:ab,+,^99999999999;", "flowint:^ab;"]),
    Row(
      keyword: "stream_size, flow.age",
      right: ["stream_size:server,<,5;", "stream_size:both,!=,5;", "flow.age:>5;"],
      wrong: [
        "stream_size:^x,<,5;", "stream_size:client,^~,5;", "stream_size:client,<,^a;", "stream_size:^client,5;",
        "flow.age:^a;",
      ]),
    Row(
      keyword: "tag",
      right: ["tag:session;", "tag:session,5,packets;", "tag:host,5,seconds,dst;"],
      wrong: ["tag:^foo,5,packets;", "tag:session,^5;", "tag:session,5,^foo;", "tag:host,5,packets,^foo;"]),
    Row(
      keyword: "app-layer-event, app-layer-protocol",
      right: [
        "app-layer-event:http.missing_host_header;", "app-layer-event:applayer_wrong_direction_first_data;",
        "app-layer-protocol:!http; app-layer-protocol:!tls;", "app-layer-protocol:failed;",
        #"alert http any any -> any any (content:"a";"#, #"alert ftp-data any any -> any any (file.name; content:"a";"#,
      ],
      wrong: [
        "app-layer-event:^http.foo;", "app-layer-event:^foo.bar;", "app-layer-protocol:^foo;",
        "app-layer-protocol:!^foo;", "app-layer-protocol:dns; ^app-layer-protocol:tls;",
        "alert http any any -> any any (^app-layer-protocol:dns;",
        "alert dns any any -> any any (app-layer-event:^http.missing_host_header;",
      ]),
    Row(
      keyword: "files",
      right: [
        #"filename:"a";"#, #"filename:!"a";"#, "fileext:pdf;", "filesize:>10MB;", "filesize:10<>20;",
        "filemd5:!list.md5;", "filesha256:list;", "filestore;", "filestore:response,flow;",
        #"file.magic; content:"PDF";"#,
      ],
      wrong: [
        #"filename:"^";"#, "filesize:^a;", "filesize:^20<>10;", "^filemd5;", "filestore:^foo;",
        "filestore:request,^foo;", "filestore:request,tx,^foo;",
      ]),
    Row(
      keyword: "dataset, datarep, iprep",
      right: [
        "http.uri; dataset:isset,a,type string,load a.lst,memcap 10mb,hashsize 5;", "http.uri; dataset:set,a;",
        "ip.src; dataset:isnotset,a,type ip;", "http.uri; datarep:a,>,200,type string,load a.rep;",
        "iprep:any,Bad,>,1;", "iprep:src,Bad,>=,1;", "iprep:both,Bad,isset;", "iprep:dst, Bad, isnotset;",
      ],
      wrong: [
        "^dataset:isset,a;", "http.uri; dataset:^foo,a;", "http.uri; dataset:isset,a,type ^foo;",
        "http.uri; dataset:isset,^a b;", "http.uri; dataset:isset,a,^memcap;", "http.uri; dataset:isset,a,hashsize ^0;",
        "http.uri; datarep:a,^=>,1,type string;", "http.uri; datarep:^a,>,1;", "iprep:^foo,Bad,>,1;",
        "iprep:any,Bad,>,^256;", "iprep:any,Bad,^set;", "iprep:any,Bad,^?,1;",
      ]),
    Row(
      keyword: "base64",
      right: [
        #"base64_decode; base64_data; content:"a";"#,
        #"content:"a"; base64_decode:bytes 5, offset 2, relative; base64_data; content:"b"; pkt_data; content:"c";"#,
      ],
      wrong: [
        #"^base64_data; content:"a";"#, "base64_decode:^foo;", "base64_decode:offset 5, ^bytes 5;",
        "base64_decode:bytes ^a;", #"base64_decode; base64_data; content:"a"; ^http.uri; content:"b";"#,
      ]),
    Row(
      keyword: "TLS, SSH",
      right: [
        "tls.version:1.2;", "tls.version:0x7f12;", "ssl_version:sslv2,sslv3;", "ssl_version:!sslv2,!sslv3;",
        "ssl_state:client_hello|server_hello;", "ssl_state:!unknown;", #"tls.subject:"CN=a";"#,
        #"tls.issuerdn:!"CN=a";"#, "tls_cert_expired;", "tls_cert_valid;", "tls_store;", "tls_cert_notbefore:<2016;",
        "tls_cert_notafter:2015<>2016-05-22T23:59;", "tls.cert_chain_len:>2;", "ssh.protoversion:2_compat;",
        #"ssh.softwareversion:"OpenSSH";"#,
        #"tls.fingerprint:"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33";"#,
      ],
      wrong: [
        "tls.version:^1.4;", "ssl_version:^foo;", "ssl_version:sslv2,^!sslv3;", "ssl_state:^foo;", "tls.subject:^CN=a;",
        "tls_cert_notbefore:^foo;", "tls_cert_notbefore:2015-^13;", "tls_cert_notbefore:^2016<>2015;",
        "tls.cert_chain_len:^a;", "ssh.protoversion:^foo;", "tls_cert_valid:^5;", #"^tls.fingerprint:"90:86";"#,
      ]),
    Row(
      keyword: "DCE/RPC",
      right: [
        "dcerpc.iface:4b324fc8-1670-01d3-1278-5a47bf6ee188;",
        "dce_iface:4b324fc8-1670-01d3-1278-5a47bf6ee188,<2,any_frag;",
        "dce_iface:uuid 4b324fc8-1670-01d3-1278-5a47bf6ee188;", "dcerpc.opnum:1,2,5-9;", #"dce_opnum:"12";"#,
        "byte_test:4,>,1,0,dce;", "byte_jump:4,0,dce;",
      ],
      wrong: [
        "dcerpc.iface:^4b324fc8;", "dcerpc.iface:4b324fc8-1670-01d3-1278-5a47bf6ee188,^foo;", "dcerpc.opnum:^a;",
        "dcerpc.opnum:^5-1;", "byte_test:^4,>,1,0,dce,string,dec;", "byte_test:^4,>,1,0,dce,little;",
        "alert http any any -> any any (^byte_test:4,>,1,0,dce;",
      ]),
    Row(
      keyword: "numbers of DNS, SNMP, Kerberos, NFS, RFB, IKE, DHCP",
      right: [
        "dns.opcode:!4;", "snmp.version:3;", "snmp.pdu_type:1;", "krb5_msg_type:12;", "krb5_err_code:6;",
        "krb5.ticket_encryption:!weak;", "nfs_procedure:3<>4;", "nfs_version:>3;", "nfs.version:3;",
        "rfb.secresult:ok;",
        "rfb.sectype:>2;", "ike.exchtype:2;", "ike.chosen_sa_attribute:alg_hash=2;", "ike.nonce_payload_length:<200;",
        "ike.key_exchange_payload_length:>100;", "dhcp.leasetime:>5;", "dhcp.renewal_time:5;",
        "dhcp.rebinding_time:5;", "ftpdata_command:stor;", "ftpbounce;",
      ],
      wrong: [
        "dns.opcode:^>4;", "dns.opcode:^256;", "snmp.version:^a;", "snmp.pdu_type:^>1;", "krb5_msg_type:^>1;",
        "krb5_err_code:^a;", "krb5.ticket_encryption:^foo;", "nfs_procedure:^a;", "nfs_procedure:^4<>4;",
        "nfs.version:^a;",
        "rfb.secresult:^foo;", "rfb.sectype:^a;", "ike.exchtype:^300;", "ike.chosen_sa_attribute:^alg_foo=2;",
        "ike.chosen_sa_attribute:alg_enc=^a;", "dhcp.leasetime:^a;", "ftpdata_command:^RETR;", "ftpbounce:^5;",
      ]),
    Row(
      keyword: "rpc",
      right: ["rpc:100003;", "rpc:100003,3;", "rpc: 100003 , 3 , 6;", "rpc:100003,*,6;", "rpc:100003,3,*;"],
      wrong: [
        "rpc:^*,3,6;", "rpc:^!100003;", "rpc:100003,3,6,^7;", "rpc:^0x186a3;", "rpc:^99999999999;",
        "rpc:\"^100003\";",
      ]),
    Row(
      keyword: "MQTT",
      right: [
        "mqtt.type:CONNECT;", "mqtt.flags:retain,!dup;", "mqtt.qos:2;", "mqtt.protocol_version:>3;",
        "mqtt.reason_code:0;", "mqtt.connect.flags:username,!password;", "mqtt.connack.session_present:yes;",
      ],
      wrong: [
        "mqtt.type:^FOO;", "mqtt.flags:^foo;", "mqtt.flags:dup,^dup;", "mqtt.qos:^3;", "mqtt.protocol_version:^256;",
        "mqtt.reason_code:^>5;", "mqtt.connect.flags:username,^foo;", "mqtt.connack.session_present:^1;",
      ]),
    Row(
      keyword: "HTTP/2",
      right: [
        "http2.frametype:GOAWAY;", "http2.errorcode:NO_ERROR;", "http2.priority:>5;", "http2.window:5;",
        "http2.size_update:5;", "http2.settings:SETTINGS_ENABLE_PUSH=1;", "http2.settings:SETTINGS_MAX_FRAME_SIZE>5;",
      ],
      wrong: [
        "http2.frametype:^FOO;", "http2.errorcode:^FOO;", "http2.priority:^256;", "http2.window:^a;",
        "http2.settings:^SETTINGS_FOO;", "http2.settings:SETTINGS_ENABLE_PUSH=^a;",
      ]),
    Row(
      keyword: "Modbus, DNP3, EtherNet/IP",
      right: [
        "modbus:function 1, subfunction 2;", "modbus:function !user;",
        "modbus:access write holding, address 5, value <6;",
        "modbus:unit <5, access read coils;", "dnp3_func:write;", "dnp3_func:21;", "dnp3_ind:all_stations,need_time;",
        "dnp3_obj:22,01;", "enip_command:99;", "cip_service:5,6,7;",
      ],
      wrong: [
        "modbus:^foo;", "modbus:function ^foo;", "modbus:access write ^input;", "modbus:access ^foo;",
        "modbus:^address 5;", "modbus:access read holding, address 5, ^value 6;", "dnp3_func:^foo;", "dnp3_ind:^foo;",
        "dnp3_obj:^22;", "dnp3_obj:^256,1;", "enip_command:^70000;", "cip_service:^128;", "cip_service:5,6,7,^8;",
      ]),
    Row(
      keyword: "frame",
      right: [
        #"frame:dns.pdu; content:"a";"#, #"alert mqtt any any -> any any (frame:header; content:"a";"#,
        #"frame:smb.smb2.hdr; content:"a";"#,
      ],
      wrong: [#"frame:^pdu; content:"a";"#, #"^frame:dns.pdu;"#]),
    Row(
      keyword: "checksums, icmpv6.mtu",
      right: ["ipv4-csum:valid;", "tcpv6-csum:invalid;", "alert icmpv6 any any -> any any (icmpv6.mtu:<1280;"],
      wrong: ["ipv4-csum:^foo;", #"ipv4-csum:"^valid";"#, "icmpv6.mtu:^a;"]),
  ]

  // MARK: - What they mean

  @Test func modifierMovesTheContent() throws {
    let options = try rule(#"content:"a"; http_uri; content:"b"; content:"c"; http_header; distance:1;"#).options
    let buffers = options.compactMap(\.buffer)
    #expect(buffers == [.httpURI, .payload, .httpHeader])
  }

  @Test func snortsHeaderFieldIsATransform() throws {
    let rule = try rule(#"http_header:field User-Agent; content:"a"; service:http;"#)
    #expect(contents(rule).first?.view == BufferView(.httpHeader, transforms: [.headerField(name: "user-agent")]))
    #expect(rule.servicesReplacePorts)
    #expect(rule.applicationProtocols == .http)
  }

  @Test func transformsFollowTheirBuffer() throws {
    let rule = try rule(#"http.uri; content:"A"; url_decode; to_lowercase; content:"b";"#)
    let views = contents(rule).map(\.view)
    #expect(views == [BufferView(.httpURI), BufferView(.httpURI, transforms: [.urlDecode, .toLowercase])])
  }

  @Test func buffersSayProtocolAndSide() throws {
    let request = try rule(#"http.uri; content:"a";"#)
    #expect(request.applicationProtocols == .http)
    #expect(request.side == .toServer)
    let both = try rule(#"http.header; content:"a";"#)
    #expect(both.side == nil)
    let narrowed = try rule(#"file.data; content:"a";"#, header: "alert smtp any any -> any any")
    #expect(narrowed.applicationProtocols == [.smtp])
    #expect(narrowed.ruleProtocol == .tcp)
  }

  @Test func contentsAreTurnedIntoTheBuffersCase() throws {
    let hash = try rule(#"ja3.hash; content:"0123456789ABCDEF0123456789ABCDEF";"#)
    #expect(contents(hash).first?.bytes == Array("0123456789abcdef0123456789abcdef".utf8))
    let serial = try rule(#"tls.cert_serial; content:"ab:cd";"#)
    #expect(contents(serial).first?.bytes == Array("AB:CD".utf8))
  }

  @Test func certificateTimesAreSeconds() throws {
    func time(_ text: String) throws -> NumberMatch? {
      let option = try rule("tls_cert_notbefore:\(text);").options.first
      if case .applicationNumber(.tlsCertificateNotBefore, let match)? = option { return match }
      return nil
    }
    #expect(try time("1970-01-02") == .equal(86_400))
    // 2000 was a leap year, 2100 will not be one.
    #expect(try time(">2000-03-01") == .greater(951_868_800))
    #expect(try time("<2015-10-22T23:59:59") == .less(1_445_558_399))
  }

  // MARK: - What the engine does not evaluate

  /// Reading and evaluating are two things: what reads and is not evaluated does not load, and says where.
  @Test(arguments: [
    (#"http.uri; ^content:"a";"#, "http.uri"),
    (#"content:"b"; ^flowint:ab,+,1;"#, "flowint"), (#"^app-layer-event:http.missing_host_header;"#, "app-layer-event"),
    ("^dns.opcode:1;", "dns.opcode"), ("^mqtt.flags:dup;", "mqtt.flags"),
  ])
  func unsupportedByTheEngine(_ text: String, _ named: String) throws {
    let nothing = EngineSupport(buffers: [.payload], protocols: [], features: [])
    let marked = Self.complete(text)
    let place = try #require(marked.firstIndex(of: "^"))
    let report = readRules(marked.replacing("^", with: "", maxReplacements: 1), support: nothing)
    let problem = try #require(report.problems.first)
    #expect(problem.isUnsupported)
    #expect(problem.location.column == marked.distance(from: marked.startIndex, to: place) + 1)
    #expect(problem.reason.contains(named), "\(problem)")
    #expect(readRules(marked.replacing("^", with: "", maxReplacements: 1)).problems.isEmpty)
  }

  @Test func unsupportedProtocolInTheHeader() throws {
    let nothing = EngineSupport(buffers: [.payload], protocols: [], features: [])
    let report = readRules(#"alert http any any -> any any (content:"a"; sid:1;)"#, support: nothing)
    let problem = try #require(report.problems.first)
    #expect(problem.isUnsupported)
    #expect(problem.location.column == 7)
  }

  /// Rule files that name events which cannot come here load all the same.
  @Test(arguments: [
    "decode-event:ipv6.exthdr_dupl_eh;", "decode-event:gre.version1_malformed_sre_hdr;",
    "decode-event:dce.pkt_too_small;",
    "decode-event:afpacket.trunc_pkt;", "stream-event:wrong_thread;",
    "stream-event:reassembly_urgent_oob_limit_reached;", "app-layer-event:http2.invalid_http1_settings;",
  ])
  func eventsOfStockRuleFilesLoad(_ option: String) throws {
    let program = try DetectionProgram(rules: [try rule(option)], configuration: DPIConfiguration())
    #expect(program.problems.isEmpty)
  }
}
