internal import CAllyLinux
internal import Glibc

/// What an operator asks a keeper for, and the answer: one message each way, over a unix socket.
public enum UpgradeRequest {
  /// Asks for another executable in the place of the one that serves.
  ///
  /// - Parameters:
  ///   - socket: where the keeper listens.
  ///   - executable: its path; nil for that of the command, as it is on the disk now.
  ///   - arguments: what it is to be started with; none for those of the command.
  /// - Returns: nil when it serves, or else why the one before goes on serving.
  public static func send(
    to socket: String, executable: String?, arguments: [String]
  ) throws(HostError) -> String? {
    let request = Self.bytes(executable: executable, arguments: arguments)
    guard request.count <= StarterLine.longest else { throw HostError("\(request.count) bytes of arguments") }
    let line = OwnedDescriptor(Glibc.socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
    guard line.number >= 0, unsafe ally_connect_unix(line.number, socket) == 0 else {
      throw HostError("cannot connect to \(socket)", code: errno)
    }
    var bytes = [UInt8](repeating: 0, count: KeeperControl.longestAnswer)
    var count = 0
    guard unsafe ally_send(line.number, request, request.count, 0, nil, 0) == request.count else {
      throw HostError("\(socket): the request was not taken", code: errno)
    }
    let received = unsafe ally_receive(line.number, &bytes, bytes.count, 0, nil, 0, &count)
    guard received > 0 else { throw HostError("\(socket): there is no answer") }
    return bytes[0] == 0 ? nil : String(decoding: bytes[1..<received], as: UTF8.self)
  }

  /// The path, empty for that of the command, and arguments, each with a zero behind.
  static func bytes(executable: String?, arguments: [String]) -> [UInt8] {
    ([executable ?? ""] + arguments).flatMap { Array($0.utf8) + [0] }
  }

  /// Reads a request; nil of what is none.
  static func read(_ bytes: ArraySlice<UInt8>) -> (executable: String?, arguments: [String])? {
    guard bytes.last == 0 else { return nil }
    let words = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    return (words[0].isEmpty ? nil : words[0], Array(words.dropFirst()))
  }
}

/// A keeper's end of the operator's socket: one client at a time, who is root or whom the keeper was started by. A client never
/// makes the keeper wait.
final class KeeperControl {
  private let listener: OwnedDescriptor
  private let path: String
  private let owner: Int64
  private var client: OwnedFile?

  static let longestAnswer = 4096

  /// Makes the socket, for this process's user alone.
  init(at path: String) throws(HostError) {
    let listener = try listen(at: path, type: SOCK_SEQPACKET)
    _ = fcntl(listener.number, F_SETFL, O_NONBLOCK)
    self.listener = listener
    self.path = path
    owner = Int64(geteuid())
  }

  /// What is readable when somebody has something to say.
  var descriptor: Int32 { client?.number ?? listener.number }

  enum Message {
    case none
    case request(executable: String?, arguments: [String])
    /// Who had asked has gone.
    case gone
  }

  func receive() -> Message {
    guard let client else {
      accept()
      return .none
    }
    var bytes = [UInt8](repeating: 0, count: StarterLine.longest)
    var count = 0
    // As many bytes as is said; descriptors are closed.
    let received = unsafe ally_receive(client.number, &bytes, bytes.count, Int32(MSG_DONTWAIT), nil, 0, &count)
    if received < 0, errno == EAGAIN || errno == EINTR { return .none }
    guard received > 0 else {
      self.client = nil
      return .gone
    }
    guard let request = UpgradeRequest.read(bytes[..<received]) else {
      answer("expected a path and arguments, each with a zero behind")
      return .none
    }
    return .request(executable: request.executable, arguments: request.arguments)
  }

  private func accept() {
    let number = ally_accept(listener.number)
    guard number >= 0 else { return }
    let file = OwnedFile(number)
    let user = ally_peer_user(number)
    guard user == 0 || user == owner else { return }
    client = file
  }

  /// Tells the client that it is done, or why it is not, and lets it go.
  func answer(_ refusal: String?) {
    guard let number = client?.number else { return }
    let bytes = [refusal == nil ? 0 : 1] + Array((refusal ?? "").utf8.prefix(Self.longestAnswer - 1))
    _ = unsafe ally_send(number, bytes, bytes.count, Int32(MSG_DONTWAIT), nil, 0)
    client = nil
  }

  /// Nobody finds the socket any more.
  func close() { unsafe unlink(path) }
}
