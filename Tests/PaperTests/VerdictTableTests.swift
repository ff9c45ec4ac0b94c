import AllyDrivers
import AllyPacket
import AllyRings
import Foundation
import Testing

/// The tables of Docs/Architecture.md about verdicts say what the code does.
@Suite struct VerdictTableTests {
  /// The rows between two marks, cell by cell, without the heading.
  private static func table(_ name: String) throws -> [[String]] {
    let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let text = try String(contentsOf: URL(fileURLWithPath: "/\(folder)/Docs/Architecture.md"), encoding: .utf8)
    let begin = try #require(text.range(of: "<!-- \(name): begin -->"))
    let end = try #require(text.range(of: "<!-- \(name): end -->"))
    return text[begin.upperBound..<end.lowerBound].split(separator: "\n").dropFirst(2).map { row in
      row.split(separator: "|").map { cell in
        String(cell.filter { $0 != " " && $0 != "`" })
      }
    }
  }

  @Test func whatEachProtectionLevelSupports() throws {
    let actions: [(String, InspectorActions)] = [
      ("replacesReceived", .replacesReceived), ("growsReceived", .growsReceived),
      ("replacesTransmitted", .replacesTransmitted), ("injectsTowardsOS", .injectsTowardsOS),
      ("injectsTowardsWire", .injectsTowardsWire),
    ]
    #expect(actions.reduce(into: InspectorActions()) { $0.formUnion($1.1) } == .all)
    let limits = RingLimits(copyMemory: 1 << 20)
    func rows<Virtualizer: NICVirtualizer & ~Copyable>(virtualizer: Virtualizer.Type) -> [[String]] {
      actions.map { name, action in
        [name]
          + [PacketProtection.inPlace, .copyToDPIMemory].map {
            Virtualizer.supportedActions(at: $0, limits: limits).contains(action) ? "yes" : "no"
          }
      }
    }
    func rows<Driver: NICDriver>(_ driver: Driver.Type) -> [[String]] {
      rows(virtualizer: RingVirtualizer<Driver>.self)
    }
    let table = try Self.table("actions")
    #expect(table == rows(E1000Driver.self))
    #expect(table == rows(E1000EDriver.self))
    #expect(table == rows(IGBDriver.self))
    #expect(table == rows(IGBVirtualFunctionDriver.self))
    #expect(table == rows(virtualizer: VirtqueueVirtualizer<VirtioNetDriver>.self))
  }

  @Test func whatADropLooksLikeOnEachNIC() throws {
    func row<Driver: NICDriver>(_ driver: Driver.Type) -> [String] { ["\(driver)", "\(driver.receiveDrop)"] }
    #expect(
      try Self.table("drops") == [
        row(E1000Driver.self), row(E1000EDriver.self), row(IGBDriver.self), row(IGBVirtualFunctionDriver.self),
        ["\(VirtioNetDriver.self)", "\(VirtqueueVirtualizer<VirtioNetDriver>.receiveDrop)"],
      ])
  }
}
