public import AllyPacket
internal import Glibc

/// Writes frames into a pcap file that appears under its name only when it is complete.
///
/// The frames go into a file beside it whose name begins with a dot; ``finish()`` renames it. When that does not happen,
/// whether by an error or because the writer goes away, the other file is removed and what the name stood for
/// before is untouched. A pipe or device, and `-` for standard output, is written directly.
public struct CaptureWriter: ~Copyable {
  private let path: String
  private let linkType: LinkType
  private let countsNanoseconds: Bool
  private var output: OutputFile
  private var buffer: [UInt8] = []
  private static let bufferedBytes = 1 << 18

  /// - Parameters:
  ///   - path: the file's name.
  ///   - linkType: what every frame begins with.
  ///   - countsNanoseconds: whether times are written in nanoseconds or cut to microseconds; most often that of the
  ///     capture that the frames come from.
  public init(path: String, linkType: LinkType, countsNanoseconds: Bool) throws(CaptureError) {
    self.path = path
    self.linkType = linkType
    self.countsNanoseconds = countsNanoseconds
    do {
      output = try OutputFile(replacing: path)
    } catch {
      throw .cannotCreate(file: path, reason: error.reason)
    }
    append(countsNanoseconds ? 0xA1B2_3C4D : 0xA1B2_C3D4)
    append(UInt32(4) << 16 | 2)  // version 2.4
    append(0)  // times are UTC
    append(0)
    append(UInt32(Self.snapLength))
    append(linkType.rawValue)
  }

  /// Longest frame that the header announces, in bytes: what other tools take at most.
  private static let snapLength = 262_144

  /// Adds a frame.
  public mutating func write(_ packet: borrowing Packet) throws(CaptureError) {
    let stamp = packet.stamp
    guard stamp.linkType == linkType else {
      throw .mixedLinkTypes(file: path, first: linkType, other: stamp.linkType)
    }
    let length = min(packet.bytes.byteCount, Self.snapLength)
    append(UInt32(clamping: stamp.time / 1_000_000_000))
    append(UInt32(stamp.time % 1_000_000_000) / (countsNanoseconds ? 1 : 1000))
    append(UInt32(length))
    append(max(stamp.lengthOnWire, UInt32(length)))
    unsafe packet.bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0[..<length]) }
    if buffer.count >= Self.bufferedBytes { try flush() }
  }

  /// Writes what is left and gives the file its name.
  public consuming func finish() throws(CaptureError) {
    try flush()
    do {
      try output.commit()
    } catch {
      throw .cannotWrite(file: path, reason: error.reason)
    }
  }

  /// A record's numbers are in the byte order of the writing host; the file's first four bytes tell which.
  private mutating func append(_ number: UInt32) {
    unsafe withUnsafeBytes(of: number) { unsafe buffer.append(contentsOf: $0) }
  }

  private mutating func flush() throws(CaptureError) {
    do {
      try output.write(buffer[...])
    } catch {
      throw .cannotWrite(file: path, reason: error.reason)
    }
    buffer.removeAll(keepingCapacity: true)
  }
}
