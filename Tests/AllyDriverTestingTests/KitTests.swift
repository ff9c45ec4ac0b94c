import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator
import Testing

/// The kit itself: a driver with one mistake breaks the law against it, and no other.
@Suite("The conformance kit finds each mistake, for what it is") struct KitTests {
  private func check<Kind: Mistake>(_ kind: Kind.Type) -> [LawFailure] {
    checkDriver(DefectiveDriver<Kind>.self, vectors: e1000Vectors, on: e1000Bench(), seed: 1)
  }

  private func expectOnlyItsLaw<Kind: Mistake>(_ kind: Kind.Type, sourceLocation: SourceLocation = #_sourceLocation) {
    let failures = check(kind)
    #expect(failures.map(\.law) == [Kind.law], "\(failures)", sourceLocation: sourceLocation)
  }

  @Test func aDriverWithoutMistakePasses() { #expect(check(NoMistake.self).map(\.description) == []) }

  @Test func formats() { expectOnlyItsLaw(LengthCutInFormat.self) }
  @Test func vectors() { expectOnlyItsLaw(ChecksumBitsSwapped.self) }
  @Test func registerMap() { expectOnlyItsLaw(RegisterCut.self) }
  @Test func remappingTableSize() { expectOnlyItsLaw(RowsOfTheirOwn.self) }
  @Test func orderAcrossWrap() { expectOnlyItsLaw(TailForgottenAfterATurn.self) }
  @Test func transparency() { expectOnlyItsLaw(HeadNotShown.self) }
  @Test func isolation() { expectOnlyItsLaw(BaseShownAfterRestart.self) }
  @Test func noUninspectedByte() { expectOnlyItsLaw(DropNotMarked.self) }
  @Test func hostileOS() { expectOnlyItsLaw(WideWritesPassedOn.self) }
  @Test func resetAtEveryStep() { expectOnlyItsLaw(NoReceptionAfterRestart.self) }

  @Test func aFailurePrintsItsLawASentenceAndTheSeed() throws {
    let failure = try #require(check(TailForgottenAfterATurn.self).first)
    #expect(failure.description.hasPrefix("orderAcrossWrap: "))
    #expect(failure.description.contains("(seed 1)\n  receive: "))
  }
}

/// The families of this package.
@Suite("The families conform") struct FamilyTests {
  @Test func e1000() {
    #expect(checkDriver(E1000Driver.self, vectors: e1000Vectors, on: e1000Bench(), seed: 2).map(\.description) == [])
  }
}

var e1000Vectors: DatasheetVectors {
  DatasheetVectors(
    receive: E1000Vectors.receive.map {
      .init(name: $0.name, bytes: $0.bytes, isCompleted: $0.isCompleted, completion: $0.completion)
    },
    transmit: E1000Vectors.transmit.map {
      .init(name: $0.name, bytes: $0.bytes, isCompleted: $0.isCompleted, request: $0.request)
    })
}

/// The 82540EM's model and OS driver, for whichever driver module.
func e1000Bench<Driver: NICDriver>() -> NICBench<RingVirtualizer<Driver>, E1000Model, E1000OSDriver> {
  NICBench(
    queueLength: 32,
    model: { E1000Model(requester: MachineLayout.nic, macAddress: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]) },
    osDriver: {
      E1000OSDriver(
        layout: E1000OSDriver.Layout(
          base: MachineLayout.driverMemory, receiveDescriptors: 32, transmitDescriptors: 32))
    })
}
