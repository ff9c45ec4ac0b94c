import AllyRings

/// Descriptors of the 82574L byte by byte, put together by hand from the tables of its datasheet, with what they mean: a check
/// on the formats that does not go through their code.
public enum E1000EVectors {
  /// A receive descriptor in memory and its meaning.
  public typealias Receive = E1000Vectors.Receive
  /// A transmit descriptor in memory and its meaning.
  public typealias Transmit = E1000Vectors.Transmit

  /// Extended receive descriptors (82574 datasheet 7.1.5, tables 28 to 32).
  public static var receive: [Receive] {
    let buffer: [UInt8] = [0x00, 0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0x00]
    // RSS type TcpIPv4, queue 1, hash 0x51CCC178.
    let hashed: [UInt8] = [0x01, 0x01, 0x00, 0x00, 0x78, 0xC1, 0xCC, 0x51]
    let plain: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0]
    return [
      Receive(
        name: "offered", bytes: buffer + [0, 0, 0, 0, 0, 0, 0, 0], isCompleted: false,
        completion: ReceiveCompletion(length: 0, endsFrame: false)),
      Receive(
        name: "64 bytes, DD and EOP, checksum indications to be ignored",
        bytes: plain + [0x07, 0x00, 0x00, 0x00, 0x40, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true)),
      Receive(
        name: "1,518 bytes with a hash, IP and TCP checksums good",
        bytes: hashed + [0x63, 0x00, 0x00, 0x00, 0xEE, 0x05, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(
          length: 1518, endsFrame: true, ipChecksumIsGood: true, transportChecksumIsGood: true)),
      Receive(
        name: "IP checksum good, UDP checksum wrong",
        bytes: hashed + [0x73, 0x02, 0x00, 0x20, 0xEE, 0x05, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 1518, endsFrame: true, ipChecksumIsGood: true)),
      Receive(
        name: "2,048 bytes, more to come", bytes: plain + [0x01, 0x00, 0x00, 0x00, 0x00, 0x08, 0, 0],
        isCompleted: true, completion: ReceiveCompletion(length: 2048, endsFrame: false)),
      Receive(
        name: "CRC error", bytes: plain + [0x07, 0x00, 0x00, 0x01, 0x40, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, isDamaged: true)),
      Receive(
        name: "data error", bytes: plain + [0x07, 0x00, 0x00, 0x80, 0x40, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, isDamaged: true)),
      Receive(
        name: "VLAN 5, priority 1, tag stripped",
        bytes: plain + [0x0F, 0x00, 0x00, 0x00, 0x40, 0x00, 0x05, 0x20], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, strippedVLAN: 0x2005)),
    ]
  }

  /// Transmit descriptors, which are those of the 8254x family (82574 datasheet 7.2.10).
  public static var transmit: [Transmit] { E1000Vectors.transmit }
}
