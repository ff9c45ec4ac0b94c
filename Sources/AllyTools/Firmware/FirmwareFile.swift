internal import AllyHW

/// A file that holds one firmware table.
enum FirmwareFile {
  /// Reads a table, so that what is wrong with it is one line that names the file.
  static func read<Table>(
    _ path: String, _ parse: ([UInt8]) throws(FirmwareTableError) -> Table
  ) throws(CommandFailure) -> Table {
    let bytes = try FileSystem.contents(of: path, atMost: 16 << 20)
    do throws(FirmwareTableError) {
      return try parse(bytes)
    } catch {
      throw CommandFailure(.damagedTable, "\(path): \(error.description)")
    }
  }
}
