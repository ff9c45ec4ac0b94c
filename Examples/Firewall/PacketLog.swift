internal import AllyFirewall
internal import AllyTools

/// The file that `log` statements write to, line by line.
final class PacketLog {
  private let path: String
  private let policy: FirewallPolicy
  private var file: OutputFile
  private var buffer: [UInt8] = []
  /// Why writing ended, once it did.
  private(set) var failure: CommandFailure?

  init(path: String, policy: FirewallPolicy, appending: Bool) throws(CommandFailure) {
    self.path = path
    self.policy = policy
    do {
      file = try OutputFile(writing: path, appending: appending)
    } catch {
      throw CommandFailure(.cannotCreate, "cannot create \(path): \(error.reason)")
    }
  }

  func write(_ event: FirewallLogEvent) {
    buffer.append(contentsOf: policy.logLine(for: event).utf8)
    buffer.append(UInt8(ascii: "\n"))
    if buffer.count >= 1 << 16 { flush() }
  }

  /// Writes what is left, and tells whether all lines were written.
  func close() throws(CommandFailure) {
    flush()
    if let failure { throw failure }
  }

  /// Writes whole lines; of a line that does not fit on a full disk, nothing stays.
  func flush() {
    guard failure == nil else { return }
    let before = file.length
    do {
      try file.write(buffer[...])
    } catch {
      let whole = buffer[..<error.written].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
      file.cut(to: before + UInt64(whole))
      failure = CommandFailure(.cannotWrite, "cannot write \(path): \(error.reason)")
    }
    buffer.removeAll(keepingCapacity: true)
  }
}
