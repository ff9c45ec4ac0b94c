internal import AllyDPI
internal import AllyTools

/// Compiled pattern databases as files of a folder (`detect.sgh-mpm-caching-path`): what was compiled once is read at the next
/// start. A file that is damaged, or cannot be read or written, costs the time to compile, and nothing else.
struct DatabaseFolder: DatabaseCache {
  private let folder: String

  /// - Throws: ``ExitStatus/cannotCreate`` when there is no such folder and none can be made.
  init(folder: String) throws(CommandFailure) {
    try FileSystem.makeFolder(folder)
    self.folder = folder
  }

  func contents(of key: String) -> [UInt8]? {
    let path = path(of: key)
    guard FileSystem.exists(path) else { return nil }
    return try? FileSystem.contents(of: path)
  }

  func store(_ contents: [UInt8], as key: String) {
    guard var file = try? OutputFile(replacing: path(of: key)) else { return }
    guard (try? file.write(contents[...])) != nil else { return }
    try? file.commit()
  }

  private func path(of key: String) -> String { FileSystem.resolve(key + ".hs", in: folder) }
}
