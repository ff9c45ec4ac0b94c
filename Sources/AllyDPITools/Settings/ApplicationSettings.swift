internal import AllyDPI
internal import AllyTools

/// What `suricata.yaml` says about application protocols and their records.
extension ApplicationOptions {
  /// `app-layer.protocols`.
  mutating func readProtocols(_ tree: SettingTree) throws(CommandFailure) {
    let protocols = "app-layer.protocols."
    for one in ApplicationProtocol.allCases {
      let path = protocols + (one == .http1 ? "http" : one.rawValue) + ".enabled"
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
    try Self.read(&hassh, tree, protocols + "ssh.hassh")
    if let bytes = try tree.bytes(protocols + "mqtt.max-msg-length", in: 0...1 << 28) {
      mqtt.maximumMessage = Int(bytes)
    }
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
