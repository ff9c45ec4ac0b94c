/// `"smtp":{…}` and, with a mail, `"email":{…}`.
extension SMTPTransaction {
  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("tx_id")
    json.number(number)
    write(to: &json, options.smtp)
  }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) { write(to: &json, nil) }

  /// - Parameter options: nil for what records of alerts and files say.
  private func write(to json: inout JSONWriter, _ options: RecordOptions.SMTP?) {
    json.key("smtp")
    json.beginObject()
    if !hello.isEmpty {
      json.key("helo")
      json.text(hello[...])
    }
    if !sender.isEmpty {
      json.key("mail_from")
      json.text(sender[...])
    }
    list("rcpt_to", recipients.map { $0[...] }, to: &json)
    json.endObject()
    if let mail { write(mail, options, to: &json) }
  }

  private func write(_ mail: MIMEMessage, _ options: RecordOptions.SMTP?, to json: inout JSONWriter) {
    json.key("email")
    json.beginObject()
    json.key("status")
    json.string(mail.status.rawValue)
    if let from = mail.header.value(of: "from"), !from.isEmpty {
      json.key("from")
      json.text(from)
    }
    for (name, field) in [("to" as StaticString, "to" as StaticString), ("cc", "cc")] {
      if let value = mail.header.value(of: field) { list(name, MIMEHeader.addresses(value), to: &json) }
    }
    if mail.links.isInMessage {
      for (name, value) in [
        ("has_ipv6_url" as StaticString, mail.links.hasIPv6), ("has_ipv4_url", mail.links.hasIPv4),
        ("has_exe_url", mail.links.hasExecutable),
      ] {
        json.key(name)
        json.bool(value)
      }
    }
    list("attachment", mail.attachments.map { $0[...] }, to: &json)
    list("url", mail.links.links.map { $0.text[...] }, to: &json)
    if let options { writeCustom(mail.header, mail.bodyDigest, options, to: &json) }
    json.endObject()
  }

  /// Header fields that `custom` may name; those that may stand several times are lists.
  private static let customFields: [(key: StaticString, field: StaticString, isList: Bool)] = [
    ("reply_to", "reply-to", false), ("bcc", "bcc", true), ("message_id", "message-id", false),
    ("subject", "subject", false), ("x_mailer", "x-mailer", false), ("user_agent", "user-agent", false),
    ("received", "received", true), ("x_originating_ip", "x-originating-ip", false),
    ("in_reply_to", "in-reply-to", false), ("references", "references", false), ("importance", "importance", false),
    ("priority", "priority", false), ("sensitivity", "sensitivity", false), ("organization", "organization", false),
    ("content_md5", "content-md5", false), ("date", "date", false),
  ]

  private func writeCustom(
    _ header: MIMEHeader, _ digest: [UInt8]?, _ options: RecordOptions.SMTP, to json: inout JSONWriter
  ) {
    for (key, field, isList) in SMTPTransaction.customFields {
      guard options.custom.contains(where: { $0 == "\(key)" || $0 == "\(field)" }) else { continue }
      let values = header.fields.filter { $0.name.isCaselessEqual(to: field) }.map { $0.value[...] }
      if isList {
        list(key, "\(key)" == "bcc" ? values.flatMap { MIMEHeader.addresses($0) } : values, to: &json)
      } else if let value = values.first {
        json.key(key)
        json.text(value)
      }
    }
    if options.digests.contains("body"), let digest {
      json.key("body_md5")
      json.string { $0.appendHexadecimal(digest[...]) }
    }
    if options.digests.contains("subject"), let subject = header.value(of: "subject") {
      var digest = Digest(.md5)
      digest.update(subject.rawBytes)
      let value = digest.finish()
      json.key("subject_md5")
      json.string { $0.appendHexadecimal(value[...]) }
    }
  }

  private func list(_ name: StaticString, _ values: [ArraySlice<UInt8>], to json: inout JSONWriter) {
    guard !values.isEmpty else { return }
    json.key(name)
    json.beginArray()
    for value in values { json.text(value) }
    json.endArray()
  }
}
