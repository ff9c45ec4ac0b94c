import AllyPacket
import AllyTools
import Testing

@Suite struct CaptureReaderTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  struct Frame: Equatable {
    var bytes: [UInt8]
    var stamp: FrameStamp
  }

  /// Reads all frames and tells what was wrong.
  func read(_ path: String) throws -> (frames: [Frame], problems: [CaptureError]) {
    var reader = try CaptureReader(path: path)
    var frames: [Frame] = []
    while reader.advance() {
      frames.append(Frame(bytes: unsafe reader.bytes.withUnsafeBytes { unsafe Array($0) }, stamp: reader.stamp))
    }
    return (frames, reader.problems)
  }

  @Test(arguments: [(false, false), (false, true), (true, false), (true, true)])
  func framesComeWithTheirTimeAndNumber(isBigEndian: Bool, countsNanoseconds: Bool) throws {
    var capture = CaptureBytes(isBigEndian: isBigEndian, countsNanoseconds: countsNanoseconds)
    capture.addFrame([1, 2, 3], seconds: 1_262_304_000, fraction: 999_999)
    capture.addFrame([4], seconds: 4_294_967_295, fraction: 1, lengthOnWire: 1500)
    capture.addFrame([])
    let path = try folder.write("a.pcap", capture.bytes)

    let (frames, problems) = try read(path)
    let unit: UInt64 = countsNanoseconds ? 1 : 1000
    #expect(problems.isEmpty)
    try #require(frames.count == 3)
    #expect(frames[0].bytes == [1, 2, 3])
    #expect(
      frames[0].stamp
        == FrameStamp(time: 1_262_304_000_000_000_000 + 999_999 * unit, ordinal: 1, lengthOnWire: 3))
    #expect(
      frames[1].stamp
        == FrameStamp(time: 4_294_967_295_000_000_000 + unit, ordinal: 2, lengthOnWire: 1500))
    #expect(frames[2].bytes.isEmpty)
    let reader = try CaptureReader(path: path)
    #expect(reader.countsNanoseconds == countsNanoseconds)
  }

  @Test func pcapngIsRead() throws {
    // RFC draft-ietf-opsawg-pcapng: section header, interface with nanoseconds (if_tsresol 9), one enhanced packet.
    var bytes = CaptureBytes()
    bytes.bytes = []
    for word: UInt32 in [0x0A0D_0D0A, 28, 0x1A2B_3C4D, 1, 0xFFFF_FFFF, 0xFFFF_FFFF, 28] { bytes.append(word) }
    for word: UInt32 in [1, 32, 101, 65535, 9 | 1 << 16, 9, 0, 32] { bytes.append(word) }
    let time: UInt64 = 1_700_000_000_123_456_789
    for word: UInt32 in [6, 36, 0, UInt32(time >> 32), UInt32(truncatingIfNeeded: time), 2, 60] { bytes.append(word) }
    bytes.bytes += [0x45, 0, 0, 0]
    bytes.append(36)
    let (frames, problems) = try read(try folder.write("a.pcapng", bytes.bytes))
    #expect(problems.isEmpty)
    #expect(
      frames == [
        Frame(bytes: [0x45, 0], stamp: FrameStamp(time: time, ordinal: 1, lengthOnWire: 60, linkType: .raw))
      ])
  }

  @Test(arguments: CaptureReader.supportedLinkTypes)
  func linkTypesKeepTheirNumber(_ linkType: LinkType) throws {
    var capture = CaptureBytes(linkType: linkType.rawValue)
    capture.addFrame([0x45])
    let (frames, _) = try read(try folder.write("a.pcap", capture.bytes))
    #expect(frames.map(\.stamp.linkType) == [linkType])
  }

  @Test func otherLinkTypesAreRefused() throws {
    let path = try folder.write("a.pcap", CaptureBytes(linkType: 105).bytes)
    #expect(throws: CaptureError.unsupportedLinkType(file: path, LinkType(rawValue: 105))) {
      _ = try read(path)
    }
  }

  @Test func aFrameLongerThanThePacketPathTakesIsCut() throws {
    var capture = CaptureBytes()
    capture.addFrame([UInt8](repeating: 7, count: 70_000))
    let (frames, problems) = try read(try folder.write("a.pcap", capture.bytes))
    #expect(problems.isEmpty)
    #expect(frames.map(\.bytes.count) == [CaptureReader.longestFrame])
    #expect(frames.map(\.stamp.lengthOnWire) == [70_000])
  }

  @Test func aFolderIsReadByNameWithFramesNumberedThrough() throws {
    var second = CaptureBytes(linkType: 101)
    second.addFrame([2])
    var first = CaptureBytes()
    first.addFrame([0])
    first.addFrame([1])
    try folder.write("b.PCAP", second.bytes)
    try folder.write("a.cap", first.bytes)
    try folder.write("notes.txt", "no capture")
    let broken = try folder.write("aa.pcap", "no capture either")

    let (frames, problems) = try read(folder.path)
    #expect(frames.map(\.bytes) == [[0], [1], [2]])
    #expect(frames.map(\.stamp.ordinal) == [1, 2, 3])
    #expect(frames.map(\.stamp.linkType) == [.ethernet, .ethernet, .raw])
    #expect(problems == [.notACapture(file: broken, found: "unknown file format")])
  }

  @Test func aFolderWithoutCapturesIsMissingInput() throws {
    let error = #expect(throws: CaptureError.self) { _ = try read(folder.path) }
    #expect(error == .emptyFolder(folder.path))
    #expect(error?.status == .missingInput)
  }

  @Test func aMissingFileIsMissingInput() throws {
    let path = folder.path + "/none.pcap"
    let error = #expect(throws: CaptureError.self) { _ = try read(path) }
    #expect(error?.description == "cannot read \(path): no such file or directory")
    #expect(error?.status == .missingInput)
  }

  @Test func aCaptureCutAnywhereGivesItsWholeFramesAndSaysSo() throws {
    let capture = CaptureBytes.udp(count: 3)
    let recordBytes = (capture.bytes.count - 24) / 3
    for length in 0..<capture.bytes.count {
      let path = try folder.write("cut.pcap", Array(capture.bytes[..<length]))
      if length < 24 {
        let error = #expect(throws: CaptureError.self, "cut to \(length) bytes") { _ = try read(path) }
        #expect(error?.status == .damagedCapture)
        continue
      }
      let (frames, problems) = try read(path)
      let whole = (length - 24) / recordBytes
      #expect(frames.count == whole, "cut to \(length) bytes")
      if (length - 24) % recordBytes == 0 {
        #expect(problems.isEmpty, "cut to \(length) bytes")
      } else {
        guard case .truncated(path, UInt64(whole + 1), _) = problems.first, problems.count == 1 else {
          Issue.record("cut to \(length) bytes: \(problems)")
          continue
        }
      }
    }
  }

  @Test func aDamagedRecordEndsTheFileAndNamesTheFrame() throws {
    var capture = CaptureBytes.udp(count: 2)
    for word: UInt32 in [0, 0, 0xFFFF_FFF0, 0xFFFF_FFF0] { capture.append(word) }
    capture.bytes += [UInt8](repeating: 0, count: 100)
    let path = try folder.write("damaged.pcap", capture.bytes)
    let (frames, problems) = try read(path)
    #expect(frames.count == 2)
    guard case .damaged(path, 3, _) = problems.first, problems.count == 1 else {
      Issue.record("\(problems)")
      return
    }
  }

  @Test func anyBytesAreReadWithoutACrash() throws {
    let sound = CaptureBytes.udp(count: 20).bytes
    for seed in UInt64(1)...300 {
      var generator = SeededGenerator(seed: seed)
      let bytes =
        seed % 3 == 0
        ? (0..<200).map { _ in UInt8.random(in: 0...255, using: &generator) } : mutated(sound, using: &generator)
      let path = try folder.write("random.pcap", bytes)
      do {
        let (frames, problems) = try read(path)
        #expect(frames.count <= 40 && problems.count <= 1, "seed \(seed)")
        #expect(frames.map(\.stamp.ordinal) == (0..<frames.count).map { UInt64($0) + 1 }, "seed \(seed)")
      } catch let error as CaptureError {
        #expect(error.status == .damagedCapture, "seed \(seed)")
      }
    }
  }

  @Test func readingStopsWhenAsked() throws {
    let path = try folder.write("long.pcap", CaptureBytes.udp(count: 2000).bytes)
    var reader = try CaptureReader(path: path)
    var frames = 0
    var limit = Int.max
    let stop = Flag()
    reader.stop { stop.isSet }
    while reader.advance() {
      frames += 1
      if frames == 600 {
        stop.isSet = true
        limit = 600 + 256
      }
    }
    #expect(frames >= 600 && frames <= limit)
    #expect(reader.problems.isEmpty)
  }

  final class Flag { var isSet = false }
}
