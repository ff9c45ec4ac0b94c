@testable import AllyDPITools
import AllyTools
import Foundation
import Testing

@Suite struct RecordChannelTests {
  let folder: TemporaryFolder
  var path: String { folder.path + "/eve.sock" }

  init() throws { folder = try TemporaryFolder() }

  func write(_ numbers: Range<Int>, to channel: RecordChannel) {
    for number in numbers {
      let record = Array("{\"number\":\(number)}".utf8)
      unsafe channel.write(record: record.span.bytes)
    }
  }

  func lines(_ numbers: Range<Int>) -> String { numbers.map { "{\"number\":\($0)}\n" }.joined() }

  /// The number of each line; fails at a line that is none.
  func numbers(_ bytes: [UInt8]) throws -> [Int] {
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return try text.split(separator: "\n").map { line in
      try #require(Int(line.dropFirst("{\"number\":".count).dropLast()), "a torn line: \(line)")
    }
  }

  @Test func aStreamCarriesLinesInOrder() throws {
    let received = RecordReader(try RecordSocket(path, SOCK_STREAM))
    let channel = try RecordChannel(to: .stream(path), .drops)
    write(0..<1000, to: channel)
    try channel.close()
    #expect(channel.records == 1000 && channel.droppedRecords == 0)
    channel.disconnect()
    #expect(String(decoding: received.bytes(), as: UTF8.self) == lines(0..<1000))
  }

  @Test func aDatagramIsARecord() throws {
    let socket = try RecordSocket(path, SOCK_DGRAM)
    let channel = try RecordChannel(to: .datagram(path), .drops)
    for number in 0..<100 {
      write(number..<number + 1, to: channel)
      #expect(String(decoding: socket.read(), as: UTF8.self) == lines(number..<number + 1))
    }
  }

  @Test func aRecordTooLongForADatagramIsDropped() throws {
    let socket = try RecordSocket(path, SOCK_DGRAM)
    let channel = try RecordChannel(to: .datagram(path), .drops)
    let long = [UInt8](repeating: UInt8(ascii: "x"), count: 4 << 20)
    unsafe channel.write(record: long.span.bytes)
    write(0..<1, to: channel)
    #expect(String(decoding: socket.read(), as: UTF8.self) == lines(0..<1))
    #expect(channel.records == 1 && channel.droppedRecords == 1)
  }

  /// Nobody reads: writing returns all the same, and what was kept is the beginning.
  @Test(arguments: [SOCK_STREAM, SOCK_DGRAM])
  func aSlowReaderLosesRecordsAndStopsNobody(_ kind: __socket_type) throws {
    let socket = try RecordSocket(path, kind)
    let place: RecordChannel.Place = kind == SOCK_STREAM ? .stream(path) : .datagram(path)
    let channel = try RecordChannel(to: place, .drops, capacity: 10_000)
    write(0..<100_000, to: channel)
    #expect(channel.droppedRecords > 0)
    #expect(channel.records + channel.droppedRecords == 100_000)
    // As the reader takes some, the rest follows.
    var taken: [UInt8] = []
    while try numbers(taken).count < Int(channel.records) {
      taken += socket.read()
      while taken.last != UInt8(ascii: "\n") { taken += socket.read() }
      channel.flush()
    }
    #expect(try numbers(taken) == Array(0..<Int(channel.records)))
  }

  @Test func aReaderWithTimeGetsEverything() throws {
    let received = RecordReader(try RecordSocket(path, SOCK_STREAM))
    let channel = try RecordChannel(to: .stream(path), .waits, capacity: 1000)
    write(0..<50_000, to: channel)
    try channel.close()
    #expect(channel.records == 50_000 && channel.droppedRecords == 0)
    channel.disconnect()
    #expect(try numbers(received.bytes()) == Array(0..<50_000))
  }

  @Test func aListenerMayComeAgain() throws {
    var socket: RecordSocket? = try RecordSocket(path, SOCK_STREAM)
    let channel = try RecordChannel(to: .stream(path), .drops, capacity: 4 << 20)
    write(0..<100_000, to: channel)
    // It has read a part, to the middle of a line, and is gone.
    #expect(socket?.read(1001).isEmpty == false)
    socket = nil
    let received = RecordReader(try RecordSocket(path, SOCK_STREAM))
    write(100_000..<100_001, to: channel)
    for _ in 0..<200 where channel.isWaiting {
      Thread.sleep(forTimeInterval: 0.05)
      channel.flush()
    }
    #expect(!channel.isWaiting && channel.failure == nil)
    channel.disconnect()
    // The line that was torn is given up, and the others are whole; the last one is there.
    #expect(try numbers(received.bytes()).last == 100_000)
  }

  @Test func nobodyToHearACaptureIsAnError() throws {
    let expected = CommandFailure(.cannotCreate, "cannot connect to \(path): no such file or directory")
    #expect(throws: expected) { _ = try RecordChannel(to: .stream(path), .waits) }
    // Live traffic can do without for a while.
    let channel = try RecordChannel(to: .stream(path), .drops)
    write(0..<10, to: channel)
    #expect(channel.failure == nil && channel.records == 10)
    #expect(throws: CommandFailure(.cannotWrite, "\(path): the last 130 bytes found no reader")) { try channel.close() }
  }
}
