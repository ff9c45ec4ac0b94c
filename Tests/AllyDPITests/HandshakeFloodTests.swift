import AllyPacket
import Testing

@testable import AllyDPI

/// Many different beginnings of one connection.
@Suite struct HandshakeFloodTests {
  private func alerts(syns: Int, answers: Int) throws -> Set<Int> {
    var engine = try TestEngine(
      """
      alert tcp any any -> any any (stream-event:3whs_syn_flood; sid:1;)
      alert tcp any any -> any any (stream-event:3whs_synack_flood; sid:2;)
      """)
    for number in 0..<syns {
      engine.send(TestFrame(flags: 0x02, sequence: 1000 + UInt32(number) * 7, acknowledgement: 0))
    }
    let last = 1000 + UInt32(max(0, syns - 1)) * 7
    for number in 0..<answers {
      var answer = TestFrame(sequence: last + 1, acknowledgement: 5000 + UInt32(number) * 9).reply
      answer.flags = 0x12
      engine.send(answer)
    }
    return Set(engine.alerts)
  }

  @Test func floods() throws {
    #expect(try alerts(syns: 1, answers: 1) == [])
    #expect(try alerts(syns: 5, answers: 3) == [])
    #expect(try alerts(syns: 15, answers: 1) == [1])
    #expect(try alerts(syns: 1, answers: 9) == [2])
  }
}
