internal import AllyDPI
internal import AllyTools

/// `outputs`: which records there are, what they hold and where they go. Names, meanings and defaults are Suricata's.
extension DPISettings {
  mutating func readOutputs(_ tree: SettingTree) throws(CommandFailure) {
    guard let outputs = tree.node("outputs") else { return }
    engine.records = []
    var hasEVE = false
    for output in outputs.children {
      guard let name = output.value, let node = output.child(name) else { continue }
      let path = "outputs.\(output.name).\(name)"
      switch name {
      case "eve-log":
        if try tree.flag(path + ".enabled") == false { continue }
        guard !hasEVE else {
          notes.append("\(node.location): the first eve-log that is switched on is written; this one has no effect")
          continue
        }
        hasEVE = true
        try readEVE(tree, path)
      case "file-store": try readFileStore(tree, path)
      case "fast": try readFastLog(tree, path)
      default: break
      }
    }
  }

  private mutating func readFileStore(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    if try tree.flag(path + ".enabled") != true { return }
    if let (version, location) = tree.text(path + ".version"), version != "2" {
      throw SettingTree.failure(path + ".version", location, expected: "2", found: version)
    }
    fileStore.isEnabled = true
    if let (folder, _) = tree.text(path + ".dir") { fileStore.folder = folder }
    if let flag = try tree.flag(path + ".force-filestore") { engine.files.storesAll = flag }
    if let flag = try tree.flag(path + ".force-magic"), flag { engine.files.magic = true }
    for digest in list(tree, path + ".force-hash") {
      if let kind = FileDigestMatch.Kind(rawValue: "file" + digest) { engine.files.digests.append(kind) }
    }
  }

  private mutating func readFastLog(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    guard try tree.flag(path + ".enabled") ?? false else { return }
    fastLog = try recordTarget(tree, path, .fastLog)
  }

  /// Where an output's lines go.
  private mutating func recordTarget(
    _ tree: SettingTree, _ path: String, _ standard: RecordTargetSettings
  ) throws(CommandFailure) -> RecordTargetSettings {
    var target = standard
    if let (name, location) = tree.text(path + ".filetype") {
      if let kind = RecordTargetSettings.Kind(rawValue: name) {
        target.kind = kind
      } else if ["syslog", "redis", "console"].contains(name) {
        notes.append("\(location): \(path).filetype \(name) is not supported; records go to a regular file")
      } else {
        throw SettingTree.failure(
          path + ".filetype", location, expected: "regular, unix_stream or unix_dgram", found: name)
      }
    }
    if let (name, _) = tree.text(path + ".filename") { target.fileName = name }
    if let flag = try tree.flag(path + ".append") { target.appends = flag }
    if let (text, location) = tree.text(path + ".rotate-interval") {
      guard let rotation = RecordRotation(text) else {
        throw SettingTree.failure(
          path + ".rotate-interval", location, expected: "minute, hour, day, or a number such as 30m", found: text)
      }
      target.rotation = rotation
    }
    return target
  }

  private mutating func readEVE(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    eve = try recordTarget(tree, path, .eve)
    if try tree.flag(path + ".community-id") ?? false {
      engine.recordOptions.communityIDSeed = UInt16(
        try tree.number(path + ".community-id-seed", in: 0...65535) ?? 0)
    }
    namesCapture = try tree.flag(path + ".pcap-file") ?? false
    engine.recordOptions.ethernet = try tree.flag(path + ".ethernet") ?? false
    engine.recordOptions.stateBits = try tree.flag(path + ".metadata") ?? true
    engine.recordOptions.forwarded = try forwardedFor(tree, path + ".xff")
    for type in tree.node(path + ".types")?.children ?? [] {
      if let name = type.value { try readRecordType(name, tree, type, "\(path).types.\(type.name).\(name)") }
    }
  }

  /// One entry of `types`; those that there are no records of stay unread, so that the operator hears of them.
  private mutating func readRecordType(
    _ name: String, _ tree: SettingTree, _ type: SettingNode, _ path: String
  ) throws(CommandFailure) {
    let kind = RecordKinds.byType[name]
    guard kind != nil || name == "anomaly" else { return }
    type.wasRead = true
    tree.node(path)?.wasRead = true
    // `frame` and `pgsql` are the types that must be asked for.
    if try tree.flag(path + ".enabled") == false { return }
    if let kind { engine.records.insert(kind) }
    try engine.application.options.readRecordType(name, tree, path)
    switch name {
    case "alert": engine.recordOptions.alert = try alert(tree, path)
    case "anomaly": try readAnomalies(tree, path)
    case "drop": engine.recordOptions.drop = try drop(tree, path)
    case "http": engine.recordOptions.http = try http(tree, path)
    case "dns": engine.recordOptions.dns = try dns(tree, path)
    case "tls": engine.recordOptions.tls = try tls(tree, path)
    case "smtp":
      engine.recordOptions.smtp.extended = try tree.flag(path + ".extended") ?? false
      engine.recordOptions.smtp.custom = list(tree, path + ".custom")
      engine.recordOptions.smtp.digests = list(tree, path + ".md5")
    case "files": engine.recordOptions.files = try files(tree, path)
    case "quic": engine.recordOptions.quicJA4 = try tree.flag(path + ".ja4") ?? false
    default: break
    }
    guard let kind else { return }
    if try tree.flag(path + ".extended") ?? false { engine.recordOptions.extended.insert(kind) }
    if let flag = try tree.flag(path + ".passwords") {
      if flag { engine.recordOptions.passwords.insert(kind) } else { engine.recordOptions.passwords.remove(kind) }
    }
    if let forwarded = try forwardedFor(tree, path + ".xff") { engine.recordOptions.forwarded = forwarded }
  }

  /// An `alert` type that is written out has Suricata's own defaults: the payload only when asked for.
  private func alert(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> RecordOptions.Alert {
    var alert = RecordOptions.Alert()
    alert.payload = try tree.flag(path + ".payload") ?? false
    alert.payloadPrintable = try tree.flag(path + ".payload-printable") ?? false
    if let bytes = try tree.bytes(path + ".payload-buffer-size", in: 0...1 << 30) { alert.payloadBytes = Int(bytes) }
    alert.packet = try tree.flag(path + ".packet") ?? false
    alert.httpBody = try tree.flag(path + ".http-body") ?? false
    alert.httpBodyPrintable = try tree.flag(path + ".http-body-printable") ?? false
    alert.taggedPackets = try tree.flag(path + ".tagged-packets") ?? false
    alert.verdict = try tree.flag(path + ".verdict") ?? false
    // `metadata` is a switch, or a mapping that says which parts of it are wanted.
    let metadata = path + ".metadata"
    if tree.node(metadata)?.children.isEmpty == false {
      alert.application = try tree.flag(metadata + ".app-layer") ?? true
      alert.flow = try tree.flag(metadata + ".flow") ?? true
      if let rule = tree.node(metadata + ".rule"), rule.children.isEmpty {
        let flag = rule.value.flatMap(SettingTree.flag) ?? true
        alert.ruleMetadata = flag
        alert.ruleText = false
      } else {
        alert.ruleMetadata = try tree.flag(metadata + ".rule.metadata") ?? true
        alert.ruleText = try tree.flag(metadata + ".rule.raw") ?? false
        alert.ruleReferences = try tree.flag(metadata + ".rule.reference") ?? false
      }
    } else if try tree.flag(metadata) == false {
      alert.application = false
      alert.flow = false
      alert.ruleMetadata = false
    }
    return alert
  }

  private mutating func readAnomalies(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    if try tree.flag(path + ".types.decode") ?? false { engine.records.insert(.decodeAnomalies) }
    if try tree.flag(path + ".types.stream") ?? false { engine.records.insert(.streamAnomalies) }
    if try tree.flag(path + ".types.applayer") ?? true { engine.records.insert(.applicationAnomalies) }
    let packet = try tree.flag(path + ".packethdr")
    let nested = try tree.flag(path + ".types.packethdr")
    engine.recordOptions.anomalyPacket = packet ?? nested ?? false
  }

  private func drop(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> RecordOptions.Drop {
    var drop = RecordOptions.Drop()
    drop.alerts = try tree.flag(path + ".alerts") ?? false
    drop.verdict = try tree.flag(path + ".verdict") ?? false
    if let (value, location) = tree.text(path + ".flows") {
      guard value == "all" || value == "start" else {
        throw SettingTree.failure(path + ".flows", location, expected: "start or all", found: value)
      }
      drop.everyPacket = value == "all"
    }
    return drop
  }

  private func http(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> RecordOptions.HTTP {
    var http = RecordOptions.HTTP()
    http.extended = try tree.flag(path + ".extended") ?? false
    http.custom = list(tree, path + ".custom")
    if let (value, location) = tree.text(path + ".dump-all-headers") {
      guard let headers = RecordOptions.HTTP.HeaderDump(rawValue: value) else {
        throw SettingTree.failure(
          path + ".dump-all-headers", location, expected: "none, both, request or response", found: value)
      }
      http.headers = headers
    }
    return http
  }

  private func dns(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> RecordOptions.DNS {
    var dns = RecordOptions.DNS()
    if let version = try tree.number(path + ".version", in: 1...3) { dns.version = Int(version) }
    dns.requests = try tree.flag(path + ".requests") ?? true
    dns.responses = try tree.flag(path + ".responses") ?? true
    let formats = list(tree, path + ".formats")
    if !formats.isEmpty {
      dns.detailed = formats.contains("detailed")
      dns.grouped = formats.contains("grouped")
    }
    dns.types = list(tree, path + ".types").map { $0.lowercased() }
    return dns
  }

  private func tls(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> RecordOptions.TLS {
    var tls = RecordOptions.TLS()
    tls.extended = try tree.flag(path + ".extended") ?? false
    tls.custom = list(tree, path + ".custom")
    tls.sessionResumption = try tree.flag(path + ".session-resumption") ?? true
    tls.ja4 = try tree.flag(path + ".ja4") ?? false
    return tls
  }

  private func files(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> RecordOptions.Files {
    var files = RecordOptions.Files()
    files.magic = try tree.flag(path + ".force-magic") ?? false
    let digests = list(tree, path + ".force-hash")
    files.md5 = digests.contains("md5")
    files.sha1 = digests.contains("sha1")
    files.sha256 = digests.contains("sha256")
    return files
  }

  private func forwardedFor(
    _ tree: SettingTree, _ path: String
  ) throws(CommandFailure) -> RecordOptions.ForwardedFor? {
    guard try tree.flag(path + ".enabled") ?? false else { return nil }
    var forwarded = RecordOptions.ForwardedFor()
    forwarded.overwrites = tree.text(path + ".mode")?.value == "overwrite"
    forwarded.isForward = tree.text(path + ".deployment")?.value == "forward"
    if let (header, _) = tree.text(path + ".header") { forwarded.header = header }
    return forwarded
  }

  /// A list of names, or one name.
  private func list(_ tree: SettingTree, _ path: String) -> [String] {
    guard let node = tree.node(path) else { return [] }
    node.markRead()
    if node.children.isEmpty { return (node.value ?? "").split(separator: ",").map { $0.filter { $0 != " " } } }
    return node.children.compactMap(\.value)
  }
}
