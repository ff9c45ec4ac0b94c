import AllyHW
public import AllyRings

/// Descriptors of the 8254x family byte by byte, put together by hand from the tables of the Software Developer's Manual,
/// with what they mean: a check on the formats that does not go through their code.
public enum E1000Vectors {
  /// A receive descriptor in memory and its meaning.
  public struct Receive: Sendable {
    /// What the descriptor shows.
    public var name: String
    /// The 16 bytes, in the order of memory.
    public var bytes: [UInt8]
    /// Whether DD is set.
    public var isCompleted: Bool
    /// What it says when it is completed.
    public var completion: ReceiveCompletion
  }

  /// A transmit descriptor in memory and its meaning.
  public struct Transmit: Sendable {
    /// What the descriptor shows.
    public var name: String
    /// The 16 bytes, in the order of memory.
    public var bytes: [UInt8]
    /// Whether DD is set.
    public var isCompleted: Bool
    /// What it asks for.
    public var request: TransmitRequest
  }

  /// Receive descriptors (SDM 3.2.3, Table 3-1 to 3-3).
  public static var receive: [Receive] {
    let buffer: [UInt8] = [0x00, 0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0x00]
    return [
      Receive(
        name: "offered", bytes: buffer + [0, 0, 0, 0, 0, 0, 0, 0], isCompleted: false,
        completion: ReceiveCompletion(length: 0, endsFrame: false)),
      Receive(
        name: "64 bytes, DD and EOP, checksum indications to be ignored",
        bytes: buffer + [0x40, 0x00, 0xCD, 0xAB, 0x07, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true)),
      Receive(
        name: "1,518 bytes, IP and TCP checksums good",
        bytes: buffer + [0xEE, 0x05, 0x00, 0x00, 0x63, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(
          length: 1518, endsFrame: true, ipChecksumIsGood: true, transportChecksumIsGood: true)),
      Receive(
        name: "IP checksum good, TCP checksum wrong",
        bytes: buffer + [0xEE, 0x05, 0x00, 0x00, 0x63, 0x20, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 1518, endsFrame: true, ipChecksumIsGood: true)),
      Receive(
        name: "2,048 bytes, more to come", bytes: buffer + [0x00, 0x08, 0, 0, 0x01, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 2048, endsFrame: false)),
      Receive(
        name: "CRC error", bytes: buffer + [0x40, 0x00, 0, 0, 0x07, 0x01, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, isDamaged: true)),
      Receive(
        name: "data error", bytes: buffer + [0x40, 0x00, 0, 0, 0x07, 0x80, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, isDamaged: true)),
      Receive(
        name: "VLAN 5, priority 1, tag stripped",
        bytes: buffer + [0x40, 0x00, 0, 0, 0x0F, 0x00, 0x05, 0x20], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, strippedVLAN: 0x2005)),
    ]
  }

  /// Transmit descriptors (SDM 3.3.3, 3.3.6 and 3.3.7).
  public static var transmit: [Transmit] {
    let buffer: [UInt8] = [0x00, 0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0x00]
    let address: UInt64 = 0x00BA_9876_5432_1000
    return [
      Transmit(
        name: "legacy, 60 bytes: EOP, IFCS, RS", bytes: buffer + [0x3C, 0x00, 0x00, 0x0B, 0x00, 0x00, 0, 0],
        isCompleted: false,
        request: TransmitRequest(buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true)),
      Transmit(
        name: "the same, written back", bytes: buffer + [0x3C, 0x00, 0x00, 0x0B, 0x01, 0x00, 0, 0],
        isCompleted: true,
        request: TransmitRequest(buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true)),
      Transmit(
        name: "legacy, first part of a frame", bytes: buffer + [0x0E, 0x00, 0x00, 0x02, 0x00, 0x00, 0, 0],
        isCompleted: false,
        request: TransmitRequest(buffer: BusAddress(address), length: 14, endsFrame: false, reportsCompletion: false)),
      Transmit(
        name: "legacy with checksum insertion at 24 from 14",
        bytes: buffer + [0x3C, 0x00, 0x18, 0x0F, 0x00, 0x0E, 0, 0], isCompleted: false,
        request: TransmitRequest(
          buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true, usesOffloads: true)),
      Transmit(
        name: "data, 65,540 bytes with TCP segmentation: EOP, IFCS, TSE, RS, DEXT",
        bytes: buffer + [0x04, 0x00, 0x11, 0x2F, 0x00, 0x03, 0, 0], isCompleted: false,
        request: TransmitRequest(
          buffer: BusAddress(address), length: 65540, endsFrame: true, reportsCompletion: true, usesOffloads: true)),
      Transmit(
        name: "TCP/IP context", bytes: buffer + [0x00, 0x10, 0x00, 0x2D, 0x00, 0x36, 0xB4, 0x05], isCompleted: false,
        request: TransmitRequest(
          kind: .context, buffer: BusAddress(address), length: 0x1000, endsFrame: true, reportsCompletion: true,
          usesOffloads: true)),
      Transmit(
        name: "reserved descriptor type 2", bytes: buffer + [0x3C, 0x00, 0x20, 0x29, 0x00, 0x00, 0, 0],
        isCompleted: false,
        request: TransmitRequest(
          kind: .invalid, buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true,
          usesOffloads: false)),
    ]
  }
}
