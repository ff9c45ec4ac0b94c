internal import AllyPacket

/// Records as Suricata 7 writes them: version 2, with answers both in detail and grouped by type.
extension DNSTransaction {
  /// One for each question of a query, one for an answer.
  func recordCount(_ options: RecordOptions) -> Int {
    guard let message else { return 0 }
    if message.isResponse {
      guard options.dns.responses else { return 0 }
      return message.questions.isEmpty || message.questions.contains { isWanted($0, options) } ? 1 : 0
    }
    return options.dns.requests ? message.questions.count { isWanted($0, options) } : 0
  }

  private func isWanted(_ question: DNSMessage.Question, _ options: RecordOptions) -> Bool {
    options.dns.types.isEmpty || options.dns.types.contains(name(of: question.type).lowercased())
  }

  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    guard let message else { return }
    json.key("dns")
    json.beginObject()
    json.key("version")
    json.number(2 as UInt8)
    if message.isResponse {
      writeAnswerHeader(message, to: &json)
      if !message.answers.isEmpty {
        if options.dns.detailed {
          json.key("answers")
          writeDetails(message.answers, to: &json)
        }
        if options.dns.grouped { writeGroups(message.answers, to: &json) }
      }
      writeAuthorities(message, to: &json)
    } else {
      // The questions whose type is not recorded do not count.
      let wanted = message.questions.indices.filter { isWanted(message.questions[$0], options) }
      if index < wanted.count { writeQuestion(message, wanted[index], to: &json) }
    }
    json.endObject()
  }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    guard let message else { return }
    json.key("dns")
    json.beginObject()
    json.key("version")
    json.number(2 as UInt8)
    if message.isResponse {
      json.key("answer")
      json.beginObject()
      json.key("version")
      json.number(2 as UInt8)
      writeAnswerHeader(message, to: &json)
      writeAuthorities(message, to: &json)
      json.endObject()
    } else {
      json.key("query")
      json.beginArray()
      for index in message.questions.indices {
        json.beginObject()
        writeQuestion(message, index, to: &json)
        json.endObject()
      }
      json.endArray()
    }
    json.endObject()
  }

  private func writeQuestion(_ message: DNSMessage, _ index: Int, to json: inout JSONWriter) {
    json.key("type")
    json.string("query")
    json.key("id")
    json.number(message.identifier)
    write("rrname", message.questions[index].name, to: &json)
    json.key("rrtype")
    json.string(name(of: message.questions[index].type))
    json.key("tx_id")
    json.number(number)
    if message.flags & 0x0040 != 0 {
      json.key("z")
      json.bool(true)
    }
    json.key("opcode")
    json.number(message.operationCode)
  }

  /// A name, and whether it is cut.
  private func write(_ key: StaticString, _ name: DNSName, to json: inout JSONWriter) {
    json.key(key)
    json.text(name.text[...])
    if name.isCut {
      json.key("\(key)_truncated")
      json.bool(true)
    }
  }

  private func writeAnswerHeader(_ message: DNSMessage, to json: inout JSONWriter) {
    json.key("type")
    json.string("answer")
    json.key("id")
    json.number(message.identifier)
    json.key("flags")
    json.string(String(message.flags, radix: 16))
    for (bit, name) in [
      (0x8000 as UInt16, "qr" as StaticString), (0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra"),
      (0x0040, "z"),
    ] where message.flags & bit != 0 {
      json.key(name)
      json.bool(true)
    }
    json.key("opcode")
    json.number(message.operationCode)
    if let question = message.questions.first {
      write("rrname", question.name, to: &json)
      json.key("rrtype")
      json.string(name(of: question.type))
    }
    json.key("rcode")
    json.string(responseName(message.responseCode))
  }

  private func writeAuthorities(_ message: DNSMessage, to json: inout JSONWriter) {
    guard !message.authorities.isEmpty else { return }
    json.key("authorities")
    writeDetails(message.authorities, to: &json)
  }

  private func writeDetails(_ records: [DNSMessage.Record], to json: inout JSONWriter) {
    json.beginArray()
    for record in records {
      json.beginObject()
      write("rrname", record.name, to: &json)
      json.key("rrtype")
      json.string(name(of: record.type))
      json.key("ttl")
      json.number(record.timeToLive)
      switch record.data {
      case .address, .name, .text:
        json.key("rdata")
        writeValue(record.data, to: &json)
        if case .name(let name) = record.data, name.isCut {
          json.key("rdata_truncated")
          json.bool(true)
        }
      case .startOfAuthority:
        json.key("soa")
        writeValue(record.data, to: &json)
      case .service:
        json.key("srv")
        writeValue(record.data, to: &json)
      case .fingerprint:
        json.key("sshfp")
        writeValue(record.data, to: &json)
      case .other: break
      }
      json.endObject()
    }
    json.endArray()
  }

  /// The values of each type together.
  private func writeGroups(_ records: [DNSMessage.Record], to json: inout JSONWriter) {
    let known: Set<UInt16> = [1, 28, 15, 16, 10, 2, 12, 5, 6, 44, 33]
    var types: [UInt16] = []
    for record in records where known.contains(record.type) && !types.contains(record.type) {
      types.append(record.type)
    }
    guard !types.isEmpty else { return }
    json.key("grouped")
    json.beginObject()
    for type in types {
      json.key(name(of: type))
      json.beginArray()
      for record in records where record.type == type { writeValue(record.data, to: &json) }
      json.endArray()
    }
    json.endObject()
  }

  private func writeValue(_ data: DNSMessage.Data, to json: inout JSONWriter) {
    switch data {
    case .address(let address): json.string { $0.appendAddress(address) }
    case .name(let name): json.text(name.text[...])
    case .text(let strings): json.text(Array(strings.joined())[...])
    case .startOfAuthority(let primary, let mailbox, let serial, let refresh, let retry, let expire, let minimum):
      json.beginObject()
      write("mname", primary, to: &json)
      write("rname", mailbox, to: &json)
      for (name, value) in [
        ("serial" as StaticString, serial), ("refresh", refresh), ("retry", retry), ("expire", expire),
        ("minimum", minimum),
      ] {
        json.key(name)
        json.number(value)
      }
      json.endObject()
    case .service(let priority, let weight, let port, let name):
      json.beginObject()
      for (name, value) in [("priority" as StaticString, priority), ("weight", weight), ("port", port)] {
        json.key(name)
        json.number(value)
      }
      write("name", name, to: &json)
      json.endObject()
    case .fingerprint(let algorithm, let kind, let digest):
      json.beginObject()
      json.key("fingerprint")
      json.string { text in
        for (index, byte) in digest.enumerated() {
          if index > 0 { text.append(UInt8(ascii: ":")) }
          text.append(hexadecimalDigit(byte >> 4))
          text.append(hexadecimalDigit(byte & 15))
        }
      }
      json.key("algo")
      json.number(algorithm)
      json.key("type")
      json.number(kind)
      json.endObject()
    case .other: json.string("")
    }
  }

  private func name(of type: UInt16) -> String { DNSType(rawValue: type)?.name ?? "\(type)" }

  private func responseName(_ code: UInt8) -> String {
    let names = [
      "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
      "NOTZONE",
    ]
    return Int(code) < names.count ? names[Int(code)] : "\(code)"
  }
}
