public import AllyPacket

/// What is wrong with a capture, read or written.
public enum CaptureError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file or folder is not there or may not be read; `reason` is the system's.
  case cannotOpen(file: String, reason: String)
  /// A folder without a single capture.
  case emptyFolder(String)
  /// The file does not begin as a capture does.
  case notACapture(file: String, found: String)
  /// The capture's link layer is none that can be inspected.
  case unsupportedLinkType(file: String, LinkType)
  /// The file ends inside a frame. `frame` is the frame's number within the file, from 1.
  case truncated(file: String, frame: UInt64, found: String)
  /// A frame's record cannot be right; nothing behind it can be found again.
  case damaged(file: String, frame: UInt64, found: String)
  /// The capture cannot be made.
  case cannotCreate(file: String, reason: String)
  /// The capture cannot be written to its end; nothing is left behind under its name.
  case cannotWrite(file: String, reason: String)
  /// One pcap file holds one link layer; the frame has another.
  case mixedLinkTypes(file: String, first: LinkType, other: LinkType)

  public var description: String {
    switch self {
    case .cannotOpen(let file, let reason):
      "cannot read \(file): \(reason)"
    case .emptyFolder(let folder):
      "cannot read \(folder): expected at least one file named *.pcap, *.pcapng or *.cap in this folder"
    case .notACapture(let file, let found):
      "\(file): not a capture: expected the header of a pcap or pcapng file; found \(found)"
    case .unsupportedLinkType(let file, let linkType):
      "\(file): link type \(linkType.rawValue) is not supported: expected one of "
        + CaptureReader.supportedLinkTypes.map { String($0.rawValue) }.joined(separator: ", ")
    case .truncated(let file, let frame, let found):
      "\(file): the capture ends inside frame \(frame): expected a whole frame or the end of the file; \(found)"
    case .damaged(let file, let frame, let found):
      "\(file): the record of frame \(frame) is damaged: expected a frame; \(found)"
    case .cannotCreate(let file, let reason):
      "cannot create \(file): \(reason)"
    case .cannotWrite(let file, let reason):
      "cannot write \(file): \(reason)"
    case .mixedLinkTypes(let file, let first, let other):
      "cannot write \(file): a pcap file holds one link type: expected \(first.rawValue), found \(other.rawValue)"
    }
  }

  /// The status that a command ends with for this error.
  public var status: ExitStatus {
    switch self {
    case .cannotOpen, .emptyFolder: .missingInput
    case .notACapture, .unsupportedLinkType, .truncated, .damaged: .damagedCapture
    case .cannotCreate: .cannotCreate
    case .cannotWrite: .cannotWrite
    case .mixedLinkTypes: .damagedCapture
    }
  }

  /// The same as a command's failure.
  public var failure: CommandFailure { CommandFailure(status, description) }
}
