/// What records say of a file: `"fileinfo":{…}`, and the entries of an alert's `files`.
extension TransferredFile {
  func writeFields(transaction: UInt64, rules: DetectionProgram, to json: inout JSONWriter) {
    if !name.isEmpty {
      json.key("filename")
      json.text(name[...])
    }
    if !storingRules.isEmpty {
      json.key("sid")
      json.beginArray()
      for rule in storingRules { json.number(rules.records[Int(rule)].sid) }
      json.endArray()
    }
    if let magic {
      json.key("magic")
      json.text(magic[...])
    }
    json.key("gaps")
    json.bool(hasGaps)
    json.key("state")
    switch state {
    case .open: json.string("UNKNOWN")
    case .closed: json.string("CLOSED")
    case .truncated: json.string("TRUNCATED")
    }
    if state == .closed {
      write(digest(.md5), as: "md5", to: &json)
      write(digest(.sha1), as: "sha1", to: &json)
    }
    if isEnded { write(digest(.sha256), as: "sha256", to: &json) }
    json.key("stored")
    json.bool(isStored)
    if let storeNumber {
      json.key("file_id")
      json.number(storeNumber)
    }
    json.key("size")
    json.number(size)
    if let range {
      json.key("start")
      json.number(range.lowerBound)
      json.key("end")
      json.number(range.upperBound)
    }
    json.key("tx_id")
    json.number(transaction)
  }

  private func write(_ digest: [UInt8]?, as name: StaticString, to json: inout JSONWriter) {
    guard let digest else { return }
    json.key(name)
    json.string { $0.appendHexadecimal(digest[...]) }
  }
}
