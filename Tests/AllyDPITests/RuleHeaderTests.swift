import AllyDPI
import AllyPacket
import Testing

@Suite struct RuleHeaderTests {
  private func header(_ header: String, variables: [String: String] = [:], ports: [String: String] = [:]) -> RuleReport
  {
    readRules("\(header) (msg:\"x\"; sid:7;)", variables: variables, ports: ports)
  }

  private func destinations(_ list: String, variables: [String: String] = [:]) throws -> AddressList {
    let report = header("alert tcp any any -> \(list) any", variables: variables)
    return try #require(report.rules.first, "\(report.problems)").destination
  }

  private func ports(_ list: String, variables: [String: String] = [:]) throws -> PortList {
    let report = header("alert tcp any any -> any \(list)", ports: variables)
    return try #require(report.rules.first, "\(report.problems)").destinationPorts
  }

  // MARK: - Action, protocol, direction

  @Test(arguments: RuleAction.allCases)
  func everyActionIsTakenInAnyCase(_ action: RuleAction) throws {
    #expect(header("\(action.rawValue) ip any any -> any any").rules.first?.action == action)
    #expect(header("\(action.rawValue.uppercased()) ip any any -> any any").rules.first?.action == action)
  }

  @Test(arguments: RuleProtocol.allCases)
  func everyProtocolIsTakenInAnyCase(_ name: RuleProtocol) throws {
    #expect(header("alert \(name.rawValue) any any -> any any").rules.first?.ruleProtocol == name)
    #expect(header("alert \(name.rawValue.uppercased()) any any -> any any").rules.first?.ruleProtocol == name)
  }

  @Test func protocolsHaveOtherNames() {
    #expect(header("alert ipv4 any any -> any any").rules.first?.ruleProtocol == .ip4)
    #expect(header("alert IPv6 any any -> any any").rules.first?.ruleProtocol == .ip6)
  }

  @Test func directions() {
    #expect(header("alert tcp any any -> any any").rules.first?.direction == .forward)
    #expect(header("alert tcp any any <> any any").rules.first?.direction == .both)
    #expect(header("alert tcp any any <- any any").problems.first?.location.column == 19)
  }

  @Test func whatIsBeyondThisVersionIsUnsupportedAndWhatIsWrongIsNot() {
    #expect(header("alert gopher any any -> any any").problems.first?.isUnsupported == true)
    #expect(header("log tcp any any -> any any").problems.first?.isUnsupported == true)
    #expect(header("alret tcp any any -> any any").problems.first?.isUnsupported == false)
  }

  @Test(arguments: [
    ("alret tcp any any -> any any", 1, "action"),
    ("alert tcp any any any any", 19, "'->'"),
    ("alert tcp 1.2.3 any -> any any", 11, "address"),
    ("alert tcp any any -> [1.2.3.4,1.2.3.444] any", 31, "address"),
    ("alert tcp any any -> [1.2.3.4 any", 22, "']'"),
    ("alert tcp any any -> any 70000", 26, "port"),
    ("alert tcp any any -> any 90:80", 26, "lower port first"),
    ("alert tcp any any -> any any any", 30, "'('"),
    ("alert tcp any any -> $NO_NET any", 23, "$NO_NET is not defined"),
    ("alert tcp any any -> any", 26, "destination ports"),
  ])
  func errorsSayWhereAndWhatWasExpected(header text: String, column: Int, reason: String) throws {
    let problem = try #require(header(text).problems.first)
    #expect(problem.location == RuleLocation(file: "test.rules", line: 1, column: column))
    #expect(problem.reason.contains(reason), "\(problem.reason)")
    #expect(problem.sid == 7)
  }

  // MARK: - Addresses

  @Test func anyIsEverything() throws {
    let list = try destinations("any")
    #expect(list.isAny)
    #expect(list.contains(address("1.2.3.4")))
    #expect(list.contains(IPAddress(high: 0x2001_0DB8_0000_0000, low: 1)))
  }

  /// Each of these was observed with Suricata 7.0.10 on packets to the five addresses.
  @Test(arguments: [
    ("10.0.0.0/8", [true, true, false, false, false]),
    ("10.1.1.77/255.255.0.0", [true, false, false, false, false]),
    ("9.0.0.0-10.1.255.255", [true, false, false, false, true]),
    ("!1.2.3.4", [true, true, true, false, true]),
    ("[10.0.0.0/8,!10.1.1.1]", [false, true, false, false, false]),
    ("![10.0.0.0/8,!10.1.1.1]", [true, false, true, true, true]),
    ("![!1.2.3.4]", [false, false, false, true, false]),
    ("[10.0.0.0/8,![10.1.0.0/16,!10.1.1.1]]", [true, true, false, false, false]),
    ("[!10.0.0.0/8,any]", [false, false, true, true, true]),
    ("[1.2.3.4,[!9.9.9.9]]", [false, false, false, true, false]),
    ("[1.2.3.4,[!9.9.9.9,11.1.1.1]]", [false, false, true, true, false]),
    ("[1.2.3.4,$EXTERNAL_NET]", [false, false, false, true, false]),
    ("![1.2.3.4,$EXTERNAL_NET]", [true, true, true, false, true]),
    ("[10.0.0.0/8,!$EXTERNAL_NET]", [true, true, false, false, false]),
    ("!$EXTERNAL_NET", [true, true, false, false, false]),
    ("[!1.2.3.4,$EXTERNAL_NET]", [false, false, true, false, true]),
    ("[9.9.9.9,![1.2.3.4,!11.1.1.1]]", [false, false, false, false, true]),
    ("![$HOME_NET,!10.1.1.1]", [true, false, true, true, true]),
    ("[!$HOME_NET,!9.9.9.9]", [false, false, true, true, false]),
    ("1.2.3.4,9.9.9.9", [false, false, false, true, true]),
    ("[ 1.2.3.4 , 9.9.9.9, ]", [false, false, false, true, true]),
    ("0.0.0.0/0", [true, true, true, true, true]),
    ("::/0", [false, false, false, false, false]),
  ])
  func listsMeanWhatSuricataMakesOfThem(_ list: String, expected: [Bool]) throws {
    let resolved = try destinations(list)
    let seen = ["10.1.1.1", "10.2.2.2", "11.1.1.1", "1.2.3.4", "9.9.9.9"].map { resolved.contains(address($0)) }
    #expect(seen == expected)
  }

  @Test func listsAreSortedAndDisjoint() throws {
    let list = try destinations("[10.0.0.128/25,10.0.0.0/25,1.2.3.4,1.2.3.5,!10.0.0.7]")
    #expect(
      list.included == [
        .init(first: address("1.2.3.4"), last: address("1.2.3.5")),
        .init(first: address("10.0.0.0"), last: address("10.0.0.6")),
        .init(first: address("10.0.0.8"), last: address("10.0.0.255")),
      ])
    #expect(list.containsNegation)
    #expect(try !destinations("[10.0.0.0/8,1.2.3.4]").containsNegation)
  }

  @Test func addressesOfIPv6() throws {
    let list = try destinations("[2001:db8::/32,!2001:db8::5,fe80::1:2-fe80::1:4,::1]")
    #expect(list.contains(IPAddress(high: 0x2001_0DB8_0000_0000, low: 4)))
    #expect(!list.contains(IPAddress(high: 0x2001_0DB8_0000_0000, low: 5)))
    #expect(list.contains(IPAddress(high: 0x2001_0DB8_FFFF_FFFF, low: .max)))
    #expect(!list.contains(IPAddress(high: 0x2001_0DB9_0000_0000, low: 0)))
    #expect(list.contains(IPAddress(high: 0xFE80_0000_0000_0000, low: 0x1_0003)))
    #expect(list.contains(IPAddress(high: 0, low: 1)))
    #expect(!list.contains(address("0.0.0.1")))
    #expect(try destinations("::ffff:1.2.3.4").contains(address("1.2.3.4")))
  }

  @Test(arguments: [
    "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/255.0.255.0", "1.2.3.4.5", "01.02.03.04", "1.2.3.9-1.2.3.4", "2001:db8::/129",
    "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "::1::", "12345::", "1.2.3.4-::1", "foo", "!any", "[]", "[,1.2.3.4]",
    "[!10.0.0.0/8,10.1.1.1]", "[10.0.0.0/8,!10.0.0.0/7]", "![0.0.0.0/0,::/0]", "[$HOME_NET,$EXTERNAL_NET]", "1.2.3.4]",
    "[1.2.3.4 5.6.7.8]",
  ])
  func addressesThatDoNotLoad(_ list: String) {
    let report = header("alert tcp any any -> \(list) any")
    #expect(report.rules.isEmpty)
    #expect(report.problems.count == 1)
  }

  // MARK: - Ports

  @Test(
    arguments: [
      ("any", [0...65535]), ("80", [80...80]), ("!80", [0...79, 81...65535]), ("80:", [80...65535]), (":80", [0...80]),
      ("[80,81, 90]", [80...81, 90...90]), ("[80:90,!85]", [80...84, 86...90]), ("![80,81]", [0...79, 82...65535]),
      ("80,443", [80...80, 443...443]), ("[2000:2003,![2001,!2002]]", [2000...2000, 2002...2003]),
      ("![!2002]", [2002...2002]), ("$HTTP_PORTS", [80...80]), ("[$SHELLCODE_PORTS,2001]", [2001...2001]),
      ("!$SHELLCODE_PORTS", [80...80]), ("[any,!80]", [0...79, 81...65535]), (":", [0...65535]),
    ] as [(String, [ClosedRange<UInt16>])])
  func portLists(_ list: String, expected: [ClosedRange<UInt16>]) throws {
    let resolved = try ports(list)
    #expect(resolved.included == expected)
    #expect(resolved.isAny == (expected == [0...65535]))
    #expect(resolved.contains(expected[0].lowerBound))
  }

  @Test(arguments: [
    "65536", "-1", "80-90", "90:80", "foo", "[80,!80]", "[!80:90,85]", "!any", "!0:65535", "[]", "$NO_PORTS", "1:2:3",
  ])
  func portsThatDoNotLoad(_ list: String) {
    let report = header("alert tcp any any -> any \(list)")
    #expect(report.rules.isEmpty)
    #expect(report.problems.count == 1)
  }

  // MARK: - Variables

  @Test func variablesNameEachOther() throws {
    let variables = ["A": "[$B,1.2.3.4]", "B": "[$C]", "C": "9.9.9.9"]
    let list = try destinations("$A", variables: variables)
    #expect(list.contains(address("1.2.3.4")) && list.contains(address("9.9.9.9")))
    #expect(!list.contains(address("1.2.3.5")))
  }

  @Test func aVariableThatLeadsBackToItselfFailsTheRulesThatUseIt() throws {
    let variables = ["A": "$B", "B": "[$C,1.2.3.4]", "C": "!$A", "D": "1.2.3.4"]
    let problem = try #require(header("alert tcp any any -> $A any", variables: variables).problems.first)
    #expect(problem.reason.contains("leads back to itself: $A -> $B -> $C -> $A"), "\(problem.reason)")
    #expect(header("alert tcp any any -> $D any", variables: variables).rules.count == 1)
  }

  @Test func aVariableWithAnErrorSaysSoAtTheRule() throws {
    let report = header("alert tcp any any -> [$A,1.1.1.1] any", variables: ["A": "[1.2.3.4,1.2.3]"])
    let problem = try #require(report.problems.first)
    #expect(problem.location.column == 24)
    #expect(problem.reason.contains("$A") && problem.reason.contains("'1.2.3'"), "\(problem.reason)")
  }

  @Test func chainsAndListsThatAreTooDeepAreErrors() {
    var variables: [String: String] = [:]
    for number in 0..<500 { variables["V\(number)"] = "$V\(number + 1)" }
    variables["V500"] = "1.2.3.4"
    #expect(header("alert tcp any any -> $V0 any", variables: variables).problems.count == 1)
    let deep = String(repeating: "[", count: 20_000) + "1.2.3.4" + String(repeating: "]", count: 20_000)
    #expect(header("alert tcp any any -> \(deep) any").problems.count == 1)
  }
}
