internal import AllyPacket
internal import AllyTools

/// A capture file, pcap or pcapng, as a path.
struct CaptureTarget: FuzzTarget {
  static let name = "capture"

  private let file: ScratchFile

  init() throws { file = try ScratchFile(name: "fuzz.pcap") }

  mutating func run(_ input: [UInt8]) {
    file.hold(input)
    do throws(CaptureError) {
      var reader = try CaptureReader(path: file.path)
      var frames: UInt64 = 0
      while reader.advance() {
        frames += 1
        require(reader.stamp.ordinal == frames, "frame \(frames) is called \(reader.stamp.ordinal)")
        require(
          reader.bytes.byteCount <= min(CaptureReader.longestFrame, Int(reader.stamp.lengthOnWire)),
          "frame \(frames) has \(reader.bytes.byteCount) bytes, of \(reader.stamp.lengthOnWire) on the wire")
        // Every byte is there.
        _ = unsafe reader.bytes.withUnsafeBytes { unsafe $0.reduce(0 as UInt8, ^) }
        _ = PacketLayers(of: Packet(bytes: reader.bytes, stamp: reader.stamp, direction: .receive))
        require(frames <= UInt64(input.count), "more frames than bytes")
      }
      for problem in reader.problems { require(!problem.description.isEmpty, "a problem without words") }
    } catch {
      require(!error.description.isEmpty, "an error without words")
    }
  }
}
