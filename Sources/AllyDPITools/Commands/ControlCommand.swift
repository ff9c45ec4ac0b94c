public import AllyTools

/// `ally control`: asks a process that inspects for something, over its socket.
public struct ControlCommand {
  private let socket: String
  private let command: String
  /// Milliseconds: rules take their time to compile.
  private static let patience: Int32 = 600_000

  public init(socket: String, command: String) {
    self.socket = socket
    self.command = command
  }

  /// Prints the answer, one JSON object.
  ///
  /// - Returns: ``ExitStatus/badConfiguration`` when the process could not do it.
  public func perform() throws(CommandFailure) -> ExitStatus {
    var connection = try LocalSocket(connectingTo: socket)
    guard connection.writeLine("{\"version\": \"0.2\"}"), connection.readLine(milliseconds: Self.patience) != nil,
      connection.writeLine("{\"command\": \(JSONText.string(command))}"),
      let answer = connection.readLine(milliseconds: Self.patience)
    else { throw CommandFailure(.systemFault, "\(socket): there is no answer") }
    try Console.print(answer)
    return answer.contains("\"return\":\"OK\"") ? .success : .badConfiguration
  }
}
