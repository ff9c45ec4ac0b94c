import AllyRings
import Testing

@Suite struct InterruptMimicTests {
  private func expectInterrupt(
    _ expected: Bool, _ mimic: inout InterruptMimic, at now: UInt64, _ why: Comment? = nil,
    location: SourceLocation = #_sourceLocation
  ) {
    let isSent = mimic.takeInterrupt(at: now)
    #expect(isSent == expected, why, sourceLocation: location)
  }

  @Test func oneInterruptForEachRise() {
    var mimic = InterruptMimic()
    mimic.add(cause: 0x80)
    expectInterrupt(false, &mimic, at: 0, "masked")
    mimic.enable(0x80)
    expectInterrupt(true, &mimic, at: 0)
    expectInterrupt(false, &mimic, at: 1)
    mimic.add(cause: 0x80)
    expectInterrupt(false, &mimic, at: 2, "the OS has not looked yet")
    #expect(mimic.coalesced == 1)
    mimic.acknowledge(remaining: 0)
    expectInterrupt(false, &mimic, at: 3)
    mimic.add(cause: 0x80)
    expectInterrupt(true, &mimic, at: 4)
    #expect(mimic.interrupts == 2)
  }

  @Test func whatWasRaisedWhileTheOSReadInterruptsAgain() {
    var mimic = InterruptMimic()
    mimic.enable(0x81)
    mimic.add(cause: 0x80)
    expectInterrupt(true, &mimic, at: 0)
    mimic.acknowledge(remaining: 1)
    expectInterrupt(true, &mimic, at: 0)
    #expect(mimic.cause == 1)
  }

  @Test func unmaskingAPendingCauseInterrupts() {
    var mimic = InterruptMimic()
    mimic.enable(0x80)
    mimic.add(cause: 0x80)
    expectInterrupt(true, &mimic, at: 0)
    mimic.disable(.max)
    expectInterrupt(false, &mimic, at: 1)
    mimic.enable(0x80)
    expectInterrupt(true, &mimic, at: 2, "a driver that polled too little")
  }

  @Test func theRateLimitHolds() {
    var mimic = InterruptMimic()
    mimic.enable(1)
    mimic.minimumInterval = 1000
    var sent = 0
    for now in stride(from: UInt64(0), to: 10_000, by: 100) {
      mimic.add(cause: 1)
      if mimic.takeInterrupt(at: now) {
        sent += 1
        mimic.acknowledge(remaining: 0)
      }
    }
    #expect(sent == 10)
    #expect(mimic.nextInterrupt == 10_000, "the last one waits")
    expectInterrupt(true, &mimic, at: 10_000)
    #expect(mimic.nextInterrupt == nil)
  }

  @Test func aPatientCauseGoesWithTheNextOrAfterItsTime() {
    var mimic = InterruptMimic()
    mimic.enable(0x81)
    mimic.patientCauses = 1
    mimic.patience = 1000
    mimic.add(cause: 1)
    expectInterrupt(false, &mimic, at: 0)
    #expect(mimic.nextInterrupt == 1000)
    mimic.add(cause: 0x80)
    #expect(mimic.nextInterrupt == 0)
    expectInterrupt(true, &mimic, at: 500, "another takes it along")
    #expect(mimic.cause == 0x81)
    mimic.acknowledge(remaining: 0)
    mimic.add(cause: 1)
    expectInterrupt(false, &mimic, at: 600)
    expectInterrupt(false, &mimic, at: 1599)
    expectInterrupt(true, &mimic, at: 1600, "it waits from when it came, and no longer")
    mimic.acknowledge(remaining: 0)
    mimic.add(cause: 1)
    expectInterrupt(false, &mimic, at: 2000)
    mimic.patience = 0
    expectInterrupt(true, &mimic, at: 2001, "nothing is to wait any more")
  }

  @Test func theRateLimitHoldsForPatientCausesToo() {
    var mimic = InterruptMimic()
    mimic.enable(1)
    mimic.minimumInterval = 5000
    mimic.patientCauses = 1
    mimic.add(cause: 1)
    expectInterrupt(true, &mimic, at: 0)
    mimic.acknowledge(remaining: 0)
    mimic.patience = 1000
    mimic.add(cause: 1)
    expectInterrupt(false, &mimic, at: 10)
    #expect(mimic.nextInterrupt == 5000)
    expectInterrupt(true, &mimic, at: 5000)
  }
}
