/// `"smb":{…}`.
extension SMBTransaction {
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("smb")
    json.beginObject()
    json.key("id")
    json.number(number + 1)
    json.key("dialect")
    if conversation.dialect != 0 {
      json.string(SMBNames.dialect(conversation.dialect))
    } else {
      json.text((conversation.dialectName ?? Array("unknown".utf8))[...])
    }
    json.key("command")
    json.string(SMBNames.command(header))
    writeStatus(to: &json)
    // A negotiation comes before there is a session.
    // Nor do records have it of a file of SMB 1.
    let hasSession = !isNegotiation && !isFileOfVersion1
    json.key("session_id")
    json.number(hasSession ? header.sessionID : 0)
    json.key("tree_id")
    json.number(hasSession ? header.treeID : 0)
    writeKind(to: &json)
    json.endObject()
  }

  var recordsHaveNumber: Bool { false }

  private var isFileOfVersion1: Bool { if case .file = kind { header.version == 1 } else { false } }

  private func writeStatus(to json: inout JSONWriter) {
    guard let status, !isFileOfVersion1 else { return }
    if header.version == 1 && header.isDOSStatus && status != 0 {
      let code = status >> 16
      json.key("status")
      json.string(
        SMBNames.dosError(UInt8(truncatingIfNeeded: status), code) ?? "UNKNOWN_\(status & 0xFF)_\(code)")
      json.key("status_code")
      let digits = String(code, radix: 16)
      json.string("0x" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits)
      return
    }
    json.key("status")
    json.string(SMBNames.status(status))
    json.key("status_code")
    json.string("0x" + String(status, radix: 16))
  }

  private func writeKind(to json: inout JSONWriter) {
    switch kind {
    case .other: break
    case .negotiation(let negotiation): write(negotiation, to: &json)
    case .session(let session): write(session, to: &json)
    case .tree(let tree): write(tree, to: &json)
    case .create(let create): write(create, to: &json)
    case .file(let file):
      json.text("filename", file.name)
      json.text("share", file.share)
      identifier("fuid", file.identifier, to: &json)
    case .rename(let rename):
      if header.version == 2 {
        json.key("set_info")
        json.beginObject()
        json.key("class")
        json.string("FILE_INFO")
        json.key("info_level")
        json.string("SMB2_FILE_RENAME_INFO")
        json.endObject()
      }
      json.key("rename")
      json.beginObject()
      json.text("from", rename.from)
      json.text("to", rename.to)
      json.endObject()
      identifier("fuid", rename.identifier, to: &json)
    case .disposition(let disposition):
      json.text("filename", disposition.name)
      json.key("access")
      json.string(disposition.deletes ? "delete on close" : "normal")
      identifier("fuid", disposition.identifier, to: &json)
    case .control(let function):
      json.key("function")
      json.string(SMBNames.control(function))
    case .call(let call): write(call, to: &json)
    }
  }

  private func write(_ negotiation: Negotiation, to json: inout JSONWriter) {
    json.key("client_dialects")
    json.beginArray()
    for dialect in negotiation.dialects { json.text(dialect[...]) }
    json.endArray()
    if !negotiation.clientIdentifier.isEmpty { identifier("client_guid", negotiation.clientIdentifier, to: &json) }
    identifier("server_guid", negotiation.serverIdentifier, to: &json)
    if conversation.largestRead > 0 {
      json.key("max_read_size")
      json.number(conversation.largestRead)
    }
    if conversation.largestWrite > 0 {
      json.key("max_write_size")
      json.number(conversation.largestWrite)
    }
  }

  private func write(_ session: Session, to json: inout JSONWriter) {
    if let logon = session.logon {
      json.key("ntlmssp")
      json.beginObject()
      json.text("domain", logon.domain)
      json.text("user", logon.user)
      json.text("host", logon.host)
      if let version = logon.version {
        json.key("version")
        json.string("\(version.major).\(version.minor) build \(version.build) rev \(version.revision)")
      }
      json.endObject()
    }
    if let ticket = session.ticket {
      json.key("kerberos")
      json.beginObject()
      json.text("realm", ticket.realm)
      json.key("snames")
      json.beginArray()
      for name in ticket.serverNames { json.text(name[...]) }
      json.endArray()
      json.endObject()
    }
    for (name, systems) in [("request" as StaticString, session.request), ("response", session.response)] {
      guard let systems else { continue }
      json.key(name)
      json.beginObject()
      json.text("native_os", systems.system)
      json.text("native_lm", systems.manager)
      json.endObject()
    }
  }

  private func write(_ tree: Tree, to json: inout JSONWriter) {
    json.text(tree.kind == 2 ? "named_pipe" : "share", tree.name)
    if header.version == 1 {
      json.key("service")
      json.beginObject()
      if !tree.requestedService.isEmpty { json.text("request", tree.requestedService) }
      if !tree.service.isEmpty { json.text("response", tree.service) }
      json.endObject()
      return
    }
    let names: [StaticString] = ["", "FILE", "PIPE", "PRINT"]
    json.key("share_type")
    json.string(tree.kind >= 1 && tree.kind <= 3 ? names[Int(tree.kind)] : "UNKNOWN")
  }

  private func write(_ create: Create, to json: inout JSONWriter) {
    let name = create.name.isEmpty ? Array("<share_root>".utf8) : create.name
    json.text(create.isDirectory && !create.name.isEmpty ? "directory" : "filename", name)
    json.key("disposition")
    json.string(SMBNames.disposition(create.disposition))
    json.key("access")
    json.string(create.isDeletedOnClose ? "delete on close" : "normal")
    for (name, time) in zip(["created" as StaticString, "accessed", "modified", "changed"], create.times) {
      json.key(name)
      // Seconds since 1970; 0 for none.
      let seconds = time / 10_000_000
      json.number(seconds > 11_644_473_600 ? seconds - 11_644_473_600 : 0)
    }
    json.key("size")
    json.number(create.size)
    identifier("fuid", create.identifier, to: &json)
  }

  private func write(_ call: DCERPCCall, to json: inout JSONWriter) {
    json.key("dcerpc")
    json.beginObject()
    json.key("request")
    json.string(call.requestType?.name ?? "REQUEST_LOST")
    json.key("response")
    json.string(call.responseType?.name ?? "UNREPLIED")
    if call.requestType == .request {
      json.key("opnum")
      json.number(call.operation)
      write("req", call.request, to: &json)
    }
    let known = interfaces?.all ?? []
    // Of a call it is said when there is no choice.
    if call.requestType == .bind && !known.isEmpty || call.requestType == .request && known.count == 1 {
      json.key("interfaces")
      json.beginArray()
      for context in known {
        json.beginObject()
        context.writeName(to: &json)
        if call.requestType == .bind, let result = context.result {
          json.key("ack_result")
          json.number(result)
          json.key("ack_reason")
          json.number(context.isAccepted ? context.reason : 0)
        }
        json.endObject()
      }
      json.endArray()
    }
    if call.responseType == .response { write("res", call.response, to: &json) }
    json.key("call_id")
    json.number(call.callID)
    json.endObject()
  }

  private func write(_ name: StaticString, _ stub: DCERPCCall.Stub, to json: inout JSONWriter) {
    json.key(name)
    json.beginObject()
    json.key("frag_cnt")
    json.number(UInt64(stub.fragments))
    json.key("stub_data_size")
    json.number(UInt64(stub.size))
    json.endObject()
  }

  /// 16 bytes as a UUID, two as digits.
  private func identifier(_ name: StaticString, _ value: [UInt8], to json: inout JSONWriter) {
    json.key(name)
    json.string { text in
      switch value.count {
      case 16:
        // Suricata shows the last groups as numbers, too.
        UUIDText.append([3, 2, 1, 0, 5, 4, 7, 6, 9, 8, 11, 10, 15, 14, 13, 12].map { value[$0] }, to: &text)
      case 2: text.appendHexadecimal([value[1], value[0]][...])
      default: break
      }
    }
  }
}
