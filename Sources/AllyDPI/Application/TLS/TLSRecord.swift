/// `"tls":{…}`.
extension TLSTransaction {
  func writeRecord(_ index: Int, to json: inout JSONWriter, _ options: RecordOptions) {
    var fields: Set<TLSRecordField> = options.tls.extended ? TLSTransaction.extended : TLSTransaction.basic
    if !options.tls.custom.isEmpty { fields = Set(options.tls.custom.compactMap(TLSRecordField.init)) }
    if options.tls.ja4 { fields.insert(.ja4) }
    write(fields, to: &json)
  }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    write(TLSTransaction.extended.union([.ja4]), to: &json)
  }

  private static let basic: Set<TLSRecordField> = [.subject, .issuer, .sessionResumed]
  private static let extended: Set<TLSRecordField> = [
    .subject, .issuer, .sessionResumed, .serial, .fingerprint, .sni, .version, .notBefore, .notAfter, .ja3, .ja3s,
    .client,
  ]

  private func write(_ fields: Set<TLSRecordField>, to json: inout JSONWriter) {
    json.key("tls")
    json.beginObject()
    if let certificate = server.certificate {
      if fields.contains(.subject) { json.text("subject", certificate.subject) }
      if fields.contains(.issuer) { json.text("issuerdn", certificate.issuer) }
    }
    if fields.contains(.sessionResumed) && isResumed {
      json.key("session_resumed")
      json.bool(true)
    }
    if fields.contains(.serial), let serial = server.certificate?.serial { json.text("serial", serial) }
    if fields.contains(.fingerprint), !server.chain.isEmpty { json.text("fingerprint", server.fingerprint) }
    if fields.contains(.sni), let name = client.hello?.serverName { json.text("sni", name) }
    if fields.contains(.version) {
      json.key("version")
      json.string(TLSVersion.name(server.version))
    }
    if let certificate = server.certificate {
      if fields.contains(.notBefore) { time("notbefore", certificate.notBefore, to: &json) }
      if fields.contains(.notAfter) { time("notafter", certificate.notAfter, to: &json) }
    }
    if let protocolBefore {
      json.key("from_proto")
      json.string(protocolBefore)
    }
    if fields.contains(.certificate) { writeCertificate(server, to: &json) }
    if fields.contains(.chain) { writeChain(server, to: &json) }
    writeFingerprints(fields, to: &json)
    if !client.chain.isEmpty { writeClient(fields, to: &json) }
    json.endObject()
  }

  private func writeFingerprints(_ fields: Set<TLSRecordField>, to json: inout JSONWriter) {
    if settings.ja3 == .on {
      for (field, name, value) in [
        (TLSRecordField.ja3, "ja3" as StaticString, ja3Fields), (.ja3s, "ja3s", ja3sFields),
      ] {
        guard fields.contains(field), let value else { continue }
        json.key(name)
        json.beginObject()
        json.text("hash", value.hash)
        json.text("string", value.string)
        json.endObject()
      }
    }
    if settings.ja4 == .on, fields.contains(.ja4), let ja4Field { json.text("ja4", ja4Field) }
  }

  private func writeClient(_ fields: Set<TLSRecordField>, to json: inout JSONWriter) {
    guard fields.contains(.client) || fields.contains(.clientCertificate) || fields.contains(.clientChain) else {
      return
    }
    json.key("client")
    json.beginObject()
    if fields.contains(.client), let certificate = client.certificate {
      json.text("subject", certificate.subject)
      json.text("issuerdn", certificate.issuer)
      json.text("fingerprint", client.fingerprint)
      json.text("serial", certificate.serial)
      time("notbefore", certificate.notBefore, to: &json)
      time("notafter", certificate.notAfter, to: &json)
    }
    if fields.contains(.clientCertificate) { writeCertificate(client, to: &json) }
    if fields.contains(.clientChain) { writeChain(client, to: &json) }
    json.endObject()
  }

  private func writeCertificate(_ side: Side, to json: inout JSONWriter) {
    guard let first = side.chain.first else { return }
    json.key("certificate")
    json.base64(first.rawBytes)
  }

  private func writeChain(_ side: Side, to json: inout JSONWriter) {
    if side.chain.isEmpty { return }
    json.key("chain")
    json.beginArray()
    for certificate in side.chain { json.base64(certificate.rawBytes) }
    json.endArray()
  }

  private func time(_ name: StaticString, _ seconds: Int64, to json: inout JSONWriter) {
    json.key(name)
    json.string { $0.appendDate(seconds: UInt64(max(seconds, 0))) }
  }
}
