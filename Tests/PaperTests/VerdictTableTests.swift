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

  private static let levels: [PacketProtection] = [.inPlace, .copyToDPIMemory, .checksum]

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
          + Self.levels.filter(Virtualizer.supports).map {
            Virtualizer.supportedActions(at: $0, limits: limits).contains(action) ? "yes" : "no"
          }
      }
    }
    func rows<Driver: NICDriver>(_ driver: Driver.Type) -> [[String]] {
      rows(virtualizer: RingVirtualizer<Driver>.self)
    }
    let table = try Self.table("actions")
    #expect(table == rows(E1000ChecksumDriver.self))
    // The others have all levels but the last.
    let withoutChecksum = table.map { Array($0.dropLast()) }
    #expect(withoutChecksum == rows(E1000Driver.self))
    #expect(withoutChecksum == rows(E1000EDriver.self))
    #expect(withoutChecksum == rows(IGBDriver.self))
    #expect(withoutChecksum == rows(IGBVirtualFunctionDriver.self))
    #expect(withoutChecksum == rows(virtualizer: VirtqueueVirtualizer<VirtioNetDriver>.self))
    #expect(
      try Self.table("byte ring actions") == rows(virtualizer: ByteRingVirtualizer<RTL8139Driver>.self))
  }

  @Test func whatADropLooksLikeOnEachNIC() throws {
    func row<Virtualizer: NICVirtualizer & ~Copyable>(
      _ driver: Any.Type, _ drop: ReceiveDropAppearance, virtualizer: Virtualizer.Type
    ) -> [String] {
      let levels = Self.levels.filter(Virtualizer.supports).map { "\($0)" }
      return ["\(driver)", "\(drop)", levels.joined(separator: ",")]
    }
    func row<Driver: NICDriver>(_ driver: Driver.Type) -> [String] {
      row(driver, driver.receiveDrop, virtualizer: RingVirtualizer<Driver>.self)
    }
    typealias Virtqueues = VirtqueueVirtualizer<VirtioNetDriver>
    typealias ByteRing = ByteRingVirtualizer<RTL8139Driver>
    #expect(
      try Self.table("drops") == [
        row(E1000Driver.self), row(E1000ChecksumDriver.self), row(E1000EDriver.self), row(IGBDriver.self),
        row(IGBVirtualFunctionDriver.self),
        row(VirtioNetDriver.self, Virtqueues.receiveDrop, virtualizer: Virtqueues.self),
        row(RTL8139Driver.self, ByteRing.receiveDrop, virtualizer: ByteRing.self),
      ])
  }
}
