import AllyPacket
import Testing

@testable import AllyDPI

/// What becomes of flows that the engine cannot follow.
@Suite struct ExceptionPolicyTests {
  /// A ClientHello, and an answer whose record is none of TLS.
  private func brokenTLS(_ engine: inout TestEngine, answer: [UInt8] = [0x16, 0x77, 0x77, 0, 5, 1, 2, 3, 4, 5])
    -> [Verdict]
  {
    var connection = Connection(serverPort: 443)
    connection.open(&engine)
    return [
      connection.say(TLSSample.clientHello(), fromClient: true, &engine),
      connection.say(answer, fromClient: false, &engine),
      connection.say([1], fromClient: true, &engine),
      connection.say([1], fromClient: false, &engine),
    ]
  }

  @Test(arguments: [
    (ExceptionPolicy.dropFlow, [Verdict.accept, .drop, .drop, .drop]),
    (.dropPacket, [.accept, .drop, .accept, .accept]),
    (.ignore, [.accept, .accept, .accept, .accept]), (.passFlow, [.accept, .accept, .accept, .accept]),
  ])
  func anApplicationThatIsLost(policy: ExceptionPolicy, verdicts: [Verdict]) throws {
    for isInline in [true, false] {
      var engine = try TestEngine("") { configuration in
        configuration.isInline = isInline
        configuration.applicationPolicy = policy
        configuration.records = [.drops]
      }
      #expect(brokenTLS(&engine) == (isInline ? verdicts : [.accept, .accept, .accept, .accept]))
      let isDropped = isInline && policy.stopsTraffic
      #expect(engine.records.first?.contains("\"reason\":\"applayer error\"") == (isDropped ? true : nil))
    }
  }

  @Test func anApplicationThatIsFollowedPasses() throws {
    var engine = try TestEngine("") { configuration in
      configuration.isInline = true
      configuration.applicationPolicy = .dropFlow
    }
    #expect(brokenTLS(&engine, answer: TLSSample.serverHello()).prefix(2) == [.accept, .accept])
  }
}
