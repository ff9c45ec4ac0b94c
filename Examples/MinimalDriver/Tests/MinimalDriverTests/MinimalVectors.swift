import AllyDriverTesting
import AllyHW
import AllyRings

/// Descriptors as the NIC's datasheet shows them, byte by byte.
let minimalVectors = DatasheetVectors(
  receive: [
    .init(
      name: "1,500 bytes, END, DONE", bytes: [0, 0x10, 0x32, 0x54, 0, 0, 0, 0, 0xDC, 0x05, 0x01, 0, 0, 0, 0, 0x80],
      isCompleted: true, completion: ReceiveCompletion(length: 1500, endsFrame: true)),
    .init(
      name: "64 bytes, damaged", bytes: [0, 0x10, 0x32, 0x54, 0, 0, 0, 0, 0x40, 0x00, 0x05, 0, 0, 0, 0, 0x80],
      isCompleted: true, completion: ReceiveCompletion(length: 64, endsFrame: true, isDamaged: true)),
  ],
  transmit: [
    .init(
      name: "60 bytes, END and REPORT", bytes: [0, 0x10, 0x32, 0x54, 0, 0, 0, 0, 0x3C, 0, 0x03, 0, 0, 0, 0, 0],
      isCompleted: false,
      request: TransmitRequest(
        buffer: BusAddress(0x5432_1000), length: 60, endsFrame: true, reportsCompletion: true))
  ])
