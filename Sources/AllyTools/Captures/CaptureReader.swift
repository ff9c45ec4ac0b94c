public import AllyPacket

/// Reads the frames of a capture file (pcap or pcapng), of all captures in a folder, or of standard input.
///
///     var reader = try CaptureReader(path: "traffic.pcap")
///     while reader.advance() {
///       let packet = Packet(bytes: reader.bytes, stamp: reader.stamp, direction: .receive)
///       …
///     }
///     for problem in reader.problems { … }
///
/// Frames are numbered from 1 and on through all files of a folder, which are read in the order of their names. Trouble in
/// the middle of a file ends that file, not the reading: the frames before it were given out, the next file follows, and
/// ``problems`` tells.
@safe
public struct CaptureReader: ~Copyable {
  /// The link layers that inspection understands.
  public static let supportedLinkTypes: [LinkType] = [
    .null, .ethernet, .raw, .ciscoHDLC, .linuxSLL, .ipv4, .ipv6, .linuxSLL2,
  ]

  /// Longest frame given out, in bytes (``Packet/bytes``); longer ones are cut as if the capture had cut them.
  public static let longestFrame = 65_535 + 14 + 8

  /// The link type of the file opened last; nil before the first frame of a folder.
  public private(set) var linkType: LinkType?
  /// Whether that file's times are in nanoseconds (as opposed to microseconds).
  public private(set) var countsNanoseconds = true
  /// The current frame's time, number, length on the wire and link type.
  public private(set) var stamp = FrameStamp()
  /// What was wrong so far, in the order in which it was met.
  public private(set) var problems: [CaptureError] = []

  private var pendingFiles: ArraySlice<String>
  private var capture: OpenedCapture?
  private var frame: (start: UnsafeRawPointer, length: Int)?
  private var progress: ProgressBar?
  private var stopCondition: (() -> Bool)?
  /// Bytes of the files that were read to their end.
  private var bytesBehind: UInt64 = 0

  /// Opens the input.
  ///
  /// - Parameters:
  ///   - path: a capture file, a folder, or `-` for standard input.
  ///   - showsProgress: whether a progress bar is drawn on standard error for long captures.
  /// - Throws: when the input is missing or is no capture. Of a folder, files that are no captures are left to
  ///   ``problems``.
  public init(path: String, showsProgress: Bool = false) throws(CaptureError) {
    let input = try CaptureInput(path: path)
    let progress = showsProgress ? input.totalBytes.map { ProgressBar(totalBytes: $0) } : nil
    if input.isFolder {
      self.init(files: input.files[...], progress: progress)
    } else {
      let opened = try OpenedCapture.open(path)
      self.init(files: [], progress: progress)
      begin(opened)
    }
  }

  /// Opens the input of a command, with a progress bar on a terminal; throws what that then ends with.
  public static func open(_ path: String) throws(CommandFailure) -> CaptureReader {
    do {
      return try CaptureReader(path: path, showsProgress: Console.showsProgress)
    } catch {
      throw error.failure
    }
  }

  private init(files: ArraySlice<String>, progress: ProgressBar?) {
    pendingFiles = files
    capture = nil
    unsafe frame = nil
    self.progress = progress
  }

  /// Ends the reading early, before the next frame, once the condition holds; it is looked at every 256 frames.
  public mutating func stop(when condition: @escaping () -> Bool) {
    stopCondition = condition
  }

  /// Moves on to the next frame.
  ///
  /// - Returns: false when there is none, which is when ``problems`` is complete.
  public mutating func advance() -> Bool {
    if stamp.ordinal & 0xFF == 0 {
      if let stopCondition, stopCondition() {
        endFile()
        pendingFiles = []
      }
      drawProgress()
    }
    while true {
      do {
        if capture == nil {
          guard let path = pendingFiles.popFirst() else {
            progress?.clear()
            return false
          }
          begin(try OpenedCapture.open(path))
        }
        if try readFrame() { return true }
      } catch {
        problems.append(error)
      }
      endFile()
    }
  }

  /// The current frame's bytes, from its link-layer header on; none before the first frame and after the last.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      guard let frame = unsafe frame else { return RawSpan() }
      // The open capture keeps the frame until its next one is read, which only advance() does.
      let span = unsafe RawSpan(_unsafeStart: frame.start, byteCount: frame.length)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  private mutating func readFrame() throws(CaptureError) -> Bool {
    unsafe frame = nil
    guard let next = unsafe try capture?.nextFrame() else { return false }
    unsafe frame = (UnsafeRawPointer(next.start), min(next.length, Self.longestFrame))
    stamp.ordinal += 1
    stamp.lengthOnWire = unsafe next.lengthOnWire
    stamp.time = unsafe next.time
    return true
  }

  private mutating func begin(_ opened: consuming OpenedCapture) {
    linkType = opened.linkType
    countsNanoseconds = opened.countsNanoseconds
    stamp.linkType = opened.linkType
    capture = consume opened
  }

  private mutating func endFile() {
    unsafe frame = nil
    bytesBehind += capture?.position ?? 0
    capture = nil
  }

  private mutating func drawProgress() {
    guard progress != nil else { return }
    progress?.show(bytes: bytesBehind + (capture?.position ?? 0), frames: stamp.ordinal)
  }
}
