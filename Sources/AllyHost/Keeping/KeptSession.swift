internal import AllyDeviceModels
internal import CAllyLinux
internal import Glibc

/// A guest that outlives the worker that serves it: its NIC, and its emulator's connection if there is one.
///
/// Each message is taken from the socket, carried out, and answered exactly once, whichever worker does which of it. Only a
/// write to a register may be carried out twice, the second time without effect.
final class KeptSession: ServedGuest {
  private let device: any KeptGuestDevice
  private let guest: VFIOUserDevice
  private let records: KeptRecords
  private let messages: KeptMessages
  /// Which of a keeper's guests this is.
  private let number: UInt64
  private var channel: KeeperChannel?
  private var socket: OwnedDescriptor?
  private var descriptors = ReceivedDescriptors()
  /// When the beginning of a message came whose end has not.
  private var unfinishedSince: UInt64?
  /// The header of the message that is looked for, and descriptors that come with it; kept for their memory.
  private var peeked = [UInt8](repeating: 0, count: VFIOUserHeader.byteCount)
  private var numbers = [Int32](repeating: -1, count: KeptSession.mostDescriptors)

  // In the guest's record:
  /// The connection's key, 0 without one.
  private var connection: UInt64 = 0
  /// The number of the message that was carried out last, and the answer to it; empty when none is wanted.
  private var handled: UInt64 = 0
  private var answer: [UInt8] = []

  init(_ device: any KeptGuestDevice, number: Int) {
    self.device = device
    self.number = UInt64(number)
    guest = VFIOUserDevice(device)
    records = device.records
    messages = device.messages
    socket = nil
    commit()
  }

  /// Begins to serve, as the first worker or in the place of one that died.
  func begin(_ channel: KeeperChannel) throws(HostError) {
    self.channel = channel
    guard channel.predecessors > 0 else { return }
    records.restoreGuest { exchange(with: &$0) }
    socket = connection == 0 ? nil : channel.take(connection).map { OwnedDescriptor($0) }
    try device.resume(at: MonotonicTime.now)
    // Whose connection could not be kept: a client that had just come.
    if connection != 0, socket == nil { disconnect() }
    forgetUnused()
    guest.hear(at: MonotonicTime.now)
    commit()
  }

  // MARK: - The record

  private func commit() {
    device.writeNIC()
    records.writeGuest { exchange(with: &$0) }
    records.commit()
  }

  /// Bytes of the guest's record as it is when nobody is connected.
  var recordLength: Int {
    var size = StateRecord()
    exchange(with: &size)
    return size.length
  }

  private func exchange(with record: inout StateRecord) {
    record.exchange(&connection)
    record.exchange(&handled)
    var count = answer.count
    record.exchange(&count)
    if count != answer.count { answer = [UInt8](repeating: 0, count: count) }
    record.exchange(&answer)
    device.exchange(with: &record)
    guest.exchange(with: &record, taking: channel)
  }

  // MARK: - Keys of descriptors

  /// A guest's keys have its number on top; each message has room for as many as can come with one.
  private func key(message: UInt64, _ index: Int) -> UInt64 {
    number << 48 | message << 6 & (1 << 48 - 1) | UInt64(index)
  }
  private static var mostDescriptors: Int { 63 }
  /// The last place of a message's is a connection's, which takes a number like a message.
  private func connectionKey(_ number: UInt64) -> UInt64 { key(message: number, Self.mostDescriptors) }

  private func forgetUnused() {
    let own = number
    var wanted = guest.keys
    wanted.insert(connection)
    // What came with the message that is being carried out.
    for index in 0..<Self.mostDescriptors { wanted.insert(key(message: handled + 1, index)) }
    channel?.forget(but: wanted) { $0 >> 48 == own }
  }

  // MARK: - The connection

  var descriptor: Int32? { socket?.number }

  var hasOutput: Bool { socket != nil && messages.left(of: handled) < answer.count }

  func connect(_ socket: consuming OwnedDescriptor) {
    // Numbers go on, so that nothing of an earlier client is taken for this one's.
    let key = connectionKey(handled + 1)
    guard channel?.keep(socket.number, as: key) == true else { return }
    handled += 1
    answer = []
    connection = key
    self.socket = consume socket
    commit()
  }

  func disconnect() {
    if let number = socket?.number { shutdown(number, Int32(SHUT_RDWR)) }
    socket = nil
    guest.disconnect()
    descriptors = ReceivedDescriptors()
    unfinishedSince = nil
    connection = 0
    answer = []
    handled += 1
    commit()
    forgetUnused()
  }

  func serveMessages(_ count: Int, at now: UInt64) throws(ConnectionEnd) -> Int {
    try sendAnswer()
    for served in 0..<count {
      // A client that does not read its replies is not asked for more requests.
      guard !hasOutput, let message = try next(at: now) else { return served }
      try carryOut(message, at: now)
      try sendAnswer()
    }
    return count
  }

  /// The next message; nil when it has not come yet.
  private func next(at now: UInt64) throws(ConnectionEnd) -> VFIOUserConnection.Message? {
    guard let socket = socket?.number else { return nil }
    if let message = try taken() { return message }
    // Descriptors come with the first bytes of theirs, and come again with each look.
    var received = 0
    let count = unsafe ally_receive(
      socket, &peeked, peeked.count, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK), &numbers, numbers.count, &received)
    if count < 0 {
      guard errno == EAGAIN || errno == EINTR else { throw .closed }
      return nil
    }
    let came = ReceivedDescriptors()
    came.append(numbers[..<received])
    guard count != 0 else { throw .closed }
    guard count == peeked.count, let header = VFIOUserHeader(peeked[...]) else { return try unfinished(at: now) }
    guard let length = header.payloadLength, length <= KeptMessages.longest - VFIOUserHeader.byteCount else {
      throw .damaged("a message whose header says an impossible length")
    }
    guard Int(ally_bytes_waiting(socket)) >= peeked.count + length else { return try unfinished(at: now) }
    unfinishedSince = nil
    came.key = key(message: handled + 1, 0)
    for (index, number) in came.all.enumerated() {
      guard channel?.keep(number, as: key(message: handled + 1, index)) == true else {
        throw .damaged("the keeper is gone")
      }
    }
    descriptors = came
    guard messages.take(handled + 1, length: peeked.count + length, from: socket) else { return nil }
    DeathPoint.reach(.afterMessage)
    return try taken()
  }

  /// A client that begins a message ends it soon.
  private func unfinished(at now: UInt64) throws(ConnectionEnd) -> VFIOUserConnection.Message? {
    let since = unfinishedSince ?? now
    unfinishedSince = since
    if now &- since > 1_000_000_000 { throw .damaged("a message that does not end") }
    return nil
  }

  /// The message that was taken from the socket and not carried out, if there is one.
  private func taken() throws(ConnectionEnd) -> VFIOUserConnection.Message? {
    guard let bytes = messages.taken(handled + 1), let header = VFIOUserHeader(bytes) else { return nil }
    guard header.payloadLength == bytes.count - VFIOUserHeader.byteCount else { throw .damaged("half a message") }
    let first = key(message: handled + 1, 0)
    if descriptors.key != first, let channel {
      // Another worker took it.
      descriptors = ReceivedDescriptors()
      descriptors.key = first
      for index in 0..<Self.mostDescriptors {
        guard let number = channel.take(key(message: handled + 1, index)) else { break }
        descriptors.append([number])
      }
    }
    return VFIOUserConnection.Message(
      header: header, payload: bytes.dropFirst(VFIOUserHeader.byteCount), descriptors: descriptors)
  }

  private func carryOut(_ message: VFIOUserConnection.Message, at now: UInt64) throws(ConnectionEnd) {
    device.begin(message: handled + 1)
    let reply = try guest.reply(to: message)
    guest.hear(at: now)
    DeathPoint.reach(.beforeCommit)
    answer = reply.map { $0.0.bytes + $0.1 } ?? []
    handled += 1
    messages.prepareAnswer(to: handled)
    commit()
    DeathPoint.reach(.beforeAnswer)
    if VFIOUserCommand(rawValue: message.header.command)?.changesDescriptors == true { forgetUnused() }
  }

  /// Sends the answer to the last message, unless it has left.
  private func sendAnswer() throws(ConnectionEnd) {
    guard let socket = socket?.number, hasOutput else { return }
    // A socket takes so few bytes whole or not at all.
    guard messages.left(of: handled) == 0 else { throw .damaged("the client took a part of an answer") }
    switch messages.send(answer, to: handled, through: socket) {
    case 0: DeathPoint.reach(.afterAnswer)
    case EAGAIN: break
    default: throw .closed
    }
  }

  // MARK: - Work

  var kicks: [Int32] { guest.kicks }
  var uplinkDescriptor: Int32? { guest.uplinkDescriptor }
  var nextTimer: UInt64? { guest.nextTimer }
  var complaints: [String] { guest.complaints }
  var report: GuestReport { guest.report }
  var hasLostMemory: Bool { guest.hasLostMemory }

  func work(at now: UInt64) -> Bool {
    let isMore = guest.work(at: now)
    DeathPoint.reach(.afterInterrupt)
    return isMore
  }

  func followCarrier() {
    guest.followCarrier()
    // Counters, and masks of interrupts, that no message has made count.
    commit()
  }
}

extension VFIOUserCommand {
  /// Whether a message brings descriptors, or takes them away.
  fileprivate var changesDescriptors: Bool { self == .mapDMA || self == .unmapDMA || self == .setInterrupts }
}
