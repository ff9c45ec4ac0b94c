internal import AllyPacket

/// Writes EVE records: one JSON object each, with Suricata's field names, types and order.
struct EVEWriter: ~Copyable {
  /// The packet that a record is about.
  struct Subject: ~Escapable {
    let packet: DecodedPacket
    /// What the packet's offsets count in.
    let bytes: RawSpan
    /// What stood before a datagram that was put together from fragments; empty when `bytes` hold their own link header.
    let linkHeader: RawSpan
    let stamp: FrameStamp
    let side: FlowSide
    /// The packet around this one, when it came in a tunnel.
    let outer: DecodedPacket?

    @_lifetime(copy bytes, copy linkHeader)
    init(
      packet: DecodedPacket, bytes: RawSpan, linkHeader: RawSpan, stamp: FrameStamp, side: FlowSide,
      outer: DecodedPacket?
    ) {
      self.packet = packet
      self.bytes = bytes
      self.linkHeader = linkHeader
      self.stamp = stamp
      self.side = side
      self.outer = outer
    }
  }

  var program: DetectionProgram
  let configuration: DPIConfiguration
  let sink: any RecordSink
  var json = JSONWriter()
  /// What rules noted about the flow that records are about.
  var notes: FlowNotes?
  /// The hardware addresses of the flow that records are about.
  var hardware: HardwareAddressTable.Addresses?

  init(program: DetectionProgram, configuration: DPIConfiguration, sink: any RecordSink) {
    self.program = program
    self.configuration = configuration
    self.sink = sink
  }

  mutating func submit() {
    // The bytes are only read.
    unsafe sink.write(record: json.bytes.span.bytes)
  }

  // MARK: alert

  /// - Parameters:
  ///   - data: the payload, or the stream data, that the rule matched in.
  ///   - flow: nil for a packet without a flow.
  mutating func writeAlert(
    _ match: Detector.Match, isDropped: Bool, data: RawSpan, flow: Flow?, _ session: ApplicationSession?,
    about subject: borrowing Subject
  ) {
    let transaction = transaction(of: match, isDatagram: subject.packet.transport == .udp, in: session)
    var forwarded: [UInt8]? = nil
    if let options = configuration.recordOptions.forwarded, let transaction {
      forwarded = ForwardedAddress.text(of: transaction, options)
    }
    let overwrites = configuration.recordOptions.forwarded?.overwrites == true
    beginRecord(
      "alert", flow: flow, about: subject,
      clientAddress: overwrites ? forwarded.flatMap { IPAddressText.address($0[...]) } : nil)
    if let transaction {
      json.key("tx_id")
      json.number(transaction.number)
      if match.transaction == Detector.Match.noTransaction && match.isStream {
        json.key("tx_guessed")
        json.bool(true)
      }
    }
    alert(match, isDropped: isDropped, about: subject, forwarded: overwrites ? nil : forwarded)
    let options = configuration.recordOptions.alert
    if options.application, let transaction {
      transaction.writeAlertFields(to: &json, configuration.recordOptions)
      if match.transaction != Detector.Match.noTransaction || match.isStream { files(of: transaction, subject.side) }
    }
    if let flow { applicationProtocol(of: flow) }
    if let outer = subject.outer { tunnel(outer, subject) }
    if flow != nil { direction(subject.side) }
    if options.flow, let flow { flowSoFar(flow) }
    if subject.packet.ipVersion != 0 && (options.payload || options.payloadPrintable) {
      if !match.isStream || data.byteCount > 0 { payload(data, options) }
      json.key("stream")
      json.number(match.isStream ? 1 as UInt8 : 0)
    }
    if match.frame != 0, let session, let frame = session.frames?.frame(match.frame, from: subject.side) {
      self.frame(frame, session)
    }
    if options.packet { packet(subject) }
    if options.verdict { verdict(isDropped: isDropped, match.actions) }
    json.endObject()
    submit()
  }

  private mutating func payload(_ data: RawSpan, _ options: RecordOptions.Alert) {
    if options.payload && data.byteCount > 0 {
      json.key("payload")
      json.base64(data)
    }
    if options.payloadPrintable {
      json.key("payload_printable")
      json.printable(data)
    }
  }

  /// `"verdict":{…}`: what becomes of the packet.
  private mutating func verdict(isDropped: Bool, _ actions: Actions) {
    json.key("verdict")
    json.beginObject()
    json.key("action")
    json.string(isDropped && configuration.isInline ? "drop" : actions.contains(.pass) ? "pass" : "alert")
    if isDropped && configuration.isInline && actions.contains(.reject) {
      json.key("reject-target")
      json.string("to_client")
    }
    json.endObject()
  }

  mutating func alert(
    _ match: Detector.Match, isDropped: Bool, about subject: borrowing Subject, forwarded: [UInt8]? = nil
  ) {
    let record = program.record(of: match.signature)
    json.key("alert")
    json.beginObject()
    json.key("action")
    let isBlocked =
      match.isReplaced
      ? isDropped
      : match.actions.contains(.reject) || match.actions.contains(.drop) && configuration.isInline
    json.string(isBlocked ? "blocked" : "allowed")
    json.key("gid")
    json.number(record.gid)
    json.key("signature_id")
    json.number(record.sid)
    json.key("rev")
    json.number(record.rev)
    json.key("signature")
    json.string(record.message)
    json.key("category")
    json.string(record.category)
    json.key("severity")
    json.number(record.severity)
    if let target = record.target, subject.packet.ipVersion != 0 { endpoints(target, subject.packet) }
    if configuration.recordOptions.alert.ruleMetadata && !record.metadata.isEmpty {
      json.key("metadata")
      json.beginObject()
      for (key, values) in record.metadata {
        json.key(key)
        json.beginArray()
        for value in values { json.string(value) }
        json.endArray()
      }
      json.endObject()
    }
    if let forwarded {
      json.key("xff")
      json.text(forwarded[...])
    }
    if configuration.recordOptions.alert.ruleReferences && !record.references.isEmpty {
      json.key("references")
      json.beginArray()
      for reference in record.references { json.string(reference) }
      json.endArray()
    }
    if configuration.recordOptions.alert.ruleText {
      json.key("rule")
      json.string(record.text)
    }
    json.endObject()
  }

  /// The transaction that a rule matched in. Of one that matched in the stream, or in a datagram of its application, the newest is as
  /// good a guess as any.
  private func transaction(of match: Detector.Match, isDatagram: Bool, in session: ApplicationSession?)
    -> (any ApplicationTransaction)?
  {
    guard let session else { return nil }
    if match.transaction != Detector.Match.noTransaction { return session.transaction(match.transaction) }
    guard match.frame == 0, session.parser.transactionCount > 0,
      match.isStream || isDatagram && program.record(of: match.signature).isOfApplication
    else { return nil }
    return session.parser.transaction(at: session.parser.transactionCount - 1)
  }

  /// Whether it speaks nothing that is known: of datagrams, the first side that says something decides.
  func hasNoApplication(_ flow: Flow) -> Bool {
    flow.ipProtocol == IPProtocolNumber.udp
      ? !flow.flags.isDisjoint(with: .noApplication) : flow.flags.isSuperset(of: .noApplication)
  }

  mutating func applicationProtocol(of flow: Flow) {
    var place = flow.protocolNumber
    if place == ApplicationParsers.none && hasNoApplication(flow) {
      place = ApplicationParsers.failed
    }
    applicationProtocol("app_proto", place)
    applicationProtocol("app_proto_orig", flow.protocols.original)
    applicationProtocol("app_proto_expected", flow.protocols.expected)
    if place == ApplicationParsers.failed { return }
    if flow.protocols.toServer != place { applicationProtocol("app_proto_ts", flow.protocols.toServer) }
    if flow.protocols.toClient != place { applicationProtocol("app_proto_tc", flow.protocols.toClient) }
  }

  mutating func applicationProtocol(_ key: StaticString, _ place: UInt8) {
    guard let name = ApplicationParsers.name(at: place) else { return }
    json.key(key)
    json.string(name)
  }

  mutating func files(of transaction: any ApplicationTransaction, _ side: FlowSide) {
    guard transaction.files.contains(where: { $0.side == side }) else { return }
    json.key("files")
    json.beginArray()
    for file in transaction.files where file.side == side {
      json.beginObject()
      file.writeFields(transaction: transaction.number, rules: program, to: &json)
      json.endObject()
    }
    json.endArray()
  }

  // MARK: transactions

  /// `http`, `dns`, …: a transaction that is complete.
  mutating func writeTransaction(
    _ transaction: any ApplicationTransaction, _ session: ApplicationSession, flow: Flow,
    about subject: borrowing Subject
  ) {
    for index in 0..<transaction.recordCount(configuration.recordOptions) {
      beginRecord(
        ApplicationParsers.all[Int(session.index)].recordType, flow: flow, from: transaction.recordSide, about: subject)
      transaction.writeRecord(index, to: &json, configuration.recordOptions)
      json.endObject()
      submit()
    }
  }

  /// `fileinfo`: a file that was transferred; its sender is the source.
  mutating func writeFile(
    _ file: TransferredFile, of transaction: any ApplicationTransaction, _ session: ApplicationSession, flow: Flow,
    about subject: borrowing Subject
  ) {
    beginRecord("fileinfo", flow: flow, from: file.side, about: subject)
    if ApplicationParsers.all[Int(session.index)].describesFiles {
      transaction.writeFields(to: &json, configuration.recordOptions)
    }
    applicationProtocol("app_proto", session.index)
    json.key("fileinfo")
    json.beginObject()
    file.writeFields(transaction: transaction.number, rules: program, to: &json)
    json.endObject()
    json.endObject()
    submit()
  }

  /// `target`: who attacks and who is attacked.
  private mutating func endpoints(_ target: Rule.Target, _ packet: DecodedPacket) {
    let source = (address: packet.source, port: packet.sourcePort)
    let destination = (address: packet.destination, port: packet.destinationPort)
    let (attacker, victim) = target == .destination ? (source, destination) : (destination, source)
    for (name, side) in [("source" as StaticString, attacker), ("target", victim)] {
      json.key(name)
      json.beginObject()
      json.key("ip")
      json.string { $0.appendAddress(side.address) }
      if packet.hasPorts {
        json.key("port")
        json.number(side.port)
      }
      json.endObject()
    }
  }

  private mutating func tunnel(_ outer: DecodedPacket, _ subject: borrowing Subject) {
    json.key("tunnel")
    json.beginObject()
    json.key("src_ip")
    json.string { $0.appendAddress(outer.source) }
    json.key("src_port")
    json.number(outer.sourcePort)
    json.key("dest_ip")
    json.string { $0.appendAddress(outer.destination) }
    json.key("dest_port")
    json.number(outer.destinationPort)
    json.key("proto")
    json.string { $0.appendProtocol(outer.recordedProtocol) }
    json.key("depth")
    json.number(subject.packet.origin == .defragmented ? outer.depth : subject.packet.depth)
    if subject.stamp.ordinal > 0 {
      json.key("pcap_cnt")
      json.number(subject.stamp.ordinal)
    }
    json.key("pkt_src")
    json.string(outer.origin.name)
    json.endObject()
  }

  /// `packet`: one that follows an alert of a rule with `tag`.
  mutating func writeTaggedPacket(flow: Flow?, about subject: borrowing Subject) {
    beginRecord("packet", flow: flow, about: subject)
    packet(subject)
    json.endObject()
    submit()
  }

  // MARK: drop

  mutating func writeDrop(
    _ reason: Detector.DropReason, match: Detector.Match?, flow: Flow?, about subject: borrowing Subject
  ) {
    let packet = subject.packet
    beginRecord("drop", flow: flow, about: subject)
    if flow != nil { direction(subject.side) }
    json.key("drop")
    json.beginObject()
    let length = UInt64(packet.networkEnd &- packet.networkOffset)
    if packet.ipVersion == 4 {
      json.key("len")
      json.number(length)
      json.key("tos")
      json.number(packet.trafficClass)
      json.key("ttl")
      json.number(packet.hopLimit)
      json.key("ipid")
      json.number(packet.fragment.identification)
    } else if packet.ipVersion == 6 {
      json.key("len")
      json.number(length < 40 ? 0 : length - 40)
      json.key("tc")
      json.number(packet.trafficClass)
      json.key("hoplimit")
      json.number(packet.hopLimit)
      json.key("flowlbl")
      json.number(packet.flowLabel(bytes: subject.bytes))
    }
    if packet.transport == .tcp {
      segment(packet)
    } else if packet.transport == .udp {
      json.key("udplen")
      json.number(packet.payloadLength &+ 8)
    } else if packet.hasICMP && packet.transport == .icmpv4 {
      // Records have both as they are on the wire, read by a little-endian machine.
      json.key("icmp_id")
      json.number(packet.icmp.identifier.byteSwapped)
      json.key("icmp_seq")
      json.number(packet.icmp.sequence.byteSwapped)
    }
    json.key("reason")
    json.string(reason.name)
    json.endObject()
    if configuration.recordOptions.drop.alerts, let match { alert(match, isDropped: true, about: subject) }
    if configuration.recordOptions.drop.verdict { verdict(isDropped: true, match?.actions ?? .drop) }
    json.endObject()
    submit()
  }

  private mutating func segment(_ packet: DecodedPacket) {
    json.key("tcpseq")
    json.number(packet.tcp.sequence)
    json.key("tcpack")
    json.number(packet.tcp.acknowledgement)
    json.key("tcpwin")
    json.number(packet.tcp.window)
    flag("syn", TCPFlag.syn, packet)
    flag("ack", TCPFlag.ack, packet)
    flag("psh", TCPFlag.push, packet)
    flag("rst", TCPFlag.rst, packet)
    flag("urg", TCPFlag.urgent, packet)
    flag("fin", TCPFlag.fin, packet)
    json.key("tcpres")
    json.number(0 as UInt8)
    json.key("tcpurgp")
    json.number(packet.tcp.urgentPointer)
  }

  private mutating func flag(_ name: StaticString, _ flag: UInt8, _ packet: DecodedPacket) {
    json.key(name)
    json.bool(packet.tcp.flags & flag != 0)
  }

  // MARK: anomaly

  /// - Parameters:
  ///   - type: `decode` or `stream`.
  ///   - event: the event's name, with its origin before it (`decoder.`, `stream.`).
  ///   - showsPacket: with the packet's first bytes.
  mutating func writeAnomaly(
    _ type: StaticString, origin: StaticString, event: StaticString, flow: Flow?, showsPacket: Bool = false,
    about subject: borrowing Subject
  ) {
    beginRecord("anomaly", flow: flow, about: subject)
    json.key("anomaly")
    json.beginObject()
    json.key("type")
    json.string(type)
    json.key("event")
    json.string {
      $0.appendText(origin)
      $0.appendText(event)
    }
    json.endObject()
    if showsPacket { self.packet(subject, atMost: 32) }
    json.endObject()
    submit()
  }

  /// `anomaly` of an application: one for each event of a transaction.
  mutating func writeAnomaly(
    _ event: StaticString, of transaction: any ApplicationTransaction, _ session: ApplicationSession, flow: Flow,
    about subject: borrowing Subject
  ) {
    beginRecord("anomaly", flow: flow, about: subject)
    json.key("tx_id")
    json.number(transaction.number)
    json.key("anomaly")
    json.beginObject()
    json.key("app_proto")
    json.string(ApplicationParsers.all[Int(session.index)].recordName)
    json.key("type")
    json.string("applayer")
    json.key("event")
    if ApplicationParsers.all[Int(session.index)].capitalizesEvents { capitals(event) } else { json.string(event) }
    json.key("layer")
    json.string("proto_parser")
    json.endObject()
    json.endObject()
    submit()
  }

  /// `anomaly` of protocol detection.
  mutating func writeAnomalies(_ events: DetectionEventSet, flow: Flow, about subject: borrowing Subject) {
    if events.isEmpty { return }
    for event in DetectionEvent.allCases where events.contains(event) {
      beginRecord("anomaly", flow: flow, about: subject)
      json.key("anomaly")
      json.beginObject()
      if flow.protocolNumber != ApplicationParsers.failed { applicationProtocol("app_proto", flow.protocolNumber) }
      json.key("type")
      json.string("applayer")
      json.key("event")
      capitals(event.name)
      json.key("layer")
      json.string("proto_detect")
      json.endObject()
      json.endObject()
      submit()
    }
  }

  private mutating func capitals(_ name: StaticString) {
    json.string { text in
      name.withUTF8Buffer { name in
        for index in 0..<name.count {
          let byte = unsafe name[index]
          text.append(byte &- 0x61 < 26 ? byte & 0xDF : byte)
        }
      }
    }
  }

  // MARK: what all have in common

  /// - Parameters:
  ///   - type: of the event.
  ///   - flow: nil for a packet without a flow.
  ///   - side: whose address is the source: the packet's sender, unless this names a side of the flow.
  ///   - subject: the packet.
  ///   - clientAddress: stands for the client's address.
  mutating func beginRecord(
    _ type: StaticString, flow: Flow?, from side: FlowSide? = nil, about subject: borrowing Subject,
    clientAddress: IPAddress? = nil
  ) {
    var packet = subject.packet
    if let clientAddress {
      if subject.side == .toServer { packet.source = clientAddress } else { packet.destination = clientAddress }
    }
    let isSwapped = side.map { $0 != subject.side } ?? false
    if isSwapped { packet.swapEnds() }
    json.reset()
    json.beginObject()
    json.key("timestamp")
    json.string { $0.appendTimestamp(subject.stamp.time) }
    if let flow {
      json.key("flow_id")
      json.number(flow.identifier)
      parent(of: flow)
    }
    // A packet from a tunnel was not itself on the wire; `tunnel` says which frame brought it.
    if subject.outer == nil && subject.stamp.ordinal > 0 {
      json.key("pcap_cnt")
      json.number(subject.stamp.ordinal)
    }
    json.key("event_type")
    json.string(type)
    if packet.vlanCount > 0 { vlans(packet.vlans.0, packet.vlans.1, packet.vlans.2) }
    if packet.ipVersion != 0 { tuple(packet) }
    securityAssociation(subject)
    json.key("pkt_src")
    json.string(packet.origin.name)
    if let flow { commonOptions(flow) }
    if configuration.recordOptions.ethernet { hardwareAddresses(subject, isSwapped: isSwapped) }
    if let name = configuration.recordOptions.captureName {
      json.key("pcap_filename")
      json.string(name)
    }
  }

  mutating func parent(of flow: Flow) {
    if flow.parent == 0 { return }
    json.key("parent_id")
    json.number(flow.parent)
  }

  /// `"ether":{…}`, of a frame that has them (IEEE 802.3 §3.2).
  private mutating func hardwareAddresses(_ subject: borrowing Subject, isSwapped: Bool) {
    guard subject.stamp.linkType == .ethernet, subject.packet.origin != .flowEnd else { return }
    let header = subject.linkHeader.byteCount >= 12 ? subject.linkHeader : subject.bytes
    guard let addresses = Window<12>(header, at: 0) else { return }
    let destination = UInt64(addresses.u32(0)) << 16 | UInt64(addresses.u16(4))
    let source = UInt64(addresses.u16(6)) << 32 | UInt64(addresses.u32(8))
    json.key("ether")
    json.beginObject()
    json.key("src_mac")
    json.string { $0.appendHardwareAddress(isSwapped ? destination : source) }
    json.key("dest_mac")
    json.string { $0.appendHardwareAddress(isSwapped ? source : destination) }
    json.endObject()
  }

  private mutating func tuple(_ packet: DecodedPacket) {
    json.key("src_ip")
    json.string { $0.appendAddress(packet.source) }
    if packet.hasPorts {
      json.key("src_port")
      json.number(packet.sourcePort)
    }
    json.key("dest_ip")
    json.string { $0.appendAddress(packet.destination) }
    if packet.hasPorts {
      json.key("dest_port")
      json.number(packet.destinationPort)
    }
    json.key("proto")
    json.string { $0.appendProtocol(packet.recordedProtocol) }
    if packet.hasICMP {
      json.key("icmp_type")
      json.number(packet.icmp.type)
      json.key("icmp_code")
      json.number(packet.icmp.code)
    }
  }

  private mutating func securityAssociation(_ subject: borrowing Subject) {
    guard let spi = subject.packet.securityParametersIndex(bytes: subject.bytes) else { return }
    json.key("spi")
    json.number(spi)
  }

  mutating func vlans(_ first: UInt16, _ second: UInt16, _ third: UInt16) {
    guard first != 0 || second != 0 else { return }
    json.key("vlan")
    json.beginArray()
    for vlan in [first, second, third] where vlan != 0 { json.number(vlan) }
    json.endArray()
  }

  private mutating func direction(_ side: FlowSide) {
    json.key("direction")
    json.string(side == .toServer ? "to_server" : "to_client")
  }

  /// The packet's bytes, from the link header where there is one.
  mutating func packet(_ subject: borrowing Subject, atMost limit: Int = .max) {
    let packet = subject.packet
    let isFrame = packet.depth == 0 && packet.buffer == 0
    let range = isFrame ? 0..<subject.bytes.byteCount : Int(packet.linkOffset)..<Int(packet.networkEnd)
    guard range.lowerBound <= range.upperBound, range.upperBound <= subject.bytes.byteCount else { return }
    json.key("packet")
    let link = subject.linkHeader.extracting(first: limit)
    json.base64(link, then: subject.bytes.extracting(range).extracting(first: limit - link.byteCount))
    json.key("packet_info")
    json.beginObject()
    json.key("linktype")
    // 12 is what the number for raw IP is on the machines that capture.
    let isRaw = subject.outer != nil && packet.origin != .defragmented || subject.stamp.linkType == .raw
    json.number(isRaw ? 12 : subject.stamp.linkType.rawValue)
    json.endObject()
  }
}

extension DecodedPacket {
  /// The protocol in records: a fragment of IPv6 is one, as long as nothing behind its header can be read (RFC 8200 §4.5).
  var recordedProtocol: UInt8 {
    let isFragment = ipVersion == 6 && fragment.headerOffset != 0 && transport == .none && origin != .defragmented
    return isFragment ? 44 : ipProtocol
  }

  /// Whether records carry its ports.
  var hasPorts: Bool {
    switch recordedProtocol {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.sctp: true
    default: false
    }
  }

  /// The flow label of an IPv6 header (RFC 8200 §3).
  func flowLabel(bytes: RawSpan) -> UInt32 {
    guard ipVersion == 6, let header = Window<4>(bytes, at: Int(networkOffset)) else { return 0 }
    return header.u32(0) & 0xF_FFFF
  }
}

extension Flow {
  var hasPorts: Bool {
    ipProtocol == IPProtocolNumber.tcp || ipProtocol == IPProtocolNumber.udp || ipProtocol == IPProtocolNumber.sctp
  }
}
