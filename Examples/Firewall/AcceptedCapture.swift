internal import AllyPacket
internal import AllyTools

/// The capture of accepted frames, if one is wanted. It gets its name when it is complete.
struct AcceptedCapture: ~Copyable {
  private let path: String?
  private let countsNanoseconds: Bool
  private var writer: CaptureWriter?

  /// - Parameter reader: where the frames come from; of a folder, the first accepted frame tells the link type.
  init(path: String?, like reader: borrowing CaptureReader) throws(CommandFailure) {
    self.path = path
    countsNanoseconds = reader.countsNanoseconds
    writer = nil
    if let linkType = reader.linkType { try open(linkType) }
  }

  mutating func write(_ packet: borrowing Packet) throws(CommandFailure) {
    guard path != nil else { return }
    if writer == nil { try open(packet.stamp.linkType) }
    do {
      try writer?.write(packet)
    } catch {
      throw error.failure
    }
  }

  consuming func finish() throws(CommandFailure) {
    // A capture of no frames is a capture too.
    if writer == nil { try open(.ethernet) }
    guard let writer = writer.take() else { return }
    do {
      try writer.finish()
    } catch {
      throw error.failure
    }
  }

  private mutating func open(_ linkType: LinkType) throws(CommandFailure) {
    guard let path else { return }
    do {
      writer = try CaptureWriter(path: path, linkType: linkType, countsNanoseconds: countsNanoseconds)
    } catch {
      throw error.failure
    }
  }
}
