/// Where EVE records go and which there are: `outputs: - eve-log:`.
struct EVESettings: Equatable {
  /// Within the log folder, unless it begins with `/`.
  var fileName = "eve.json"
  /// Whether records are added to what the file already holds; otherwise it begins anew.
  var appends = false
  /// The record types that are written; nil for all that the engine has.
  var types: Set<String>?

  func writes(_ type: String) -> Bool { types?.contains(type) ?? true }
}
