import AllyDPI
@testable import AllyDPITools
import ArgumentParser
import Testing

@Suite struct OptionsTests {
  @Test func suricatasSwitchesAreTaken() throws {
    let options = try DPIOptions.parse([
      "-r", "in.pcap", "-S", "a.rules", "b.rules", "-l", "logs", "-k", "none", "--simulate-ips", "-c", "suricata.yaml",
      "--set", "stream.midstream=true", "--set", "a.b=c=d", "--runmode=single", "-S", "c.rules", "--var",
      "HOME_NET=any",
      "-vv", "--init-errors-fatal",
    ])
    #expect(options.capture == "in.pcap")
    #expect(options.rules == ["a.rules", "b.rules", "c.rules"])
    #expect(options.logFolder == "logs")
    #expect(options.checksums == ChecksumValidation.none)
    #expect(options.inline)
    #expect(options.configuration == "suricata.yaml")
    #expect(options.settings == ["stream.midstream=true", "a.b=c=d"])
    #expect(options.variables == [RuleVariable("HOME_NET=any")])
    #expect(options.ignoredOptions == ["--runmode"])
    #expect(options.verbose == 2)
    #expect(options.strict)
  }

  @Test func longNamesMeanTheSame() throws {
    let options = try DPIOptions.parse(["--read", "in.pcap", "--rules", "a", "b", "--log-dir", "logs", "--inline"])
    #expect(options.capture == "in.pcap")
    #expect(options.rules == ["a", "b"])
    #expect(options.logFolder == "logs")
    #expect(options.inline)
    #expect(options.checksums == nil)
  }

  @Test(arguments: [
    ["-r", "in.pcap"], ["-r", "in.pcap", "-S", "a", "-k", "some"],
    ["-r", "in.pcap", "-S", "a", "--var", "HOME_NET"], ["-r", "in.pcap", "-S", "a", "--unknown"],
  ])
  func wrongCommandLinesAreUsageErrors(_ arguments: [String]) {
    let error = #expect(throws: (any Error).self) { _ = try DPIOptions.parse(arguments) }
    #expect(error.map { DPIOptions.exitCode(for: $0).rawValue } == 64)
  }

  @Test func whatAVariableIsIsToldToWhoeverWritesAnother() {
    let error = #expect(throws: (any Error).self) { _ = try DPIOptions.parse(["-S", "a", "--var", "HOME_NET"]) }
    #expect(error.map { DPIOptions.fullMessage(for: $0).contains("expected NAME=VALUE") } == true)
  }

  @Test(
    arguments: [
      ([], "expected either a capture"), (["-r", "in.pcap", "--socket", "path"], "expected either a capture"),
      (["--socket", "path", "-S", "a"], "--socket with rules"),
      (["-r", "in.pcap", "-S", "a", "--limit", "0"], "expected a number from 1 to 1000000"),
    ] as [([String], String)])
  func costsAreThoseOfOneRun(_ arguments: [String], _ reason: String) {
    let error = #expect(throws: (any Error).self) { _ = try RulesTopOptions.parse(arguments) }
    #expect(error.map { RulesTopOptions.fullMessage(for: $0).contains(reason) } == true)
  }

  @Test func variablesNeedNoDollar() {
    #expect(RuleVariable("$NET=[10.0.0.0/8,!10.1.0.0/16]")?.name == "NET")
    #expect(RuleVariable("NET=") == nil)
    #expect(RuleVariable("=any") == nil)
  }

  @Test func aVariableIsKnownWhereItIsUsed() throws {
    let options = try DPIOptions.parse([
      "-r", "in.pcap", "-S", "a", "--var", "HOME_NET=192.0.2.0/24", "--var", "SSH_PORTS=[22,2222]", "--var", "MINE=any",
    ])
    let settings = try DPISettings(options)
    #expect(settings.engine.addressVariables["HOME_NET"] == "192.0.2.0/24")
    #expect(settings.engine.portVariables["HOME_NET"] == nil)
    #expect(settings.engine.portVariables["SSH_PORTS"] == "[22,2222]")
    #expect(settings.engine.addressVariables["SSH_PORTS"] == nil)
    #expect(settings.engine.addressVariables["MINE"] == "any")
    #expect(settings.engine.portVariables["MINE"] == "any")
  }
}
