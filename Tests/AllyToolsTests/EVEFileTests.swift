import AllyDPITools
import AllyTools
import Testing

@Suite struct EVEFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func write(_ records: Int, to eve: EVEFile) {
    for number in 0..<records {
      let record = Array("{\"number\":\(number)}".utf8)
      unsafe eve.write(record: record.span.bytes)
    }
  }

  @Test func recordsAreLines() throws {
    let eve = try EVEFile(path: folder.path + "/eve.json", appending: false)
    write(10_000, to: eve)
    try eve.close()
    let expected = (0..<10_000).map { "{\"number\":\($0)}\n" }.joined()
    #expect(try folder.text("eve.json") == expected)
    #expect(eve.records == 10_000)
  }

  @Test func aFileWithoutRecordsIsThereAndEmpty() throws {
    try folder.write("eve.json", "of another run")
    try EVEFile(path: folder.path + "/eve.json", appending: false).close()
    #expect(try folder.text("eve.json").isEmpty)
  }

  @Test func appendingKeepsLinesWhole() throws {
    try folder.write("eve.json", "{\"former\":1}\n{\"torn")
    let eve = try EVEFile(path: folder.path + "/eve.json", appending: true)
    write(1, to: eve)
    try eve.close()
    #expect(try folder.text("eve.json") == "{\"former\":1}\n{\"torn\n{\"number\":0}\n")
  }

  @Test func aFullDiskIsToldOnceAndForAll() throws {
    let eve = try EVEFile(path: "/dev/full", appending: false)
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
      _ = try EVEFile(path: path, appending: false)
    }
  }
}
