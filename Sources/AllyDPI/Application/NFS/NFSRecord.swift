internal import AllyPacket
internal import CZlib

/// What records say of a call: `"rpc":{…},"nfs":{…}`.
extension NFSTransaction {
  /// Clients ask for attributes all the time: that is not worth a record. What is not over at the end of a stream is recorded
  /// then; datagrams have no end.
  func recordCount(_ options: RecordOptions) -> Int {
    if conversation.version <= 3, procedure == NFS3Procedure.getAttributes { return 0 }
    return conversation.isDatagrams && !isOver ? 0 : 1
  }

  var recordSide: FlowSide? { nil }

  var recordsHaveNumber: Bool { false }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    writeCall(to: &json)
    json.key("nfs")
    json.beginObject()
    let isVersion4 = conversation.version >= 4
    json.key("version")
    json.number(conversation.version)
    json.key("procedure")
    json.string(isVersion4 ? NFSNames.operation(procedure) : NFSNames.procedure(procedure))
    json.key("filename")
    json.text(name[...])
    if !handle.isEmpty {
      json.key("hhash")
      json.string(String(NFSTransaction.checksum(handle), radix: 16))
    }
    json.key("id")
    json.number(number + 1)
    json.key("file_tx")
    json.bool(isFile)
    json.key("type")
    json.string("response")
    json.key("status")
    json.string(NFSNames.status(status))
    if !isVersion4 { writeDetails(to: &json) }
    json.endObject()
  }

  private func writeCall(to json: inout JSONWriter) {
    json.key("rpc")
    json.beginObject()
    json.key("xid")
    json.number(identifier)
    json.key("status")
    json.string(state == 0 ? "ACCEPTED" : "DENIED")
    json.key("auth_type")
    json.string(RPCFlavor.name(flavor))
    if let caller {
      json.key("creds")
      json.beginObject()
      json.key("machine_name")
      json.text(caller.machine)
      json.key("uid")
      json.number(caller.user)
      json.key("gid")
      json.number(caller.group)
      json.endObject()
    }
    json.endObject()
  }

  private func writeDetails(to json: inout JSONWriter) {
    switch procedure {
    case NFS3Procedure.read, NFS3Procedure.write:
      guard isFile else { return }
      json.key(procedure == NFS3Procedure.read ? "read" : "write")
      json.beginObject()
      json.key("first")
      json.bool(true)
      json.key("last")
      json.bool(isLast)
      json.key("last_xid")
      json.number(lastIdentifier)
      json.key("chunks")
      json.number(UInt(pieces))
      json.endObject()
    case NFS3Procedure.rename:
      json.key("rename")
      json.beginObject()
      json.key("from")
      json.text(name[...])
      json.key("to")
      json.text(newName[...])
      json.endObject()
    default: break
    }
  }

  /// Handles are told apart in records by their CRC-32.
  private static func checksum(_ handle: [UInt8]) -> UInt {
    // Read within its bounds.
    unsafe handle.withUnsafeBufferPointer { unsafe crc32(0, $0.baseAddress, UInt32($0.count)) }
  }
}
