/// The layout of what outlives an executable (DPI memory, records, tables): whoever takes it over has to read it as it was
/// written.
///
/// A text, which two executables compare: a number, and lengths, which change by themselves with most of what can change.
public enum KeptLayout {
  /// To be raised with every change of what a kept byte means, or where it is: of records, DPI memory, kept tables, and of the
  /// messages between a keeper and its starters. A test holds it against the lengths.
  public static let version = 2

  /// - Parameters:
  ///   - what: what is kept, such as a kind of NIC.
  ///   - lengths: bytes of its parts.
  public static func text(_ what: String, _ lengths: Int...) -> String {
    "layout \(version) of \(what) (\(lengths.map(String.init).joined(separator: " + ")) bytes)"
  }
}
