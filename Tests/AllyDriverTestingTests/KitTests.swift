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
    checkDriver(DefectiveDriver<Kind>.self, vectors: E1000Family.vectors, on: E1000Family.bench(), seed: 1)
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
  @Test func isolation() { expectOnlyItsLaw(NICsBufferPublished.self) }
  @Test func noUninspectedByte() { expectOnlyItsLaw(DropNotMarked.self) }
  @Test func hostileOS() { expectOnlyItsLaw(WideWritesPassedOn.self) }
  @Test func resetAtEveryStep() { expectOnlyItsLaw(NoReceptionAfterRestart.self) }

  @Test(.enabled(if: isOptimised, "wants an optimised build: swift test -c release"))
  func zeroAllocation() { expectOnlyItsLaw(AllocationPerFrame.self) }
  @Test(.enabled(if: isOptimised, "wants an optimised build: swift test -c release"))
  func specialisation() { expectOnlyItsLaw(LengthBehindExistential.self) }

  @Test func everyLawHasItsMistake() {
    let mistakes: [any Mistake.Type] = [
      LengthCutInFormat.self, ChecksumBitsSwapped.self, RegisterCut.self, RowsOfTheirOwn.self,
      TailForgottenAfterATurn.self, HeadNotShown.self, NICsBufferPublished.self, DropNotMarked.self,
      WideWritesPassedOn.self, NoReceptionAfterRestart.self, AllocationPerFrame.self, LengthBehindExistential.self,
    ]
    #expect(mistakes.map { $0.law } == Law.allCases)
  }

  @Test func aFailurePrintsItsLawASentenceTheSeedAndTheRings() throws {
    let failure = try #require(check(TailForgottenAfterATurn.self).first)
    let lines = failure.description.split(separator: "\n")
    #expect(lines[0].hasPrefix("orderAcrossWrap: inPlace: of "))
    #expect(lines[0].hasSuffix("(seed 1)"))
    #expect(lines[1].hasPrefix("  receive 0: "))
    let picture = #/    (?:OS |DPI)(?: [.PCX]){32}  h\d+ t\d+/#
    #expect(lines.dropFirst().filter { (try? picture.wholeMatch(in: $0)) != nil }.count == 4)
  }
}

/// Whether the compiler has optimised this.
private let isOptimised: Bool = {
  var isOptimised = true
  assert(
    {
      isOptimised = false
      return true
    }())
  return isOptimised
}()
