@testable import AllyDPITools
import AllyTools
import Foundation
import Testing

@Suite struct RecordFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func write(_ records: Int, to eve: RecordFile) {
    for number in 0..<records {
      let record = Array("{\"number\":\(number)}".utf8)
      unsafe eve.write(record: record.span.bytes)
    }
  }

  @Test func recordsAreLines() throws {
    let eve = try RecordFile(path: folder.path + "/eve.json", appending: false)
    write(10_000, to: eve)
    try eve.close()
    let expected = (0..<10_000).map { "{\"number\":\($0)}\n" }.joined()
    #expect(try folder.text("eve.json") == expected)
    #expect(eve.records == 10_000)
  }

  @Test func aFileWithoutRecordsIsThereAndEmpty() throws {
    try folder.write("eve.json", "of another run")
    try RecordFile(path: folder.path + "/eve.json", appending: false).close()
    #expect(try folder.text("eve.json").isEmpty)
  }

  @Test func appendingKeepsLinesWhole() throws {
    try folder.write("eve.json", "{\"former\":1}\n{\"torn")
    let eve = try RecordFile(path: folder.path + "/eve.json", appending: true)
    write(1, to: eve)
    try eve.close()
    #expect(try folder.text("eve.json") == "{\"former\":1}\n{\"torn\n{\"number\":0}\n")
  }

  @Test func aFullDiskIsToldOnceAndForAll() throws {
    let eve = try RecordFile(path: "/dev/full", appending: false)
    write(1, to: eve)
    #expect(eve.failure == nil)
    write(10_000, to: eve)
    let failure = CommandFailure(.cannotWrite, "cannot write /dev/full: no space left on device")
    #expect(eve.failure == failure)
    #expect(throws: failure) { try eve.close() }
  }

  @Test func aMissingFolderIsTold() throws {
    let path = folder.path + "/none/eve.json"
    #expect(throws: CommandFailure(.cannotCreate, "cannot create \(path): no such file or directory")) {
      _ = try RecordFile(path: path, appending: false)
    }
  }

  /// What logrotate does: it moves the file away, and asks for a new one.
  @Test func aHangUpBeginsTheFileOfThatName() throws {
    HangUp.listen()
    let eve = try RecordFile(path: folder.path + "/eve.json", appending: false)
    write(2, to: eve)
    eve.flush()
    try FileManager.default.moveItem(atPath: folder.path + "/eve.json", toPath: folder.path + "/eve.json.1")
    write(1, to: eve)
    // To the process: threads that run tests take no signals.
    let before = HangUp.count
    kill(getpid(), SIGHUP)
    for _ in 0..<500 where HangUp.count == before { Thread.sleep(forTimeInterval: 0.01) }
    write(1, to: eve)
    try eve.close()
    #expect(try folder.text("eve.json.1") == "{\"number\":0}\n{\"number\":1}\n{\"number\":0}\n")
    #expect(try folder.text("eve.json") == "{\"number\":0}\n")
  }

  @Test func aNameMayHoldTheTime() throws {
    let eve = try RecordFile(path: folder.path + "/eve-%Y.json", appending: false)
    write(1, to: eve)
    try eve.close()
    let year = Calendar(identifier: .gregorian).dateComponents(in: .gmt, from: Date()).year ?? 0
    #expect(folder.names == ["eve-\(year).json"])
  }

  @Test func theClockBeginsNewFiles() throws {
    let eve = try RecordFile(
      path: folder.path + "/eve-%s.json", appending: false, rotation: RecordRotation(seconds: 1))
    for _ in 0..<200 where folder.names.count < 3 {
      write(1, to: eve)
      Thread.sleep(forTimeInterval: 0.02)
    }
    try eve.close()
    #expect(folder.names.count >= 3)
    let lines = try folder.names.map { try folder.text($0).split(separator: "\n").count }.reduce(0, +)
    #expect(lines == Int(eve.records))
  }

  @Test func rotationsAreReadAndAligned() {
    #expect(RecordRotation("90") == RecordRotation(seconds: 90))
    #expect(RecordRotation("15m") == RecordRotation(seconds: 900))
    #expect(RecordRotation("2d") == RecordRotation(seconds: 172_800))
    #expect(RecordRotation("hour")?.end(ofFileFrom: 7201) == 10_800)
    #expect(RecordRotation("90")?.end(ofFileFrom: 7201) == 7291)
    for text in ["", "0", "-1", "m", "5w", "1.5h"] { #expect(RecordRotation(text) == nil, "\(text)") }
  }
}
