import AllyDrivers
import AllyPacket
import CAllyLinux
import Foundation
import Synchronization
import Testing

@testable import AllyHost

/// What a keeper keeps, and what is left of a frame and of an inspection when a worker dies.
@Suite struct KeeperTests {
  private func pair() -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    #expect(unsafe ally_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends) == 0)
    return (ends[0], ends[1])
  }

  @Test func `Descriptors outlive the worker that had them`() throws {
    let (keeper, worker) = pair()
    var kept = KeptDescriptors()
    var pipe: [Int32] = [-1, -1]
    #expect(unsafe Glibc.pipe(&pipe) == 0)
    do {
      let channel = KeeperChannel(OwnedDescriptor(worker), inherited: [:], predecessors: 0)
      #expect(channel.keep(pipe[1], as: 64))
      #expect(channel.keep(pipe[1], as: 65))
      channel.forget(but: [64]) { $0 < 1000 }
    }
    close(pipe[1])
    // The worker's end is gone; what it said is not.
    let isThere = kept.receive(from: keeper)
    #expect(!isThere)
    #expect(Array(kept.numbers.keys) == [64])
    let (_, next) = pair()
    let successor = KeeperChannel(
      OwnedDescriptor(next), inherited: kept.numbers.mapValues { dup($0) }, predecessors: 1)
    let end = try #require(successor.take(64))
    #expect(successor.take(64) == nil && successor.take(65) == nil)
    #expect(unsafe write(end, [7] as [UInt8], 1) == 1)
    var byte: UInt8 = 0
    #expect(unsafe read(pipe[0], &byte, 1) == 1 && byte == 7)
  }

  @Test(arguments: [71, 72, 73] as [UInt64])
  func `Whatever a worker says, its keeper goes on`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let (keeper, worker) = pair()
    var kept = KeptDescriptors()
    for round in 0..<2000 {
      var bytes = (0..<Int.random(in: 1...24, using: &random)).map { _ in UInt8.random(in: 0...3, using: &random) }
      if Bool.random(using: &random) {
        bytes = KeeperNote(kind: Bool.random(using: &random) ? .keep : .forget, key: UInt64(round % 50)).bytes
      }
      let descriptors = (0..<Int.random(in: 0...3, using: &random)).map { _ in worker }
      _ = unsafe ally_send(worker, bytes, bytes.count, 0, descriptors, descriptors.count)
      let isThere = kept.receive(from: keeper)
      #expect(isThere, "seed \(seed), round \(round)")
      #expect(kept.numbers.count <= 50, "seed \(seed), round \(round)")
    }
    for number in kept.numbers.values { close(number) }
    close(worker)
    close(keeper)
  }

  static let headers: [([UInt8], Int?)] = [
    ([8, 0, 0x45, 0, 0x01, 0x02], 14 + 0x102), ([0x86, 0xDD, 0x60, 0, 0, 0, 0, 9], 14 + 40 + 9),
    ([8, 6, 0, 1, 8, 0, 6, 4], 42), ([0x81, 0, 0, 5, 8, 0, 0x45, 0, 0, 100], 18 + 100), ([0, 38, 0x42, 0x42, 3], 52),
    ([0x88, 0xCC, 1, 2], nil), ([0xFF, 0xFF], nil),
  ]

  @Test(arguments: headers)
  func `A frame's headers say how long it is`(type: [UInt8], expected: Int?) {
    let bytes = [UInt8](repeating: 1, count: 12) + type + [UInt8](repeating: 0, count: 52 - type.count)
    #expect(FrameLength.said(by: bytes.span) == expected)
  }

  @Test func `A frame that two workers in a row die of is set aside, once`() throws {
    let page = try KeeperPage()
    let good = [UInt8](repeating: 1, count: 80)
    let bad = [UInt8](repeating: 2, count: 80)
    // Workers, and the frames that each inspected; it dies of the last.
    let inspected = [[good, bad], [good, bad], [good, bad, bad, good], [good, bad]].map { frames in
      var frame = page.frame
      frame.begin()
      return frames.enumerated().map { place, bytes in
        let packet = unsafe Packet(bytes: bytes.span.bytes, stamp: FrameStamp(), direction: .receive)
        let isInspected = frame.mayBegin(packet)
        if place < frames.count - 1 { frame.end() }
        return isInspected
      }
    }
    // The third does not look at it the first time; the fourth has a predecessor that died of something else.
    #expect(inspected == [[true, true], [true, true], [true, false, true, true], [true, true]])
    #expect(page.setAside == 1)
  }

  // MARK: - Upgrades

  /// Memory that was left by another executable, as its own process would have left it.
  private func inheritance(_ name: String, layout: String, length: UInt64) throws -> Inheritance {
    var left = Inheritance(list: nil)
    let memory = try MappedMemory(shared: length)
    unsafe memory.storage.storeBytes(of: 0x5A, as: UInt8.self)
    try left.note(memory, as: name, layout: layout)
    let number = dup(try #require(memory.fileNumber))
    return Inheritance(list: "\(name)\u{1F}\(layout)\u{1F}\(number)")
  }

  @Test func `Memory that was left takes the place of what was tried out, and not before`() throws {
    var successor = try inheritance("a state", layout: "layout 1", length: 8192)
    let memory = try MappedMemory(shared: 8192)
    let place = unsafe memory.storage
    unsafe place.storeBytes(of: 1, as: UInt8.self)
    try successor.note(memory, as: "a state", layout: "layout 1")
    #expect(unsafe place.load(as: UInt8.self) == 1)
    try successor.settle()
    #expect(unsafe place.load(as: UInt8.self) == 0x5A)
    // And is left to the next.
    #expect(successor.bequest(with: [:]).list.hasPrefix("a state\u{1F}layout 1\u{1F}"))
  }

  @Test(arguments: [("layout 2", 8192), ("layout 1", 4096), ("layout 1", 12288)] as [(String, UInt64)])
  func `Memory of another layout or length is refused`(layout: String, length: UInt64) throws {
    var successor = try inheritance("a state", layout: "layout 1", length: 8192)
    let memory = try MappedMemory(shared: length)
    #expect(throws: HostError.self) { try successor.note(memory, as: "a state", layout: layout) }
    try successor.settle()
  }

  @Test func `What nobody has left is missed, and what a guest had is not left out`() throws {
    var successor = try inheritance("guest 1's state", layout: "", length: 4096)
    #expect(throws: HostError.self) { _ = try successor.takeOfGuest("guest 0's socket") }
    #expect(throws: HostError.self) { try successor.requireAllOfGuests() }
    let number = try #require(try successor.takeOfGuest("guest 1's state"))
    try successor.requireAllOfGuests()
    close(number)
  }

  /// Whoever changes a length changes the layout, which is to be another then.
  @Test(arguments: GuestBenchKind.allCases)
  func `Lengths are those of the layout's version`(kind: GuestBenchKind) throws {
    let bench = try KeptBench(kind, workers: 1)
    defer { bench.end() }
    let lengths: [GuestBenchKind: (Int, Int)] = [.e1000: (132174, 810), .e1000e: (132873, 858), .igb: (135701, 898)]
    // In DPI memory, whose length tells nothing of it.
    let drivers = [MemoryLayout<E1000Driver>.size, MemoryLayout<E1000EDriver>.size, MemoryLayout<IGBDriver>.size]
    #expect(drivers == [146, 624, 1540])
    #expect(KeptLayout.version == 2)
    #expect(try #require(lengths[kind]) == bench.recordLengths)
  }

  @Test(arguments: [81, 82] as [UInt64])
  func `Orders and reports are read as they were written, and nothing else is read`(seed: UInt64) {
    let orders: [StarterOrder] = [.start, .signal(9), .succeed(["/bin/a", "-x", ""]), .abandon, .release]
    for order in orders { #expect(StarterOrder(order.bytes[...]) == order) }
    let reports: [StarterReport] = [.ready, .workerEnded(.signal(11)), .successorEnded(.status(78))]
    for report in reports { #expect(StarterReport(report.bytes[...]) == report) }
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      let bytes = (0..<Int.random(in: 0...6, using: &random)).map { _ in UInt8.random(in: 0...5, using: &random) }
      if let report = StarterReport(bytes[...]) { #expect(report.bytes.count == bytes.count, "seed \(seed), \(bytes)") }
      if let order = StarterOrder(bytes[...]) { #expect(order.bytes == bytes, "seed \(seed), \(bytes)") }
    }
    #expect(UpgradeRequest.read([]) == nil && UpgradeRequest.read([1]) == nil)
    let request = UpgradeRequest.read(UpgradeRequest.bytes(executable: nil, arguments: ["", "b"])[...])
    #expect(request?.executable == nil && request?.arguments == ["", "b"])
  }

  @Test func `Who is somebody else does not get to a keeper, who goes on`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "ally-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/control"
    let control = try KeeperControl(at: path)
    var information = stat()
    #expect(unsafe stat(path, &information) == 0 && information.st_mode & 0o777 == 0o600)
    // Nonsense, and one that goes at once.
    for words in [[1, 2, 3], []] as [[UInt8]] {
      let client = OwnedDescriptor(socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0))
      #expect(unsafe ally_connect_unix(client.number, path) == 0)
      if !words.isEmpty { #expect(unsafe ally_send(client.number, words, words.count, 0, nil, 0) == words.count) }
      for _ in 0..<3 {
        if case .request = control.receive() { Issue.record("a request of \(words)") }
      }
    }
    _ = control.receive()
    let isDone = DispatchSemaphore(value: 0)
    let refusal = Mutex<String?>(nil)
    Thread.detachNewThread {
      let answer = try? UpgradeRequest.send(to: path, executable: "/new", arguments: ["-a"])
      refusal.withLock { $0 = answer ?? "" }
      isDone.signal()
    }
    for _ in 0..<20_000 {
      if case .request(let executable, let arguments) = control.receive() {
        #expect(executable == "/new" && arguments == ["-a"])
        control.answer("no")
        break
      }
      // A keeper waits in poll for its descriptors; here the client's turn comes.
      usleep(500)
    }
    isDone.wait()
    #expect(refusal.withLock { $0 } == "no")
    control.close()
    #expect(unsafe access(path, F_OK) != 0)
  }
}
