internal import AllyPacket

/// Records of flows that ended: `flow` and `netflow`.
extension EVEWriter {
  /// A flow that ended.
  ///
  /// - Parameter time: of the record: the clock of the traffic.
  mutating func writeFlow(_ flow: Flow, at time: UInt64) {
    beginFlowRecord("flow", flow, .toServer, showsReply: true, at: time)
    applicationProtocol(of: flow)
    json.key("flow")
    json.beginObject()
    counters(flow, isWhole: true)
    json.key("end")
    json.string { $0.appendTimestamp(flow.lastTime) }
    json.key("age")
    json.number(flow.age)
    if flow.flags.contains(.bypassed) {
      json.key("bypass")
      json.string("local")
    }
    json.key("state")
    json.string(flow.stateName)
    json.key("reason")
    json.string(flow.ending.name)
    json.key("alerted")
    json.bool(flow.flags.contains(.alerted))
    if flow.flags.contains(.drop) {
      json.key("action")
      json.string("drop")
    } else if flow.flags.contains(.pass) {
      json.key("action")
      json.string("pass")
    }
    json.endObject()
    if flow.ipProtocol == IPProtocolNumber.tcp { connection(of: flow) }
    json.endObject()
    submit()
  }

  /// `"tcp":{…}`: what a connection came to.
  private mutating func connection(of flow: Flow) {
    json.key("tcp")
    json.beginObject()
    json.key("tcp_flags")
    flags(flow.tcpFlagsToServer | flow.tcpFlagsToClient)
    json.key("tcp_flags_ts")
    flags(flow.tcpFlagsToServer)
    json.key("tcp_flags_tc")
    flags(flow.tcpFlagsToClient)
    flagNames(flow.tcpFlagsToServer | flow.tcpFlagsToClient)
    if flow.tcpState != .none {
      json.key("state")
      json.string(flow.tcpState.name)
      if flow.hasGapToServer {
        json.key("ts_gap")
        json.bool(true)
      }
      if flow.hasGapToClient {
        json.key("tc_gap")
        json.bool(true)
      }
      // Each side's data lies in one piece of memory, whatever comes.
      json.key("ts_max_regions")
      json.number(1 as UInt8)
      json.key("tc_max_regions")
      json.number(1 as UInt8)
    }
    json.endObject()
  }

  /// Two hexadecimal digits.
  private mutating func flags(_ flags: UInt8) {
    json.string {
      $0.append(hexadecimalDigit(flags >> 4))
      $0.append(hexadecimalDigit(flags & 15))
    }
  }

  /// Those that are set, by name (RFC 9293 §3.1).
  private mutating func flagNames(_ flags: UInt8) {
    let names: [(flag: UInt8, name: StaticString)] = [
      (TCPFlag.syn, "syn"), (TCPFlag.fin, "fin"), (TCPFlag.rst, "rst"), (TCPFlag.push, "psh"), (TCPFlag.ack, "ack"),
      (TCPFlag.urgent, "urg"), (0x40, "ecn"), (0x80, "cwr"),
    ]
    for (flag, name) in names where flags & flag != 0 {
      json.key(name)
      json.bool(true)
    }
  }

  // MARK: netflow

  /// A flow that ended: a record for what the client sent, and one for what the server sent.
  mutating func writeNetflows(_ flow: Flow, at time: UInt64) {
    writeNetflow(flow, .toServer, at: time)
    if flow.packetsToClient > 0 { writeNetflow(flow, .toClient, at: time) }
  }

  private mutating func writeNetflow(_ flow: Flow, _ side: FlowSide, at time: UInt64) {
    let isRequest = side == .toServer
    beginFlowRecord("netflow", flow, side, showsReply: false, at: time)
    // Each side has what it was found to speak itself.
    let own = flow.protocols[side] == ApplicationParsers.none ? flow.protocolNumber : flow.protocols[side]
    let hasFailed = own == ApplicationParsers.none && hasNoApplication(flow)
    json.key("app_proto")
    json.string(ApplicationParsers.name(at: hasFailed ? ApplicationParsers.failed : own) ?? "unknown")
    json.key("netflow")
    json.beginObject()
    json.key("pkts")
    json.number(isRequest ? flow.packetsToServer : flow.packetsToClient)
    json.key("bytes")
    json.number(isRequest ? flow.bytesToServer : flow.bytesToClient)
    json.key("start")
    json.string { $0.appendTimestamp(flow.firstTime) }
    json.key("end")
    json.string { $0.appendTimestamp(flow.lastTime) }
    json.key("age")
    json.number(flow.age)
    json.key("min_ttl")
    json.number(isRequest ? flow.hopLimits.leastToServer : flow.hopLimits.leastToClient)
    json.key("max_ttl")
    json.number(isRequest ? flow.hopLimits.mostToServer : flow.hopLimits.mostToClient)
    json.endObject()
    if flow.ipProtocol == IPProtocolNumber.tcp {
      let flags = isRequest ? flow.tcpFlagsToServer : flow.tcpFlagsToClient
      json.key("tcp")
      json.beginObject()
      json.key("tcp_flags")
      self.flags(flags)
      flagNames(flags)
      json.endObject()
    }
    json.endObject()
    submit()
  }

  /// The flow's counters at the time of an alert, and its endpoints.
  mutating func flowSoFar(_ flow: Flow) {
    json.key("flow")
    json.beginObject()
    counters(flow, isWhole: false)
    json.key("src_ip")
    json.string { $0.appendAddress(flow.client) }
    json.key("dest_ip")
    json.string { $0.appendAddress(flow.server) }
    if flow.hasPorts {
      json.key("src_port")
      json.number(flow.clientPort)
      json.key("dest_port")
      json.number(flow.serverPort)
    }
    json.endObject()
  }

  /// What went by without coming here: nothing does.
  private mutating func writeBypassed() {
    json.key("bypassed")
    json.beginObject()
    for name in ["pkts_toserver" as StaticString, "pkts_toclient", "bytes_toserver", "bytes_toclient"] {
      json.key(name)
      json.number(0 as UInt8)
    }
    json.endObject()
  }

  /// - Parameter isWhole: the flow has ended.
  private mutating func counters(_ flow: Flow, isWhole: Bool) {
    json.key("pkts_toserver")
    json.number(flow.packetsToServer)
    json.key("pkts_toclient")
    json.number(flow.packetsToClient)
    json.key("bytes_toserver")
    json.number(flow.bytesToServer)
    json.key("bytes_toclient")
    json.number(flow.bytesToClient)
    if flow.flags.contains(.bypassed) && isWhole { writeBypassed() }
    json.key("start")
    json.string { $0.appendTimestamp(flow.firstTime) }
  }

  /// What records of flows begin with.
  private mutating func beginFlowRecord(
    _ type: StaticString, _ flow: Flow, _ side: FlowSide, showsReply: Bool, at time: UInt64
  ) {
    json.reset()
    json.beginObject()
    json.key("timestamp")
    json.string { $0.appendTimestamp(time) }
    json.key("flow_id")
    json.number(flow.identifier)
    parent(of: flow)
    json.key("event_type")
    json.string(type)
    vlans(UInt16(truncatingIfNeeded: flow.vlan), UInt16(truncatingIfNeeded: flow.vlan >> 16), 0)
    let hasPorts = flow.hasPorts
    let isRequest = side == .toServer
    json.key("src_ip")
    json.string { $0.appendAddress(isRequest ? flow.client : flow.server) }
    if hasPorts {
      json.key("src_port")
      json.number(isRequest ? flow.clientPort : flow.serverPort)
    }
    json.key("dest_ip")
    json.string { $0.appendAddress(isRequest ? flow.server : flow.client) }
    if hasPorts {
      json.key("dest_port")
      json.number(isRequest ? flow.serverPort : flow.clientPort)
    }
    json.key("proto")
    json.string { $0.appendProtocol(flow.ipProtocol) }
    if flow.ipProtocol == IPProtocolNumber.icmp || flow.ipProtocol == IPProtocolNumber.icmpv6 {
      json.key("icmp_type")
      json.number(isRequest ? flow.icmp.type : flow.icmp.replyType)
      json.key("icmp_code")
      json.number(isRequest ? flow.icmp.code : flow.icmp.replyCode)
      // Each side's own record has its own message alone.
      if showsReply && flow.packetsToClient > 0 {
        json.key("response_icmp_type")
        json.number(flow.icmp.replyType)
        json.key("response_icmp_code")
        json.number(flow.icmp.replyCode)
      }
    }
    if flow.securityParametersIndex != 0 {
      json.key("spi")
      json.number(flow.securityParametersIndex)
    }
    if let hardware { hardwareAddresses(of: hardware, from: side) }
    commonOptions(flow)
  }
}

extension Flow {
  /// Its state as records say it.
  var stateName: StaticString { flags.contains(.bypassed) ? "bypassed" : state.name }

  /// Whole seconds from the first packet to the last, as clocks show them.
  var age: UInt64 { lastTime / 1_000_000_000 &- min(firstTime, lastTime) / 1_000_000_000 }
}

extension Flow.State {
  /// As records say it.
  var name: StaticString {
    switch self {
    case .new: "new"
    case .established: "established"
    case .closed: "closed"
    }
  }
}

extension Flow.Ending {
  /// As records say it.
  var name: StaticString {
    switch self {
    case .none, .timeout: "timeout"
    case .evicted: "forced"
    case .reused: "tcp_reuse"
    case .shutdown: "shutdown"
    }
  }
}

extension TCPConnection.State {
  /// As records say it.
  var name: StaticString {
    switch self {
    case .none: "none"
    case .synSent: "syn_sent"
    case .synReceived: "syn_recv"
    case .established: "established"
    case .finWait1: "fin_wait1"
    case .finWait2: "fin_wait2"
    case .timeWait: "time_wait"
    case .lastACK: "last_ack"
    case .closeWait: "close_wait"
    case .closing: "closing"
    case .closed: "closed"
    }
  }
}
