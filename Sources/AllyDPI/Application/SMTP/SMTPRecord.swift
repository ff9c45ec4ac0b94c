/// `"smtp":{…}` and, with a mail, `"email":{…}`.
extension SMTPTransaction {
  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
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
    if let mail { write(mail, to: &json) }
  }

  private func write(_ mail: MIMEMessage, to json: inout JSONWriter) {
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
    json.endObject()
  }

  private func list(_ name: StaticString, _ values: [ArraySlice<UInt8>], to json: inout JSONWriter) {
    guard !values.isEmpty else { return }
    json.key(name)
    json.beginArray()
    for value in values { json.text(value) }
    json.endArray()
  }
}
