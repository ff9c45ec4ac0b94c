import Testing

@testable import AllyDPI

/// `iprep`; what fires is Suricata 7.0.10's answer to the same lists.
@Suite struct AddressReputationTests {
  private static let rules = """
    alert udp any any -> any any (iprep:src,Bad,isset; sid:1;)
    alert udp any any -> any any (iprep:src,Bad,isnotset; sid:2;)
    alert udp any any -> any any (iprep:dst,Bad,isset; sid:3;)
    alert udp any any -> any any (iprep:dst,Bad,isnotset; sid:4;)
    alert udp any any -> any any (iprep:any,Bad,isset; sid:5;)
    alert udp any any -> any any (iprep:any,Bad,isnotset; sid:6;)
    alert udp any any -> any any (iprep:both,Bad,isset; sid:7;)
    alert udp any any -> any any (iprep:both,Bad,isnotset; sid:8;)
    alert udp any any -> any any (iprep:any,Bad,<,4; sid:9;)
    alert udp any any -> any any (iprep:both,Bad,<,9; sid:10;)
    """

  /// - Parameter lists: lines of scores.
  private static func alerts(_ rules: String, _ lists: String) throws -> [Int] {
    let configure: (inout DPIConfiguration) -> Void = { configuration in
      var problems = configuration.addressReputations.readCategories(
        Array("1,Bad,Known bad hosts\n2,Good,Known good\n".utf8), file: "categories")
      problems += configuration.addressReputations.readScores(Array(lists.utf8), file: "scores")
      for problem in problems { Issue.record("\(problem)") }
    }
    var engine = try TestEngine(rules, configure)
    engine.send(TestFrame(ipProtocol: 17, payload: [1]))
    engine.finish()
    return engine.alerts.sorted()
  }

  /// The scores of sender and receiver in the category; nil for none.
  @Test(
    arguments: [
      (nil, nil, [2, 4, 6, 8]), (nil, 0, [2, 3, 4, 5, 6, 9]), (nil, 5, [2, 3, 5, 6]), (0, nil, [1, 2, 4, 5, 6, 9]),
      (0, 0, [1, 2, 3, 4, 5, 7, 9, 10]), (0, 5, [1, 2, 3, 5, 7, 9, 10]), (5, nil, [1, 4, 5, 6]),
      (5, 0, [1, 3, 4, 5, 7, 9, 10]), (5, 5, [1, 3, 5, 7, 10]),
    ] as [(Int?, Int?, [Int])])
  func sides(_ source: Int?, _ destination: Int?, _ expected: [Int]) throws {
    var lists = "9.9.9.9,1,3\n"
    if let source { lists += "10.0.0.1,1,\(source)\n" }
    if let destination { lists += "192.0.2.80,1,\(destination)\n" }
    #expect(try Self.alerts(Self.rules, lists) == expected)
  }

  @Test func theSmallestNetworkDecides() throws {
    let rules = """
      alert udp any any -> any any (iprep:src,Bad,=,7; sid:1;)
      alert udp any any -> any any (iprep:dst,Bad,=,30; sid:2;)
      alert udp any any -> any any (iprep:dst,Good,=,1; sid:3;)
      """
    let lists =
      "10.0.0.0/8,1,50\n10.0.0.0/31,1,7\n10.0.0.2/32,1,99\n192.0.0.0/8,1,30\n0.0.0.0/0,2,1\n2001:db8::/32,1,4\n"
    #expect(try Self.alerts(rules, lists) == [1, 2, 3])
  }

  /// A host that is listed in one category has a score of 0 in the others, whatever its network has.
  @Test func aHostsOwnEntryHidesItsNetworks() throws {
    let rules = """
      alert udp any any -> any any (iprep:src,Good,>,0; sid:1;)
      alert udp any any -> any any (iprep:src,Good,<=,20; sid:2;)
      """
    #expect(try Self.alerts(rules, "10.0.0.1,1,40\n10.0.0.0/24,2,20\n") == [2])
  }

  @Test func unknownCategoriesAreTold() throws {
    let rules = TestRules.read("alert ip any any -> any any (iprep:any,Nope,>,20; sid:1;)")
    let program = try DetectionProgram(rules: rules, configuration: DPIConfiguration())
    #expect(program.ruleCount == 0)
    #expect(program.problems.first?.reason.contains("no file of categories") == true)
  }

  @Test func whatIsNoScoreIsTold() {
    var reputations = AddressReputations()
    let problems = reputations.readScores(
      Array("10.0.0.1,1\n10.0.0.256,1,1\n10.0.0.1,60,1\n10.0.0.1,1,128\n10.0.0.0/33,1,1\n# no\n\n10.0.0.1,1,1\n".utf8),
      file: "scores")
    #expect(problems.map(\.location.line) == [1, 2, 3, 4, 5])
  }
}
