/// What signatures of one set of rules are in another: the same rule has the same generator and signature id.
struct MatchTranslation {
  private let former: DetectionProgram
  /// By ``DetectionTables/identities``.
  private let successors: [UInt32: [UInt32]]

  init(from former: DetectionProgram, to program: DetectionProgram) {
    self.former = former
    let identities = program.tables.identities
    successors = Dictionary(grouping: 0..<UInt32(identities.count)) { identities[$0] }
  }

  /// The signatures that stand for a former one; none when its rule is gone.
  func signatures(of signature: UInt32) -> [UInt32] { successors[former.tables.identities[signature]] ?? [] }
}
