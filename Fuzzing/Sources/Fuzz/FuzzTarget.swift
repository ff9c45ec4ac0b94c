/// Something that reads bytes which nobody vouches for.
protocol FuzzTarget: SendableMetatype {
  /// Of its folders too.
  static var name: String { get }
  /// Bytes of the longest input worth trying.
  static var longestInput: Int { get }
  init() throws
  /// Runs one input from a fresh state, so that a finding is one file. Ends the process when something does not hold.
  mutating func run(_ input: [UInt8])
}

extension FuzzTarget {
  static var longestInput: Int { 4096 }

  /// The target, ready for inputs.
  static func start() throws -> ([UInt8]) -> Void {
    var target = try Self()
    return { target.run($0) }
  }
}

/// All targets, in the order in which they run.
let targets: [any FuzzTarget.Type] = [
  RulesTarget.self, RuleFilesTarget.self, CaptureTarget.self, FramesTarget.self, ApplicationsTarget.self,
  SettingsTarget.self, PolicyTarget.self, FirewallTarget.self, RingsTarget.self, DeviceTarget.self,
  ConversationTarget.self, VFIOUserTarget.self, VhostUserTarget.self,
]

/// Ends the process when a property does not hold: a finding.
func require(_ condition: Bool, _ message: @autoclosure () -> String) {
  // A precondition would lose its message in a release build.
  if !condition { fatalError(message()) }
}
