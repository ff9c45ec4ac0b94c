import AllyDPI
@testable import AllyDPITools
import AllyTools
import ArgumentParser
import Testing

@Suite struct ConfigurationTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func settings(_ yaml: String, _ arguments: String...) throws -> DPISettings {
    let file = try folder.write("suricata.yaml", yaml)
    return try DPISettings(try DPIOptions.parse(["-r", "in.pcap", "-c", file] + arguments))
  }

  @Test func theDocumentedSubsetHasItsEffect() throws {
    let settings = try settings(
      """
      %YAML 1.1
      ---
      vars:
        address-groups:
          HOME_NET: "[192.0.2.0/24]"
          MY_NET: [10.0.0.0/8, 172.16.0.0/12]
        port-groups:
          SSH_PORTS: 2222
      stream:
        midstream: yes
        async_oneside: On
        memcap: 32mb
        reassembly:
          depth: 1.5mb
          memcap: 64 mb
      defrag:
        memcap: 65536
      flow:
        memcap: 1gb
      default-rule-path: rules
      rule-files:
        - a.rules
        - /b.rules
      default-log-dir: logs
      """)
    #expect(settings.engine.addressVariables["HOME_NET"] == "[192.0.2.0/24]")
    #expect(settings.engine.addressVariables["EXTERNAL_NET"] == "!$HOME_NET")
    #expect(settings.engine.addressVariables["MY_NET"] == "[10.0.0.0/8,172.16.0.0/12]")
    #expect(settings.engine.portVariables["SSH_PORTS"] == "2222")
    #expect(settings.engine.midstream && settings.engine.asyncOneSide)
    #expect(settings.engine.streamMemoryCap == 32 << 20)
    #expect(settings.engine.reassemblyDepth == 3 << 19)
    #expect(settings.engine.reassemblyMemoryCap == 64 << 20)
    #expect(settings.engine.defragmentationMemoryCap == 65536)
    #expect(settings.engine.flowMemoryCap == 1 << 30)
    #expect(settings.ruleFiles == [folder.path + "/rules/a.rules", "/b.rules"])
    #expect(settings.logFolder == "logs")
    #expect(settings.notes.isEmpty)
  }

  @Test func decodingAndLimitsAreTheOperators() throws {
    let settings = try settings(
      """
      vars:
        port-groups:
          VXLAN_PORTS: 4790
      decoder:
        teredo:
          enabled: no
        vxlan:
          ports: $VXLAN_PORTS
        geneve:
          enabled: yes
          ports: [6081, 6082]
      vlan:
        use-for-tracking: no
      defrag:
        timeout: 5
      asn1-max-frames: 256
      pcre:
        match-limit: 10
        match-limit-recursion: 20
      detect:
        inspection-recursion-limit: 30
      app-layer:
        protocols:
          dns:
            tcp:
              enabled: no
          http:
            libhtp:
              default-config:
                double-decode-path: yes
          smtp:
            raw-extraction: yes
            mime: {decode-mime: no, decode-base64: no, header-value-depth: 9, extract-urls: no, body-md5: yes}
      outputs:
        - eve-log:
            pcap-file: yes
      """)
    let engine = settings.engine
    #expect("\(engine.tunnels.teredo)" == "\(TunnelPorts.none)")
    #expect("\(engine.tunnels.vxlan)" == "\(TunnelPorts([4790]))")
    #expect("\(engine.tunnels.geneve)" == "\(TunnelPorts([6081, 6082]))")
    #expect(!engine.tracksVLANs && engine.defragmentationTimeout == 5 && engine.asn1Depth == 256)
    #expect(engine.patternMatchLimit == 10 && engine.patternDepthLimit == 20 && engine.attemptLimit == 30)
    #expect(engine.application.options.disabledOverTCP.contains(.dns))
    #expect(!engine.application.options.disabledOverUDP.contains(.dns))
    #expect(engine.application.options.decodesPathTwice && !engine.application.options.decodesQueryTwice)
    let smtp = engine.application.options.smtp
    #expect(smtp.isRaw && !smtp.readsMail && !smtp.undoesBase64 && smtp.undoesQuotedPrintable)
    #expect(smtp.headerValue == 9 && !smtp.findsLinks && smtp.makesDigest)
    #expect(engine.recordOptions.captureName == "in.pcap")
    #expect(settings.notes.isEmpty)
    #expect(throws: CommandFailure.self) { try self.settings("decoder: {vxlan: {ports: [1, 2, 3, 4, 5]}}") }
  }

  @Test func setsAndReputationsAreRead() throws {
    try folder.write("categories.txt", "1,BadHosts,Known bad hosts\n")
    try folder.write("scores.list", "10.0.0.1,1,40\nx\n")
    try folder.write("agents.lst", "TW96aWxsYQ==\n")
    let settings = try settings(
      """
      reputation-categories-file: categories.txt
      default-reputation-path: .
      reputation-files: [scores.list]
      datasets:
        agents:
          type: string
          load: agents.lst
        seen:
          type: md5
          state: seen.lst
      """)
    #expect(settings.engine.addressReputations.categories == ["BadHosts": 1])
    #expect(settings.notes.count == 1 && settings.notes[0].contains("scores.list:2"))
    #expect(settings.engine.dataSets.map(\.name) == ["agents", "seen"])
    #expect(settings.engine.dataSets[0].contents?.isEmpty == false && settings.engine.dataSets[0].save == nil)
    #expect(settings.engine.dataSets[1].contents == nil && settings.engine.dataSets[1].save == "seen.lst")
    // The rules need not say what the set is.
    let rules = RuleReader(configuration: settings.engine).read(
      Array("alert http any any -> any any (http.user_agent; dataset:isset,agents; sid:1;)".utf8), file: "a.rules")
    let program = try DetectionProgram(rules: rules.rules, configuration: settings.engine)
    #expect(program.ruleCount == 1)
    #expect(throws: CommandFailure.self) { try self.settings("datasets: {a: {type: number}}") }
    #expect(throws: CommandFailure.self) { try self.settings("datasets: {a: {type: md5, load: agents.lst}}") }
  }

  @Test func outputsSayWhichRecordsThereAre() throws {
    let settings = try settings(
      """
      outputs:
        - fast:
            enabled: yes
        - eve-log:
            enabled: no
            filename: no.json
        - eve-log:
            enabled: yes
            filetype: regular
            filename: mine.json
            append: yes
            types:
              - alert:
                  payload: yes
                  metadata: no
              - flow
              - drop:
                  flows: all
              - anomaly:
                  enabled: no
                  types: {decode: yes}
              - http
      """)
    #expect(settings.eve.fileName == "mine.json")
    #expect(settings.eve.appends)
    #expect(settings.engine.records == [.alerts, .flows, .drops, .http])
    #expect(settings.engine.recordOptions.drop.everyPacket && !settings.engine.recordOptions.drop.alerts)
    #expect(settings.engine.recordOptions.alert.payload)
    #expect(!settings.engine.recordOptions.alert.payloadPrintable)
    #expect(!settings.engine.recordOptions.alert.ruleMetadata)
    #expect(
      settings.notes == ["\(folder.path)/suricata.yaml: 2 settings have no effect; -v lists them"],
      "the eve-log and the anomaly that are off")
    #expect(settings.fastLog == .fastLog)
  }

  @Test func withoutOutputsEverythingIsWrittenAnew() throws {
    let settings = try settings("stream:\n  midstream: no\n")
    #expect(settings.eve == .eve)
    #expect(settings.engine.recordOptions.alert.payload && settings.engine.recordOptions.alert.ruleMetadata)
    #expect(settings.engine.records.contains(.alerts))
  }

  @Test(arguments: [
    ("a: 1\n", ExceptionPolicy.dropFlow), ("exception-policy: auto\n", .dropFlow),
    ("stream:\n  midstream: yes\n", .ignore), ("exception-policy: ignore\n", .ignore),
    ("exception-policy: drop-packet\nstream:\n  midstream-policy: pass-flow\n", .passFlow),
    ("exception-policy: drop-packet\n", .dropPacket),
  ])
  func connectionsWithoutAHandshake(yaml: String, policy: ExceptionPolicy) throws {
    #expect(try settings(yaml).engine.midstreamPolicy == policy)
  }

  @Test(arguments: [
    ("a: 1\n", ExceptionPolicy.dropFlow), ("exception-policy: ignore\n", .ignore),
    ("exception-policy: ignore\napp-layer:\n  error-policy: reject\n", .reject),
    ("app-layer:\n  error-policy: ignore\n", .ignore),
  ])
  func applicationsThatAreLost(yaml: String, policy: ExceptionPolicy) throws {
    #expect(try settings(yaml).engine.applicationPolicy == policy)
  }

  @Test(arguments: [
    ("default", ApplicationOptions.TLS.Encrypted.followed), ("track-only", .followed), ("bypass", .bypassed),
    ("full", .inspected),
  ])
  func encryptionHandling(name: String, handling: ApplicationOptions.TLS.Encrypted) throws {
    let yaml = "app-layer:\n  protocols:\n    tls:\n      encryption-handling: "
    #expect(try settings(yaml + name + "\n").engine.application.options.tls.encrypted == handling)
    #expect(throws: CommandFailure.self) { try settings(yaml + "none\n") }
  }

  @Test func theCommandLineWins() throws {
    let yaml = """
      stream:
        midstream: no
        checksum-validation: yes
      outputs:
        - eve-log:
            enabled: yes
            filename: a.json
      rule-files: [a.rules]
      default-log-dir: logs
      """
    let settings = try settings(
      yaml, "--set", "stream.midstream=true", "--set", "outputs.0.eve-log.filename = b.json", "-k", "none", "-S",
      "c.rules", "-l", "mine")
    #expect(settings.engine.midstream)
    #expect(!settings.engine.validatesChecksums)
    #expect(settings.eve.fileName == "b.json")
    #expect(settings.ruleFiles == ["c.rules"])
    #expect(settings.logFolder == "mine")
  }

  @Test func filesNamedInSettingsAreReadWhenTheyAreThere() throws {
    try folder.write("threshold.config", "suppress gen_id 1, sig_id 7\n")
    try folder.write("classification.config", "config classification: mine,My own class,2\n")
    let settings = try settings(
      """
      threshold-file: threshold.config
      classification-file: classification.config
      """)
    #expect(settings.thresholdFile == folder.path + "/threshold.config")
    #expect(settings.classifications.entries["mine"]?.description == "My own class")
    #expect(settings.notes.isEmpty)

    let without = try self.settings("a: 1\n", "--set", "threshold-file=\(folder.path)/none")
    #expect(without.thresholdFile == nil)
    #expect(without.notes.first == "--set: threshold-file: \(folder.path)/none is not there; it is left out")
  }

  @Test func includesAreReadBesideTheFile() throws {
    try folder.write("more.yaml", "midstream: yes\nreassembly:\n  depth: 10\n")
    try folder.write("top.yaml", "vars:\n  address-groups:\n    HOME_NET: any\n")
    let settings = try settings(
      """
      include: top.yaml
      stream: !include more.yaml
      """)
    #expect(settings.engine.addressVariables["HOME_NET"] == "any")
    #expect(settings.engine.midstream)
    #expect(settings.engine.reassemblyDepth == 10)
  }

  @Test func aMissingIncludeIsANoteAndStrictlyAnError() throws {
    let yaml = "stream:\n  midstream: yes\ninclude: none.yaml\n"
    let note =
      "\(folder.path)/suricata.yaml:3:10: the file to include, \(folder.path)/none.yaml, is not there; "
      + "its settings are left out"
    let lenient = try settings(yaml)
    #expect(lenient.engine.midstream)
    #expect(lenient.notes == [note])
    #expect(throws: CommandFailure(.badConfiguration, note)) { _ = try settings(yaml, "--strict") }
  }

  @Test func aFileThatIncludesItselfEnds() throws {
    let error = #expect(throws: CommandFailure.self) { _ = try settings("include: suricata.yaml\n") }
    #expect(error?.status == .badConfiguration)
    #expect(error?.message.hasSuffix("suricata.yaml:1:10: expected at most 16 includes within each other") == true)
  }

  @Test func settingsWithoutEffectAreTold() throws {
    let yaml = "logging:\n  default-log-level: notice\n  outputs:\n    - console:\n        enabled: yes\n"
    let file = folder.path + "/suricata.yaml"
    #expect(
      try settings(yaml, "--set", "no.such.thing=1", "--runmode", "single").notes == [
        "--set no.such.thing: this setting has no effect",
        "\(file): 2 settings have no effect; -v lists them", "--runmode has no effect",
      ])
    #expect(
      try settings(yaml, "-v").notes == [
        "\(file):2:22: logging.default-log-level: this setting has no effect",
        "\(file):5:18: logging.outputs.0.console.enabled: this setting has no effect",
      ])
  }

  @Test(arguments: [
    ("stream:\n  midstream: perhaps\n", ":2:14: stream.midstream: expected yes or no; found perhaps"),
    ("stream:\n\tmidstream: yes\n", ":2:1: while scanning for the next token: found character that cannot start"),
    ("stream: [1, 2\n", ":2:1: while parsing a flow sequence: did not find expected ',' or ']'"),
    ("a: 1\na: 2\n", ":1:1: expected every name once; found twice: a"),
    ("just text\n", ":1:1: expected settings as `name: value`"),
    ("stream:\n  memcap: much\n", ":2:11: stream.memcap: expected bytes from 65536 to 1099511627776, such as 64mb"),
    ("vars:\n  address-groups:\n    HOME_NET:\n", ": HOME_NET: expected addresses or ports"),
    ("a: 1\n---\nb: 2\n", ":2:1: expected a single document in the stream: but found another document"),
  ])
  func mistakesHaveTheirPlace(yaml: String, message: String) throws {
    let error = #expect(throws: CommandFailure.self) { _ = try settings(yaml) }
    #expect(error?.status == .badConfiguration)
    #expect(error?.message.contains("suricata.yaml") == true)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test func mistakesOnTheCommandLineNameTheSetting() throws {
    #expect(
      throws: CommandFailure(.badConfiguration, "--set stream.midstream=perhaps: expected yes or no")
    ) {
      _ = try settings("a: 1\n", "--set", "stream.midstream=perhaps")
    }
    let error = #expect(throws: CommandFailure.self) { _ = try settings("a: 1\n", "--set", "stream") }
    #expect(error?.status == .usage)
  }

  @Test func sizesAreReadAsSuricataWritesThem() {
    #expect(SettingTree.bytes("8kb") == 8192)
    #expect(SettingTree.bytes("1.5 MB") == 1_572_864)
    #expect(SettingTree.bytes("2gb") == 2 << 30)
    #expect(SettingTree.bytes("50") == 50)
    for text in ["", "kb", "-1", "1tb", "0x10", "1e5", "1.2.3", "99999999999999999999"] {
      #expect(SettingTree.bytes(text) == nil, "\(text)")
    }
  }

  @Test func anyBytesAreReadWithoutACrash() throws {
    let sound = Array(
      """
      %YAML 1.1
      ---
      vars: &v
        address-groups: {HOME_NET: "[192.0.2.0/24]", X: any}
      stream: {midstream: yes, memcap: 32mb}
      again: *v
      outputs:
        - eve-log:
            enabled: yes
            types: [alert: {payload: yes}, flow]
      """.utf8)
    for seed in UInt64(1)...300 {
      var generator = SeededGenerator(seed: seed)
      let file = try folder.write("suricata.yaml", mutated(sound, using: &generator))
      do {
        _ = try DPISettings(try DPIOptions.parse(["-r", "in.pcap", "-c", file]))
      } catch let error as CommandFailure {
        #expect(error.status == .badConfiguration, "seed \(seed): \(error)")
        #expect(error.message.hasPrefix(file + ":"), "seed \(seed): \(error)")
      }
    }
  }

  @Test func nestedAliasesHaveABound() throws {
    var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      yaml += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
    }
    let error = #expect(throws: CommandFailure.self) { _ = try settings(yaml) }
    #expect(error?.message.hasSuffix("expected at most 200000 settings") == true)
  }
}
