internal import AllyDPI
internal import AllyTools
internal import Glibc

/// A file of records, a line each (`eve.json`).
///
/// Records are gathered and written in blocks. When the disk is full or writing fails otherwise, the file is cut back to
/// its last whole line, later records are counted but not written, and ``close()`` tells. SIGHUP begins the file that has the
/// name then, for whoever moves files away (logrotate); so does the clock, if the operator wants it.
final class RecordFile: RecordOutput {
  /// With conversions of strftime(3), if the operator wrote some.
  private let pattern: String
  private let rotation: RecordRotation?
  private var path: String
  private var output: OutputFile
  private var buffer: [UInt8] = []
  private var hangUps: UInt64
  /// When the next file begins, in seconds since 1970.
  private var end: Int
  private(set) var records: UInt64 = 0
  private(set) var failure: CommandFailure?

  /// Bytes that are gathered before they are written.
  private static let blockBytes = 1 << 16

  /// Makes the file, or opens it when it is there.
  ///
  /// - Parameters:
  ///   - path: its name; conversions of strftime(3) in it stand for the time in UTC.
  ///   - appending: whether what the file holds stays.
  ///   - rotation: when the next file begins by itself.
  /// - Throws: ``ExitStatus/cannotCreate``.
  init(path: String, appending: Bool, rotation: RecordRotation? = nil) throws(CommandFailure) {
    let now = time(nil)
    pattern = path
    self.rotation = rotation
    self.path = Self.name(path, at: now)
    hangUps = HangUp.count
    end = rotation?.end(ofFileFrom: now) ?? .max
    do {
      output = try OutputFile(writing: self.path, appending: appending)
    } catch {
      throw CommandFailure(.cannotCreate, "cannot create \(self.path): \(error.reason)")
    }
    buffer.reserveCapacity(Self.blockBytes + (1 << 14))
    endTornLine()
  }

  func write(record: RawSpan) {
    guard failure == nil else { return }
    if time(nil) >= end || hangUps != HangUp.count { beginNextFile() }
    unsafe record.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
    buffer.append(UInt8(ascii: "\n"))
    records += 1
    if buffer.count >= Self.blockBytes { writeBuffer() }
  }

  func flush() {
    // The name may be waited for although there are no records.
    if failure == nil, hangUps != HangUp.count { beginNextFile() }
    writeBuffer()
  }

  private func writeBuffer() {
    guard failure == nil, !buffer.isEmpty else { return }
    do {
      try output.write(buffer[...])
    } catch {
      cutToLastLine(written: error.written)
      failure = CommandFailure(.cannotWrite, "cannot write \(path): \(error.reason)")
    }
    buffer.removeAll(keepingCapacity: true)
  }

  func close() throws(CommandFailure) {
    writeBuffer()
    if let failure { throw failure }
  }

  /// An earlier run may have died in the middle of a line: it does not become part of ours.
  private func endTornLine() {
    if let last = output.lastByte(), last != UInt8(ascii: "\n") { buffer.append(UInt8(ascii: "\n")) }
  }

  private func beginNextFile() {
    writeBuffer()
    guard failure == nil else { return }
    let now = time(nil)
    hangUps = HangUp.count
    end = rotation?.end(ofFileFrom: now) ?? .max
    path = Self.name(pattern, at: now)
    do {
      output = try OutputFile(writing: path, appending: true)
      endTornLine()
    } catch {
      failure = CommandFailure(.cannotWrite, "cannot create \(path): \(error.reason)")
    }
  }

  private static func name(_ pattern: String, at seconds: Int) -> String {
    guard pattern.contains("%") else { return pattern }
    var seconds = seconds
    var parts = unsafe tm()
    var text = [CChar](repeating: 0, count: 4096)
    // The conversions write no more than they are told to, with a zero behind.
    guard unsafe gmtime_r(&seconds, &parts) != nil, unsafe strftime(&text, text.count, pattern, &parts) > 0 else {
      return pattern
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private func cutToLastLine(written: Int) {
    let taken = buffer[..<written]
    let whole = taken.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    output.cut(to: output.length - UInt64(written - whole))
  }
}
