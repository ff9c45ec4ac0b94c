public import AllyRings

/// What stands in front of each frame in an RTL8139C's receive ring (datasheet 5.1): status in bits 15–0, the length with
/// frame check sequence in 31–16.
@frozen
public struct RTL8139ReceiveHeader: ByteRingHeader, Equatable {
  public var word: UInt32

  @inlinable
  public init(word: UInt32) { self.word = word }

  /// ROK, and BAR, MAR or PAM as the destination is.
  public init(destination: UInt64, length: UInt32) {
    let match: UInt32 = destination == 0xFFFF_FFFF_FFFF ? 1 << 13 : destination & 1 == 1 ? 1 << 15 : 1 << 14
    word = 1 | match | length << 16
  }

  @inlinable public var length: UInt32 { word >> 16 }

  /// While the NIC copies a frame, its length reads as FFF0.
  @inlinable public var isUnfinished: Bool { length == 0xFFF0 }

  @inlinable public static var unfinished: RTL8139ReceiveHeader { RTL8139ReceiveHeader(word: 0xFFF0_0000) }
}
