public import AllyDPI
public import AllyTools

/// A file of EVE records, one JSON object a line (`eve.json`).
///
/// Records are gathered and written in blocks. When the disk is full or writing fails otherwise, the file is cut back to
/// its last whole line, later records are counted but not written, and ``close()`` tells.
public final class EVEFile: RecordSink {
  private let path: String
  private var output: OutputFile
  private var buffer: [UInt8] = []
  /// Records that are written or wait in the buffer.
  public private(set) var records: UInt64 = 0
  /// Why writing failed; nil as long as it did not.
  public private(set) var failure: CommandFailure?

  /// Bytes that are gathered before they are written.
  private static let blockBytes = 1 << 16

  /// Makes the file, or opens it when it is there.
  ///
  /// - Parameter appending: whether what the file holds stays.
  /// - Throws: ``ExitStatus/cannotCreate``.
  public init(path: String, appending: Bool) throws(CommandFailure) {
    self.path = path
    do {
      output = try OutputFile(writing: path, appending: appending)
    } catch {
      throw CommandFailure(.cannotCreate, "cannot create \(path): \(error.reason)")
    }
    buffer.reserveCapacity(Self.blockBytes + (1 << 14))
    // An earlier run may have died in the middle of a line: do not make it ours.
    if let last = output.lastByte(), last != UInt8(ascii: "\n") { buffer.append(UInt8(ascii: "\n")) }
  }

  public func write(record: RawSpan) {
    guard failure == nil else { return }
    unsafe record.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
    buffer.append(UInt8(ascii: "\n"))
    records += 1
    if buffer.count >= Self.blockBytes { flush() }
  }

  /// Writes what is gathered.
  public func flush() {
    guard failure == nil, !buffer.isEmpty else { return }
    do {
      try output.write(buffer[...])
    } catch {
      cutToLastLine(written: error.written)
      failure = CommandFailure(.cannotWrite, "cannot write \(path): \(error.reason)")
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Writes the rest.
  ///
  /// - Throws: ``ExitStatus/cannotWrite`` when that or an earlier writing failed.
  public func close() throws(CommandFailure) {
    flush()
    if let failure { throw failure }
  }

  private func cutToLastLine(written: Int) {
    let taken = buffer[..<written]
    let whole = taken.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    output.cut(to: output.length - UInt64(written - whole))
  }
}
