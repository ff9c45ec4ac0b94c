internal import AllyPacket
internal import CPcap
internal import Glibc

/// One open capture file: libpcap behind a safe face.
@safe
struct OpenedCapture: ~Copyable {
  /// A frame as libpcap hands it out; its bytes stay until the next one is read or the file is closed.
  @unsafe
  struct Frame {
    var start: UnsafePointer<UInt8>
    var length: Int
    var lengthOnWire: UInt32
    /// Nanoseconds since 1970.
    var time: UInt64
  }

  let path: String
  let linkType: LinkType
  let countsNanoseconds: Bool
  /// Frames read so far.
  private(set) var frames: UInt64 = 0
  private let handle: OpaquePointer

  private init(path: String, linkType: LinkType, countsNanoseconds: Bool, handle: OpaquePointer) {
    self.path = path
    self.linkType = linkType
    self.countsNanoseconds = countsNanoseconds
    unsafe self.handle = unsafe handle
  }

  deinit { unsafe pcap_close(handle) }

  /// Opens a file and checks its header and link type; `-` is standard input.
  static func open(_ path: String) throws(CaptureError) -> OpenedCapture {
    let descriptor = path == "-" ? dup(STDIN_FILENO) : unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0, let stream = unsafe fdopen(descriptor, "rb") else {
      throw .cannotOpen(file: path, reason: systemMessage(errno))
    }
    let countsNanoseconds = !beginsWithMicrosecondMagic(descriptor)
    var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
    guard
      let handle = unsafe pcap_fopen_offline_with_tstamp_precision(
        stream, UInt32(PCAP_TSTAMP_PRECISION_NANO), &message)
    else {
      unsafe fclose(stream)
      let found = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw .notACapture(file: path, found: found.hasSuffix("only got 0") ? "an empty file" : found)
    }
    let linkType = linkType(dataLink: unsafe pcap_datalink(handle))
    let capture = unsafe OpenedCapture(
      path: path, linkType: linkType, countsNanoseconds: countsNanoseconds, handle: handle)
    guard CaptureReader.supportedLinkTypes.contains(linkType) else {
      throw .unsupportedLinkType(file: path, linkType)
    }
    return capture
  }

  /// Where in the file reading stands, in bytes; 0 of a pipe.
  var position: UInt64 { UInt64(clamping: unsafe ftell(pcap_file(handle))) }

  /// - Returns: nil at the file's end.
  mutating func nextFrame() throws(CaptureError) -> Frame? {
    var header: UnsafeMutablePointer<pcap_pkthdr>?
    var data: UnsafePointer<UInt8>?
    switch unsafe pcap_next_ex(handle, &header, &data) {
    case 1:
      break
    case Int32(PCAP_ERROR_BREAK):
      return nil
    default:
      let found = unsafe String(cString: pcap_geterr(handle))
      // libpcap tells the two apart in words only.
      throw found.contains("truncated")
        ? .truncated(file: path, frame: frames + 1, found: found)
        : .damaged(file: path, frame: frames + 1, found: found)
    }
    guard let record = unsafe header?.pointee, let start = unsafe data else { return nil }
    frames += 1
    // A pcap file's seconds have 32 bits without sign, which libpcap extends as if they had one.
    let seconds = record.ts.tv_sec < 0 ? Int(UInt32(truncatingIfNeeded: record.ts.tv_sec)) : record.ts.tv_sec
    let (time, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return unsafe Frame(
      start: start, length: Int(record.caplen), lengthOnWire: max(record.len, record.caplen),
      // Opened with nanosecond precision, tv_usec counts nanoseconds; a forged record may put anything there.
      time: overflow ? .max : time &+ UInt64(clamping: record.ts.tv_usec))
  }

  /// libpcap converts all times, so that only the file itself still knows its unit. A pipe cannot be looked at.
  private static func beginsWithMicrosecondMagic(_ descriptor: Int32) -> Bool {
    var magic: UInt32 = 0
    guard unsafe pread(descriptor, &magic, 4, 0) == 4 else { return false }
    return magic == 0xA1B2_C3D4 || magic == 0xD4C3_B2A1
  }

  /// libpcap gives the host's number (DLT_…) for a file's number (LINKTYPE_…); they differ for the oldest types.
  private static func linkType(dataLink: Int32) -> LinkType {
    switch dataLink {
    case 12, 14: .raw  // DLT_RAW on Linux and on OpenBSD
    case 11: LinkType(rawValue: 100)  // DLT_ATM_RFC1483
    case 15: LinkType(rawValue: 102)  // DLT_SLIP_BSDOS
    case 16: LinkType(rawValue: 103)  // DLT_PPP_BSDOS
    default: LinkType(rawValue: UInt32(bitPattern: dataLink))
    }
  }
}
