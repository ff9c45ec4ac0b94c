/// Why a policy cannot be used: where it is, what would have been right there, what stands there instead.
public struct PolicyError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file as it was named to the initializers of ``FirewallPolicy``.
  public var file: String
  /// From 1.
  public var line: Int
  /// From 1, in characters (Unicode scalars); a tab is one.
  public var column: Int
  /// What would have been right, as a phrase: `a port or a service name`.
  public var expected: String
  /// What stands there instead, as a phrase: `'htp'`, `the end of the line`.
  public var found: String

  public init(file: String, line: Int, column: Int, expected: String, found: String) {
    self.file = file
    self.line = line
    self.column = column
    self.expected = expected
    self.found = found
  }

  /// `policy.nft:3:14: expected a port or a service name, found 'htp'`
  public var description: String { "\(file):\(line):\(column): expected \(expected), found \(found)" }
}
