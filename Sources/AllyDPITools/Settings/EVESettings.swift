/// Where EVE records go: `outputs: - eve-log:`.
struct EVESettings: Equatable {
  /// Within the log folder, unless it begins with `/`.
  var fileName = "eve.json"
  /// Whether records are added to what the file already holds; otherwise it begins anew.
  var appends = false
}

/// Where files go that rules or settings keep: `outputs: - file-store:`.
struct FileStoreSettings: Equatable {
  var isEnabled = false
  /// Within the log folder, unless it begins with `/`.
  var folder = "filestore"
}

/// Where a line for each alert goes: `outputs: - fast:`.
struct FastLogSettings: Equatable {
  /// Within the log folder, unless it begins with `/`.
  var fileName = "fast.log"
  /// Whether lines are added to what the file already holds; otherwise it begins anew.
  var appends = false
}
