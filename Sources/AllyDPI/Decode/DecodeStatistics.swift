/// What the decoder and the defragmenter counted.
struct DecodeStatistics: BitwiseCopyable, Sendable {
  var packets: UInt64 = 0
  var bytes: UInt64 = 0
  /// Packets with a broken or cut header.
  var invalid: UInt64 = 0
  /// Packets left out because a frame held more than ``FrameDissector/maximumPackets``.
  var tooDeep: UInt64 = 0
  var fragments: UInt64 = 0
  /// Datagrams put together.
  var reassembled: UInt64 = 0
  /// Datagrams given up because a piece did not come in time.
  var fragmentTimeouts: UInt64 = 0
  /// Fragments turned away, or datagrams given up, at the memory cap.
  var fragmentMemoryCap: UInt64 = 0
}
