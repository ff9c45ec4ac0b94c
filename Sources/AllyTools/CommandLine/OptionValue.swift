internal import ArgumentParser

/// Reads the value of an option, for `@Option(transform:)`: a wrong one is answered with what was expected.
public enum OptionValue {
  /// A value that `read` makes of the text, or nil.
  ///
  /// - Parameter expected: what stands behind `expected` in the error.
  public static func read<Value>(
    _ expected: String, _ read: @escaping @Sendable (String) -> Value?
  ) -> @Sendable (String) throws -> Value {
    { text in
      guard let value = read(text) else { throw ValidationError("expected \(expected)") }
      return value
    }
  }

  /// A number of a range.
  ///
  /// - Parameter unit: what is counted, such as `bytes`.
  public static func number(
    of unit: String? = nil, _ range: ClosedRange<Int>
  ) -> @Sendable (String) throws -> Int {
    let what = "a number" + (unit.map { " of \($0)" } ?? "") + " from \(range.lowerBound) to \(range.upperBound)"
    return read(what) { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }
  }
}
