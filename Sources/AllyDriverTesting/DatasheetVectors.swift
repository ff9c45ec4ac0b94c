public import AllyRings

/// Descriptors as the datasheet shows them, byte by byte, with what they mean: a check on the formats that does not go
/// through their code.
public struct DatasheetVectors: Sendable {
  /// A receive descriptor in memory.
  public struct Receive: Sendable {
    public var name: String
    /// The bytes in the order of memory.
    public var bytes: [UInt8]
    public var isCompleted: Bool
    /// What it says when it is completed.
    public var completion: ReceiveCompletion

    public init(name: String, bytes: [UInt8], isCompleted: Bool, completion: ReceiveCompletion) {
      self.name = name
      self.bytes = bytes
      self.isCompleted = isCompleted
      self.completion = completion
    }
  }

  /// A transmit descriptor in memory.
  public struct Transmit: Sendable {
    public var name: String
    /// The bytes in the order of memory.
    public var bytes: [UInt8]
    public var isCompleted: Bool
    /// What it asks for.
    public var request: TransmitRequest

    public init(name: String, bytes: [UInt8], isCompleted: Bool, request: TransmitRequest) {
      self.name = name
      self.bytes = bytes
      self.isCompleted = isCompleted
      self.request = request
    }
  }

  public var receive: [Receive]
  public var transmit: [Transmit]

  public init(receive: [Receive], transmit: [Transmit]) {
    self.receive = receive
    self.transmit = transmit
  }
}
