import AllyPacket
import AllyTools
import Testing

@Suite struct CaptureWriterTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Copies a capture frame by frame.
  func copy(_ source: String, to target: String) throws {
    var reader = try CaptureReader(path: source)
    let linkType = reader.linkType
    var writer = try CaptureWriter(
      path: target, linkType: #require(linkType), countsNanoseconds: reader.countsNanoseconds)
    while reader.advance() {
      try writer.write(Packet(bytes: reader.bytes, stamp: reader.stamp, direction: .receive))
    }
    try writer.finish()
  }

  @Test(arguments: [false, true])
  func aCopyEqualsItsSource(countsNanoseconds: Bool) throws {
    var capture = CaptureBytes(linkType: 113, countsNanoseconds: countsNanoseconds)
    for i in 0..<5000 {
      capture.addFrame([UInt8](repeating: UInt8(i & 0xFF), count: i % 300), fraction: UInt32(i), lengthOnWire: 1500)
    }
    let source = try folder.write("source.pcap", capture.bytes)
    try copy(source, to: folder.path + "/target.pcap")
    #expect(try folder.bytes("target.pcap") == capture.bytes)
    #expect(folder.names == ["source.pcap", "target.pcap"])
  }

  @Test func anUnfinishedCaptureLeavesTheFormerFileAlone() throws {
    let target = try folder.write("target.pcap", "former")
    do {
      var writer = try CaptureWriter(path: target, linkType: .ethernet, countsNanoseconds: false)
      let bytes: [UInt8] = [1, 2, 3]
      unsafe try writer.write(Packet(bytes: bytes.span.bytes, stamp: FrameStamp(), direction: .receive))
    }
    #expect(try folder.text("target.pcap") == "former")
    #expect(folder.names == ["target.pcap"])
  }

  @Test func framesOfAnotherLinkTypeAreRefused() throws {
    let target = folder.path + "/target.pcap"
    var writer = try CaptureWriter(path: target, linkType: .ethernet, countsNanoseconds: false)
    let bytes: [UInt8] = [0x45]
    #expect(throws: CaptureError.mixedLinkTypes(file: target, first: .ethernet, other: .raw)) {
      unsafe try writer.write(Packet(bytes: bytes.span.bytes, stamp: FrameStamp(linkType: .raw), direction: .receive))
    }
  }

  @Test func aFolderThatIsNotThereCannotTakeACapture() throws {
    let target = folder.path + "/none/target.pcap"
    let error = #expect(throws: CaptureError.self) {
      _ = try CaptureWriter(path: target, linkType: .ethernet, countsNanoseconds: false)
    }
    #expect(error == .cannotCreate(file: target, reason: "no such file or directory"))
    #expect(error?.status == .cannotCreate)
  }

  /// Before any frame is written, and not when all are.
  @Test func withoutANameThereIsNoCapture() throws {
    let error = #expect(throws: CaptureError.self) {
      _ = try CaptureWriter(path: "", linkType: .ethernet, countsNanoseconds: false)
    }
    #expect(error == .cannotCreate(file: "", reason: "no such file or directory"))
  }

  @Test func aFullDiskIsAnError() throws {
    let source = try folder.write("source.pcap", CaptureBytes.udp(count: 3).bytes)
    let error = #expect(throws: CaptureError.self) { try copy(source, to: "/dev/full") }
    #expect(error == .cannotWrite(file: "/dev/full", reason: "no space left on device"))
    #expect(error?.status == .cannotWrite)
  }
}
