internal import AllyDPI
internal import AllyTools

/// What `suricata.yaml` says about application protocols and their records.
extension ApplicationOptions {
  /// `app-layer.protocols`.
  mutating func readProtocols(_ tree: SettingTree) throws(CommandFailure) {
    let protocols = "app-layer.protocols."
    for one in ApplicationProtocol.allCases {
      let own = protocols + (one == .http1 ? "http" : one.rawValue)
      for (isUDP, place) in [(false, ""), (true, ""), (false, ".tcp"), (true, ".udp")] {
        let ports = try Self.ports(tree, "\(own)\(place).detection-ports.dp")
        if !ports.isEmpty { detectionPorts.append((one, isUDP, ports)) }
      }
      if try tree.flag(own + ".tcp.enabled") == false { _ = disabledOverTCP.insert(one) }
      if try tree.flag(own + ".udp.enabled") == false { _ = disabledOverUDP.insert(one) }
      let path = own + ".enabled"
      guard let (text, _) = tree.text(path) else { continue }
      // What is only to be detected has no transactions; IMAP is never more than detected.
      if text == "detection-only" {
        if one != .imap { _ = disabled.insert(one) }
      } else if try tree.flag(path) == false {
        _ = disabled.insert(one)
      }
    }
    if disabled.contains(.ftp) { _ = disabled.insert(.ftpData) }
    try Self.read(&tls.ja3, tree, protocols + "tls.ja3-fingerprints")
    try Self.read(&tls.ja4, tree, protocols + "tls.ja4-fingerprints")
    try readEncryptionHandling(tree, protocols + "tls.encryption-handling")
    try Self.read(&hassh, tree, protocols + "ssh.hassh")
    try readSMB(tree, protocols + "smb.")
    try readSMTP(tree, protocols + "smtp.")
    if let bytes = try tree.bytes(protocols + "mqtt.max-msg-length", in: 0...1 << 28) {
      mqtt.maximumMessage = Int(bytes)
    }
  }

  /// `53`, `139, 445`, `5060:5061`.
  private static func ports(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> [ClosedRange<UInt16>] {
    guard let node = tree.node(path) else { return [] }
    node.markRead()
    var ports: [ClosedRange<UInt16>] = []
    for part in node.children.isEmpty ? [node] : node.children {
      for text in (part.value ?? "").split(whereSeparator: { "[], ".contains($0) }) {
        let ends = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt16($0) }
        guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1], first <= last else {
          throw SettingTree.failure(
            path, part.location, expected: "ports such as 53, 5353 or 5060:5061", found: String(text))
        }
        ports.append(first...last)
      }
    }
    return ports
  }

  private mutating func readEncryptionHandling(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    guard let (text, location) = tree.text(path) else { return }
    // Suricata 7 calls it `default`.
    guard let encrypted = TLS.Encrypted(rawValue: text == "default" ? "track-only" : text) else {
      throw SettingTree.failure(path, location, expected: "track-only, bypass or full", found: text)
    }
    tls.encrypted = encrypted
  }

  private mutating func readSMB(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    // More than that is never kept.
    let most = smb.readQueueSize
    func bytes(_ name: String, _ standard: Int) throws(CommandFailure) -> Int {
      try tree.bytes(path + name, in: 0...1 << 32).map { $0 == 0 ? .max : Int($0) } ?? standard
    }
    smb.largestRead = try bytes("max-read-size", smb.largestRead)
    smb.largestWrite = try bytes("max-write-size", smb.largestWrite)
    smb.readQueueSize = min(most, try bytes("max-read-queue-size", most))
    smb.writeQueueSize = min(most, try bytes("max-write-queue-size", most))
    smb.readQueueCount = try bytes("max-read-queue-cnt", smb.readQueueCount)
    smb.writeQueueCount = try bytes("max-write-queue-cnt", smb.writeQueueCount)
  }

  private mutating func readSMTP(_ tree: SettingTree, _ path: String) throws(CommandFailure) {
    let mime = path + "mime."
    smtp.readsMail = try tree.flag(mime + "decode-mime") ?? smtp.readsMail
    smtp.undoesBase64 = try tree.flag(mime + "decode-base64") ?? smtp.undoesBase64
    smtp.undoesQuotedPrintable = try tree.flag(mime + "decode-quoted-printable") ?? smtp.undoesQuotedPrintable
    smtp.findsLinks = try tree.flag(mime + "extract-urls") ?? smtp.findsLinks
    smtp.makesDigest = try tree.flag(mime + "body-md5") ?? smtp.makesDigest
    if let depth = try tree.number(mime + "header-value-depth", in: 0...1 << 16) { smtp.headerValue = Int(depth) }
    // A mail is read, or is a file as it is: not both.
    let isRaw = try tree.flag(path + "raw-extraction") ?? false
    smtp.isRaw = isRaw && !smtp.readsMail
  }

  private static func read(_ value: inout Automatic, _ tree: SettingTree, _ path: String) throws(CommandFailure) {
    guard let (text, _) = tree.text(path) else { return }
    if text == "auto" {
      value = .automatic
    } else if let flag = try tree.flag(path) {
      value = flag ? .on : .off
    }
  }

  /// What a type of records, such as `tls`, asks of the parser.
  mutating func readRecordType(_ name: String, _ tree: SettingTree, _ path: String) throws(CommandFailure) {
    switch name {
    case "tls":
      let fields = tree.node(path + ".custom")?.children.compactMap(\.value) ?? []
      if tls.ja3 == .automatic, fields.contains("ja3") || fields.contains("ja3s") { tls.ja3 = .on }
      let asksForJA4 = try tree.flag(path + ".ja4") ?? false
      if tls.ja4 == .automatic, asksForJA4 || fields.contains("ja4") { tls.ja4 = .on }
    case "mqtt":
      if let bytes = try tree.bytes(path + ".string-log-limit", in: 0...1 << 20) { mqtt.textLimit = Int(bytes) }
    default: break
    }
  }
}
