import AllyHW
import AllyRings

/// Descriptors of the 82576 byte by byte, put together by hand from the tables of its datasheet, with what they mean: a check on
/// the formats that does not go through their code.
public enum IGBVectors {
  /// A receive descriptor in memory and its meaning.
  public typealias Receive = E1000Vectors.Receive
  /// A transmit descriptor in memory and its meaning.
  public typealias Transmit = E1000Vectors.Transmit

  /// Advanced receive descriptors (82576 datasheet 7.1.5).
  public static var receive: [Receive] {
    let buffer: [UInt8] = [0x00, 0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0x00]
    // RSS type TcpIPv4, packet type IPv4 and TCP, hash 0x51CCC178.
    let hashed: [UInt8] = [0x11, 0x01, 0x00, 0x00, 0x78, 0xC1, 0xCC, 0x51]
    return [
      Receive(
        name: "offered", bytes: buffer + [0, 0, 0, 0, 0, 0, 0, 0], isCompleted: false,
        completion: ReceiveCompletion(length: 0, endsFrame: false)),
      Receive(
        name: "1,518 bytes with a hash, IP and TCP checksums good",
        bytes: hashed + [0x63, 0x00, 0x00, 0x00, 0xEE, 0x05, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(
          length: 1518, endsFrame: true, ipChecksumIsGood: true, transportChecksumIsGood: true)),
      Receive(
        name: "IP checksum wrong, TCP checksum good",
        bytes: hashed + [0x63, 0x00, 0x00, 0x40, 0xEE, 0x05, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 1518, endsFrame: true, transportChecksumIsGood: true)),
      Receive(
        name: "data error", bytes: hashed + [0x07, 0x00, 0x00, 0x80, 0x40, 0x00, 0, 0], isCompleted: true,
        completion: ReceiveCompletion(length: 64, endsFrame: true, isDamaged: true)),
      Receive(
        name: "VLAN 5, priority 1, tag stripped, more to come",
        bytes: hashed + [0x0D, 0x00, 0x00, 0x00, 0x00, 0x08, 0x05, 0x20], isCompleted: true,
        completion: ReceiveCompletion(length: 2048, endsFrame: false, strippedVLAN: 0x2005)),
    ]
  }

  /// Transmit descriptors (82576 datasheet 7.2.2).
  public static var transmit: [Transmit] {
    let buffer: [UInt8] = [0x00, 0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0x00]
    let address: UInt64 = 0x00BA_9876_5432_1000
    return [
      Transmit(
        name: "data, 60 bytes: EOP, IFCS, RS, DEXT; PAYLEN 60",
        bytes: buffer + [0x3C, 0x00, 0x30, 0x2B, 0x00, 0x00, 0x0F, 0x00], isCompleted: false,
        request: TransmitRequest(buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true)),
      Transmit(
        name: "the same, written back", bytes: buffer + [0x3C, 0x00, 0x30, 0x2B, 0x01, 0x00, 0x0F, 0x00],
        isCompleted: true,
        request: TransmitRequest(buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true)),
      Transmit(
        name: "data, the first 14 of 60 bytes", bytes: buffer + [0x0E, 0x00, 0x30, 0x22, 0x00, 0x00, 0x0F, 0x00],
        isCompleted: false,
        request: TransmitRequest(buffer: BusAddress(address), length: 14, endsFrame: false, reportsCompletion: false)),
      Transmit(
        name: "data with TCP checksum insertion", bytes: buffer + [0x3C, 0x00, 0x30, 0x2B, 0x00, 0x02, 0x0F, 0x00],
        isCompleted: false,
        request: TransmitRequest(
          buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true, usesOffloads: true)),
      Transmit(
        name: "data with TCP segmentation: EOP, IFCS, RS, DEXT, TSE",
        bytes: buffer + [0x00, 0x80, 0x30, 0xAB, 0x00, 0x03, 0xF2, 0x1F], isCompleted: false,
        request: TransmitRequest(
          buffer: BusAddress(address), length: 32768, endsFrame: true, reportsCompletion: true, usesOffloads: true)),
      Transmit(
        name: "legacy, 60 bytes: EOP, IFCS, RS", bytes: buffer + [0x3C, 0x00, 0x00, 0x0B, 0x00, 0x00, 0, 0],
        isCompleted: false,
        request: TransmitRequest(buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true)),
      Transmit(
        name: "context", bytes: [0x14, 0x1C, 0, 0, 0, 0, 0, 0, 0x00, 0x0C, 0x20, 0x20, 0x00, 0x14, 0xB4, 0x05],
        isCompleted: false,
        request: TransmitRequest(
          kind: .context, buffer: BusAddress(0x1C14), length: 0x0C00, endsFrame: false, reportsCompletion: false,
          usesOffloads: true)),
      Transmit(
        name: "reserved descriptor type 1", bytes: buffer + [0x3C, 0x00, 0x10, 0x2B, 0x00, 0x00, 0, 0],
        isCompleted: false,
        request: TransmitRequest(
          kind: .invalid, buffer: BusAddress(address), length: 60, endsFrame: true, reportsCompletion: true,
          usesOffloads: false)),
    ]
  }
}
