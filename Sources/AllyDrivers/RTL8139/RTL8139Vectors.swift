/// Receive headers and transmit status registers of the RTL8139C, put together by hand from the datasheet's tables, with what they
/// mean: a check on the formats that does not go through their code.
public enum RTL8139Vectors {
  /// A receive header in memory and its meaning.
  public struct Header: Sendable {
    /// What the header shows.
    public var name: String
    /// The four bytes, in the order of memory.
    public var bytes: [UInt8]
    /// The frame's bytes with frame check sequence.
    public var length: UInt32
    /// Whether the NIC is still writing the frame.
    public var isUnfinished = false
    /// A destination that gives this header, the first byte in bits 7–0; nil for a header that Ally does not make.
    public var destination: UInt64?
  }

  /// A transmit status register and its meaning.
  public struct Transmit: Sendable {
    /// What the register shows.
    public var name: String
    public var value: UInt32
    public var length: UInt32
    public var isOwn = false
    public var isDone = false
    public var isFailed = false
  }

  /// Receive headers (datasheet 5.1).
  public static var headers: [Header] {
    [
      Header(
        name: "64 bytes to this station: PAM, ROK", bytes: [0x01, 0x40, 0x40, 0x00], length: 64, destination: 0x52),
      Header(
        name: "1,518 bytes to all: BAR, ROK", bytes: [0x01, 0x20, 0xEE, 0x05], length: 1518,
        destination: 0xFFFF_FFFF_FFFF),
      Header(
        name: "64 bytes to a group: MAR, ROK", bytes: [0x01, 0x80, 0x40, 0x00], length: 64,
        destination: 0x0100_005E_0001),
      Header(name: "CRC error: PAM, CRC", bytes: [0x04, 0x40, 0x40, 0x00], length: 64),
      Header(name: "still being copied", bytes: [0x00, 0x00, 0xF0, 0xFF], length: 0xFFF0, isUnfinished: true),
    ]
  }

  /// Transmit status registers (datasheet 5.3).
  public static var transmit: [Transmit] {
    [
      Transmit(name: "after a reset", value: 0x0000_2000, length: 0, isOwn: true),
      Transmit(name: "60 bytes posted, threshold 256", value: 0x0008_003C, length: 60),
      Transmit(name: "fetched: OWN", value: 0x0008_203C, length: 60, isOwn: true),
      Transmit(name: "sent: OWN, TOK", value: 0x0008_A03C, length: 60, isOwn: true, isDone: true),
      Transmit(
        name: "aborted after 16 collisions: OWN, TABT, NCC", value: 0x4F08_203C, length: 60, isOwn: true,
        isDone: true, isFailed: true),
      Transmit(name: "underrun: OWN, TUN", value: 0x0008_603C, length: 60, isOwn: true, isDone: true, isFailed: true),
      Transmit(name: "the longest frame", value: 0x0008_0700, length: 1792),
    ]
  }
}
