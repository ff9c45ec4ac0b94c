/// What is wrong with a rule, at a place in its text.
struct RuleSyntaxError: Error {
  /// Byte in ``RuleText/bytes``.
  var offset: Int
  /// What was found and what was expected.
  var reason: String
  /// Not wrong, but beyond this version.
  var isUnsupported = false
}
