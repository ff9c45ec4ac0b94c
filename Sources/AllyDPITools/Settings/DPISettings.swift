internal import AllyDPI
internal import AllyTools
internal import ArgumentParser

/// What an operator decided about a run, from the command line and from `suricata.yaml`.
struct DPISettings {
  var engine = DPIConfiguration()
  var eve = RecordTargetSettings.eve
  var fileStore = FileStoreSettings()
  /// nil when it is not asked for.
  var fastLog: RecordTargetSettings?
  var classifications = Classifications.standard
  /// What an operator says about the alerts of rules: suppressions and thresholds.
  var thresholdFile: String?
  /// In the order in which they are read.
  var ruleFiles: [String] = []
  var logFolder = "."
  /// `unix-command`: where a running process listens to its operator; nil for nowhere.
  var controlSocket: String?
  /// Whether records go to standard output.
  var recordsAreOnStandardOutput: Bool { eve.isStandardOutput || fastLog?.isStandardOutput == true }
  /// `pcap-file`: records carry the capture's name.
  var namesCapture = false
  /// What the operator should know, one line each.
  var notes: [String] = []

  /// - Throws: what is wrong, with its place.
  init(_ options: DPIOptions) throws(CommandFailure) {
    let tree = try SettingTree(file: options.configuration, assignments: options.settings)
    notes += tree.warnings
    try readVariables(tree)
    try readEngine(tree)
    try readOutputs(tree)
    try readFiles(tree, options)
    let rulePath = tree.text("default-rule-path")?.value
    engine.readResource = { name, place in
      // Beside the rule's file, then where rules are by default.
      for folder in [FileSystem.folder(of: place.file), rulePath].compactMap(\.self) {
        if let contents = try? FileSystem.contents(of: FileSystem.resolve(name, in: folder)) { return contents }
      }
      return nil
    }
    if options.strict, let note = notes.first { throw CommandFailure(.badConfiguration, note) }
    engine.doubtsChecksums = options.checksums == nil
    if let (value, _) = tree.text("pcap-file.checksum-checks"), value != "auto" {
      engine.doubtsChecksums = false
      engine.validatesChecksums = try tree.flag("pcap-file.checksum-checks") ?? true
      engine.trustsChecksums = !engine.validatesChecksums
    }
    apply(options)
    if namesCapture { engine.recordOptions.captureName = options.capture }
    noteIgnored(tree, options)
  }

  /// What an inspection of nothing but rules needs.
  init(files: [String], configuration: String?) throws(CommandFailure) {
    var arguments = ["-r", "-", "-S"] + files
    if files.isEmpty { arguments.removeLast() }
    if let configuration { arguments += ["-c", configuration] }
    do {
      self = try DPISettings(try DPIOptions.parse(arguments))
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure(.usage, DPIOptions.message(for: error))
    }
    notes = []
  }

  /// What reading rules alone needs.
  init(variables: [RuleVariable], configuration: String?) throws(CommandFailure) {
    let tree = try SettingTree(file: configuration, assignments: [])
    notes += tree.warnings
    try readVariables(tree)
    engine.readResource = { name, place in
      try? FileSystem.contents(of: FileSystem.resolve(name, in: FileSystem.folder(of: place.file)))
    }
    set(variables)
  }

  private mutating func readVariables(_ tree: SettingTree) throws(CommandFailure) {
    for node in tree.node("vars.address-groups")?.children ?? [] {
      engine.addressVariables[node.name] = try Self.variable(node)
    }
    for node in tree.node("vars.port-groups")?.children ?? [] {
      engine.portVariables[node.name] = try Self.variable(node)
    }
  }

  /// A variable's text; a YAML list means the same as a rule's own.
  private static func variable(_ node: SettingNode) throws(CommandFailure) -> String {
    node.markRead()
    if !node.children.isEmpty {
      return "[" + node.children.compactMap(\.value).joined(separator: ",") + "]"
    }
    guard let value = node.value, !value.isEmpty else {
      throw CommandFailure(
        .badConfiguration, "\(node.location): \(node.name): expected addresses or ports, such as [10.0.0.0/8]")
    }
    return value
  }

  private mutating func readEngine(_ tree: SettingTree) throws(CommandFailure) {
    if let flag = try tree.flag("stream.midstream") { engine.midstream = flag }
    try readExceptionPolicies(tree)
    if let (value, _) = tree.text("stream.inline"), value != "auto" {
      engine.streamInline = try tree.flag("stream.inline")
    }
    if let flag = try tree.flag("stream.async-oneside") { engine.asyncOneSide = flag }
    if let flag = try tree.flag("stream.checksum-validation") { engine.validatesChecksums = flag }
    if let bytes = try tree.bytes("stream.reassembly.depth", in: 0...UInt64(UInt32.max)) {
      engine.reassemblyDepth = UInt32(bytes)
    }
    if let order = tree.node("action-order")?.children, !order.isEmpty {
      tree.node("action-order")?.wasRead = true
      engine.actionOrder = order.compactMap { node in
        node.wasRead = true
        return node.value.flatMap { RuleAction(rawValue: $0) }
      }
    }
    if let number = try tree.number("packet-alert-max", in: 0...255), number > 0 {
      engine.maximumAlertsPerPacket = Int(number)
    }
    try readHostSystems(tree)
    try readFlowTimeouts(tree)
    try readApplications(tree)
    try readDecoding(tree)
    try readLimits(tree)
    try readReputations(tree)
    try readDataSets(tree)
    try readCache(tree)
    try readControl(tree)
    let caps: ClosedRange<UInt64> = 64 << 10...1 << 40
    if let bytes = try tree.bytes("flow.memcap", in: caps) { engine.flowMemoryCap = Int(bytes) }
    if let bytes = try tree.bytes("stream.memcap", in: caps) { engine.streamMemoryCap = Int(bytes) }
    if let bytes = try tree.bytes("stream.reassembly.memcap", in: caps) { engine.reassemblyMemoryCap = Int(bytes) }
    if let bytes = try tree.bytes("defrag.memcap", in: caps) { engine.defragmentationMemoryCap = Int(bytes) }
  }

  /// `decoder`, `vlan`, `defrag`.
  private mutating func readDecoding(_ tree: SettingTree) throws(CommandFailure) {
    if let ports = try tunnelPorts(tree, "decoder.teredo") { engine.tunnels.teredo = ports }
    if let ports = try tunnelPorts(tree, "decoder.vxlan") { engine.tunnels.vxlan = ports }
    if let ports = try tunnelPorts(tree, "decoder.geneve") { engine.tunnels.geneve = ports }
    if let flag = try tree.flag("vlan.use-for-tracking") { engine.tracksVLANs = flag }
    if let seconds = try tree.number("defrag.timeout", in: 1...UInt64(UInt32.max)) {
      engine.defragmentationTimeout = UInt32(seconds)
    }
  }

  /// `enabled` and `ports`: numbers, `any`, or a rule variable.
  private func tunnelPorts(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> TunnelPorts? {
    let setting = tree.node(path + ".ports")
    setting?.markRead()
    if try tree.flag(path + ".enabled") == false { return TunnelPorts.none }
    guard let setting else { return nil }
    let texts = setting.children.isEmpty ? [setting.value ?? ""] : setting.children.compactMap(\.value)
    var ports: [UInt16] = []
    for text in texts.map({ engine.portVariables[String($0.drop { $0 == "$" })] ?? $0 }) {
      for part in text.split(whereSeparator: { "[], ".contains($0) }) {
        if part == "any" { return TunnelPorts.any }
        guard let port = UInt16(part), ports.count < TunnelPorts.most else {
          throw SettingTree.failure(
            path + ".ports", setting.location, expected: "at most \(TunnelPorts.most) ports, or any", found: text)
        }
        ports.append(port)
      }
    }
    return ports.isEmpty ? nil : TunnelPorts(ports)
  }

  /// What a search may cost.
  private mutating func readLimits(_ tree: SettingTree) throws(CommandFailure) {
    let range: ClosedRange<UInt64> = 1...UInt64(UInt32.max)
    if let limit = try tree.number("pcre.match-limit", in: range) { engine.patternMatchLimit = UInt32(limit) }
    if let limit = try tree.number("pcre.match-limit-recursion", in: range) { engine.patternDepthLimit = UInt32(limit) }
    if let limit = try tree.number("detect.inspection-recursion-limit", in: 1...1 << 20) {
      engine.attemptLimit = Int(limit)
    }
    if let limit = try tree.number("asn1-max-frames", in: 1...1024) { engine.asn1Depth = UInt16(limit) }
  }

  /// `datasets`: what a set's name stands for, as `type`, `load`, `save`, `state` and `memcap` of a rule say it.
  private mutating func readDataSets(_ tree: SettingTree) throws(CommandFailure) {
    for node in tree.node("datasets")?.children ?? [] where !["defaults", "limits", "rules"].contains(node.name) {
      let path = "datasets.\(node.name)"
      guard let (text, location) = tree.text(path + ".type") else { continue }
      guard let kind = DataSetMatch.Kind(rawValue: text) else {
        let names = DataSetMatch.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingTree.failure(path + ".type", location, expected: names, found: text)
      }
      var set = DataSetSetting(name: node.name, kind: kind)
      let state = tree.text(path + ".state")
      set.save = (state ?? tree.text(path + ".save"))?.value
      if let (name, place) = state ?? tree.text(path + ".load") {
        let file = Self.path(name, named: place)
        // A state is there from the second run on.
        if state == nil || FileSystem.exists(file) { set.contents = try FileSystem.contents(of: file) }
        if let line = set.wrongLine {
          throw CommandFailure(
            .badConfiguration, "\(file):\(line): expected a value of type \(text), and perhaps a reputation")
        }
      }
      set.memoryCap = try tree.bytes(path + ".memcap", in: 0...1 << 40)
      engine.dataSets.append(set)
    }
  }

  /// `reputation-categories-file`, `default-reputation-path`, `reputation-files`.
  private mutating func readReputations(_ tree: SettingTree) throws(CommandFailure) {
    let folder = tree.text("default-reputation-path").map { Self.path($0.value, named: $0.location) }
    let files = tree.node("reputation-files")?.children ?? []
    for file in files { file.markRead() }
    guard let categories = try existingFile(tree, "reputation-categories-file") else { return }
    var problems = engine.addressReputations.readCategories(
      try FileSystem.contents(of: categories), file: categories)
    for file in files {
      guard let name = file.value else { continue }
      let path = folder.map { FileSystem.resolve(name, in: $0) } ?? Self.path(name, named: file.location)
      problems += engine.addressReputations.readScores(try FileSystem.contents(of: path), file: path)
    }
    notes += problems.map(\.description)
  }

  /// `host-os-policy`: a list of networks for each operating system.
  private mutating func readHostSystems(_ tree: SettingTree) throws(CommandFailure) {
    for system in tree.node("host-os-policy")?.children ?? [] {
      let path = "host-os-policy.\(system.name)"
      guard let kind = HostSystems.System(rawValue: system.name.lowercased()) else {
        let names = HostSystems.System.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingTree.failure("host-os-policy", system.location, expected: names, found: system.name)
      }
      system.markRead()
      let single = system.children.isEmpty && system.value?.isEmpty == false ? [system] : []
      for network in single + system.children {
        let text = network.value ?? ""
        // `[]` and `[a, b]` may also be written as one text.
        for one in text.split(whereSeparator: { "[], ".contains($0) }) {
          guard engine.hostSystems.add(String(one), kind) else {
            throw SettingTree.failure(path, network.location, expected: "an address or a network", found: String(one))
          }
        }
      }
    }
  }

  private mutating func readFlowTimeouts(_ tree: SettingTree) throws(CommandFailure) {
    func read(_ name: String, _ times: inout FlowTimeouts.Times) throws(CommandFailure) {
      let path = "flow-timeouts.\(name)."
      let range: ClosedRange<UInt64> = 0...UInt64(UInt32.max)
      if let seconds = try tree.number(path + "new", in: range) { times.new = UInt32(seconds) }
      if let seconds = try tree.number(path + "established", in: range) { times.established = UInt32(seconds) }
      if let seconds = try tree.number(path + "closed", in: range) { times.closed = UInt32(seconds) }
    }
    // What `default` says is for those that have nothing of their own.
    try read("default", &engine.flowTimeouts.other)
    try read("tcp", &engine.flowTimeouts.tcp)
    try read("udp", &engine.flowTimeouts.udp)
    try read("icmp", &engine.flowTimeouts.icmp)
  }

  /// `exception-policy` is for all that have none of their own. Without it, as with `auto`, flows that are not followed are dropped,
  /// inline.
  private mutating func readExceptionPolicies(_ tree: SettingTree) throws(CommandFailure) {
    let general = try exceptionPolicy(tree, "exception-policy")
    let own = try exceptionPolicy(tree, "stream.midstream-policy")
    switch own ?? general ?? .automatic {
    case .policy(let policy): engine.midstreamPolicy = policy
    case .automatic: engine.midstreamPolicy = engine.midstream ? .ignore : .dropFlow
    }
    switch try exceptionPolicy(tree, "app-layer.error-policy") ?? general ?? .automatic {
    case .policy(let policy): engine.applicationPolicy = policy
    case .automatic: engine.applicationPolicy = .dropFlow
    }
  }

  /// `detect.sgh-mpm-caching`: compiled pattern databases are kept in a folder.
  private mutating func readCache(_ tree: SettingTree) throws(CommandFailure) {
    let path = tree.text("detect.sgh-mpm-caching-path")
    guard try tree.flag("detect.sgh-mpm-caching") ?? false else { return }
    guard let (folder, location) = path else {
      throw CommandFailure(
        .badConfiguration, "detect.sgh-mpm-caching: expected a folder in detect.sgh-mpm-caching-path")
    }
    engine.databaseCache = try DatabaseFolder(folder: Self.path(folder, named: location))
  }

  /// `unix-command`. `auto` is for processes on a network, which have no such name set.
  private mutating func readControl(_ tree: SettingTree) throws(CommandFailure) {
    let name = tree.text("unix-command.filename")
    if let (value, _) = tree.text("unix-command.enabled"), value == "auto" { return }
    guard try tree.flag("unix-command.enabled") ?? false else { return }
    guard let (name, location) = name else {
      throw CommandFailure(.badConfiguration, "unix-command.enabled: expected a socket in unix-command.filename")
    }
    controlSocket = Self.path(name, named: location)
  }

  private enum PolicySetting {
    case automatic
    case policy(ExceptionPolicy)
  }

  private func exceptionPolicy(_ tree: SettingTree, _ path: String) throws(CommandFailure) -> PolicySetting? {
    guard let (value, location) = tree.text(path) else { return nil }
    if value == "auto" { return .automatic }
    guard let policy = ExceptionPolicy(rawValue: value) else {
      let names = ExceptionPolicy.allCases.map(\.rawValue).joined(separator: ", ")
      throw SettingTree.failure(path, location, expected: "auto, \(names)", found: value)
    }
    return .policy(policy)
  }

  private mutating func readApplications(_ tree: SettingTree) throws(CommandFailure) {
    try engine.application.options.readProtocols(tree)
    let http = "app-layer.protocols.http.libhtp.default-config."
    let bodies: ClosedRange<UInt64> = 0...1 << 30
    if let bytes = try tree.bytes(http + "request-body-limit", in: bodies) {
      engine.application.requestBody = Int(bytes)
    }
    if let bytes = try tree.bytes(http + "response-body-limit", in: bodies) {
      engine.application.responseBody = Int(bytes)
    }
    if let layers = try tree.number(http + "response-body-decompress-layer-limit", in: 0...16) {
      engine.application.encodingLayers = Int(layers)
    }
    if let flag = try tree.flag(http + "lzma-enabled") { engine.application.options.undoesLZMA = flag }
    if let flag = try tree.flag(http + "double-decode-path") { engine.application.options.decodesPathTwice = flag }
    if let flag = try tree.flag(http + "double-decode-query") { engine.application.options.decodesQueryTwice = flag }
  }

  private mutating func readFiles(_ tree: SettingTree, _ options: DPIOptions) throws(CommandFailure) {
    if options.rules.isEmpty {
      let folder = tree.text("default-rule-path").map { Self.path($0.value, named: $0.location) }
      for node in tree.node("rule-files")?.children ?? [] {
        node.wasRead = true
        guard let name = node.value else { continue }
        ruleFiles.append(folder.map { FileSystem.resolve(name, in: $0) } ?? Self.path(name, named: node.location))
      }
    }
    ruleFiles += options.rules + options.additionalRules
    thresholdFile = try existingFile(tree, "threshold-file")
    if let file = try existingFile(tree, "classification-file") {
      let (read, problems) = Classifications.read(try FileSystem.contents(of: file), file: file)
      classifications = read
      notes += problems.map(\.description)
    }
    if let folder = options.logFolder {
      logFolder = folder
    } else if let (folder, _) = tree.text("default-log-dir") {
      logFolder = folder
    }
  }

  /// A file that a setting names; nil, and a note, when it is not there.
  private mutating func existingFile(_ tree: SettingTree, _ setting: String) throws(CommandFailure) -> String? {
    guard let (name, location) = tree.text(setting) else { return nil }
    let path = Self.path(name, named: location)
    if FileSystem.exists(path) { return path }
    notes.append("\(location): \(setting): \(path) is not there; it is left out")
    return nil
  }

  /// A file named in a configuration file lies beside it; one named on the command line, in the current folder.
  private static func path(_ name: String, named location: SettingLocation) -> String {
    location.isCommandLine ? name : FileSystem.resolve(name, in: FileSystem.folder(of: location.file))
  }

  private mutating func apply(_ options: DPIOptions) {
    if let checksums = options.checksums { engine.validatesChecksums = checksums == .all }
    if options.inline { engine.isInline = true }
    set(options.variables)
  }

  private mutating func set(_ variables: [RuleVariable]) {
    for variable in variables {
      let isPort = engine.portVariables[variable.name] != nil
      let isAddress = engine.addressVariables[variable.name] != nil
      // A new name may be meant for either; only its use in a rule tells.
      if isPort || !isAddress { engine.portVariables[variable.name] = variable.value }
      if isAddress || !isPort { engine.addressVariables[variable.name] = variable.value }
    }
  }

  private mutating func noteIgnored(_ tree: SettingTree, _ options: DPIOptions) {
    let ignored = tree.ignored
    for (path, location) in ignored where location.isCommandLine {
      notes.append("--set \(path): this setting has no effect")
    }
    let inFiles = ignored.filter { !$0.location.isCommandLine }
    if options.verbose > 0 {
      notes += inFiles.map { "\($0.location): \($0.path): this setting has no effect" }
    } else if let file = options.configuration, !inFiles.isEmpty {
      let count = inFiles.count == 1 ? "1 setting has" : "\(inFiles.count) settings have"
      notes.append("\(file): \(count) no effect; -v lists them")
    }
    for option in options.ignoredOptions {
      notes.append("\(option) has no effect")
    }
  }
}
